/*
 * journal - where descriptor 2, and with it the log of master and of all children, leads.
 */
#ifndef VEREDUS_MASTER_JOURNAL_H
#define VEREDUS_MASTER_JOURNAL_H

#include "util/conf/conf.h"

/* Held to the end, so that a reload can lead the log back to where it began. */
struct journal {
    int original; /* standard error as master was given it */
};

/* Keeps the standard error of the start, and sees to it that no write to it blocks. */
void journal_init(struct journal *journal);

/* Sets log and descriptor 2 as the configuration wants; opens a log file anew. False after a
 * complaint: the log goes where it went. */
bool journal_open(struct journal *journal, const struct conf *conf, conf_complain *complain,
                  void *arg) __attribute__((warn_unused_result));

#endif
