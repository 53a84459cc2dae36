/*
 * configuration - the settings in force, and the very octets they were read from.
 *
 * The text lies in a sealed memfd: every child parses what master parsed, even when the file has
 * been edited meanwhile.
 */
#ifndef VEREDUS_MASTER_CONFIGURATION_H
#define VEREDUS_MASTER_CONFIGURATION_H

#include "util/base/buf.h"
#include "util/conf/conf.h"

/* Both are there or neither is; the text is what conf was parsed from, octet by octet. */
struct configuration {
    struct conf *conf;
    int text; /* the sealed memfd; -1 when there is none */
};

/* Loads `file`. False after at least one complaint. Freed with configuration_free. */
bool configuration_load(struct configuration *configuration, const char *file,
                        conf_complain *complain, void *arg) __attribute__((warn_unused_result));
void configuration_free(struct configuration *configuration);

/* A conf_complain that logs the sentence and, when `arg` is a struct buf, adds it as a line. */
void complaint_note(void *arg, const char *message);

#endif
