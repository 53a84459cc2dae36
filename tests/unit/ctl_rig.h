/*
 * ctl_rig - what the tests of ctl share: an instance in a directory of its own, and the command,
 * called as a function, with its streams in memory.
 */
#ifndef VEREDUS_TEST_CTL_RIG_H
#define VEREDUS_TEST_CTL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ctl/ctl.h"

enum { RIG_TEXT = 65536, RIG_PATH = 256 };

struct ctl_rig {
    char directory[RIG_PATH];          /* the test's own */
    char instance[RIG_PATH];           /* where init makes one */
    char file[RIG_PATH];               /* its configuration */
    char out[RIG_TEXT], err[RIG_TEXT]; /* what the last call printed */
};

/* cmocka's setup and teardown: the directory; with_instance also an instance of mx.example.test
 * with the user alice, password "secret". */
int rig_setup(void **state);
int rig_setup_with_instance(void **state);
int rig_teardown(void **state);

/* Calls `veredus WORDS...` with `input` as its standard input (NULL: empty); the words end with
 * NULL. Returns the exit code. */
int rig_call(struct ctl_rig *rig, const char *input, const char *const *words);

/* The same with -c and the instance's configuration. */
int rig_do(struct ctl_rig *rig, const char *input, const char *const *words);

#define RIG_CALL(rig, input, ...) rig_call((rig), (input), (const char *const[]){__VA_ARGS__, NULL})
#define RIG_DO(rig, input, ...)   rig_do((rig), (input), (const char *const[]){__VA_ARGS__, NULL})

/* The path of NAME in the instance; valid until the next call. */
const char *rig_path(struct ctl_rig *rig, const char *name);

/* The text of NAME in the instance; valid until the next call. */
const char *rig_text(struct ctl_rig *rig, const char *name);

/* Makes it hold `text`. */
void rig_write(struct ctl_rig *rig, const char *name, const char *text);

void assert_holds(const char *text, const char *part);
void assert_lacks(const char *text, const char *part);

#endif
