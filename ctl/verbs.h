/*
 * verbs - the table of what `veredus` can do; one file per group of verbs.
 */
#ifndef VEREDUS_CTL_VERBS_H
#define VEREDUS_CTL_VERBS_H

#include "ctl/ctl.h"

/* In the order of the help; ended by a row without a name. */
extern const struct ctl_verb ctl_verbs[];

/* The verb that the words at `words` begin with; *used is how many words its name has. NULL when
 * there is none. */
const struct ctl_verb *ctl_find_verb(char *const *words, size_t count, size_t *used);

/* help.c: `help` lists the verbs, `help VERB...` explains those whose names begin with the words.
 */
int verb_help(struct ctl *ctl);
int verb_version(struct ctl *ctl);

/* init.c: makes an instance in a directory. */
int verb_init(struct ctl *ctl);

/* serve.c: becomes master, or starts one in the background. */
int verb_run(struct ctl *ctl);
int verb_start(struct ctl *ctl);

/* ask.c: speaks to the running master. */
int verb_stop(struct ctl *ctl);
int verb_reload(struct ctl *ctl);
int verb_status(struct ctl *ctl);

/* check.c: looks for everything that could keep master from serving. */
int verb_check(struct ctl *ctl);

/* user.c: the tables users and passwords. */
int verb_user_add(struct ctl *ctl);
int verb_user_passwd(struct ctl *ctl);
int verb_user_delete(struct ctl *ctl);
int verb_user_list(struct ctl *ctl);

/* show.c: tables and configuration, compiled and shown. */
int verb_table_build(struct ctl *ctl);
int verb_table_get(struct ctl *ctl);
int verb_config(struct ctl *ctl);

#endif
