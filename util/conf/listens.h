/*
 * listens - listeners: those of a configuration that names none, and what must hold between the
 * settings of one and between all of them; for util/conf alone.
 */
#ifndef VEREDUS_CONF_LISTENS_H
#define VEREDUS_CONF_LISTENS_H

#include "util/conf/reader.h"

/* Gives `conf` the listeners of a site that says nothing about them. */
void listens_default(struct conf *conf);

/* True when all listeners can stand as they are; else the first that can not is complained of. */
bool listens_check(const struct conf *conf, const struct conf_complaints *to)
    __attribute__((warn_unused_result));

#endif
