/*
 * failure - what an errno means to the sender of a letter (RFC 3463 §3.3, §3.4).
 */
#ifndef VEREDUS_LOCAL_FAILURE_H
#define VEREDUS_LOCAL_FAILURE_H

struct failure {
    int error;
    const char *enhanced; /* status code, always 4.x.x: nothing local is ever final */
    const char *text;
};

/* Never NULL, and static. */
const struct failure *failure_of(int error);

#endif
