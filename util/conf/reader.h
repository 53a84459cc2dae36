/*
 * reader - libConfuse behind one call; for util/conf alone.
 */
#ifndef VEREDUS_CONF_READER_H
#define VEREDUS_CONF_READER_H

#include "util/conf/conf.h"

/* Where complaints go, and how the file is called in them. */
struct conf_complaints {
    conf_complain *complain;
    void *arg;
    const char *name;
};

/* Complains about a line: "NAME:LINE: text". What can not be printed becomes '?'. */
void complain_about(const struct conf_complaints *to, unsigned line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `text` with blanks for comments ("#", "//", those of C); lines stay where they are. */
struct span without_comments(struct arena *arena, struct span text);

/* `text`, without comments, with every `tls "NAME" {` written as `tls { server_name = "NAME"`: what
 * the parser calls a title can neither be left out nor come twice. Lines stay. */
struct span without_tls_titles(struct arena *arena, struct span text);

/* Parses `text` into `conf` (zeroed; its arena is used); relative paths begin with `directory`.
 * False after a complaint. */
bool reader_read(struct conf *conf, struct span text, struct span directory,
                 const struct conf_complaints *to) __attribute__((warn_unused_result));

#endif
