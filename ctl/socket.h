/*
 * socket - the way to the running master: the UNIX socket and the process number in run_directory.
 */
#ifndef VEREDUS_CTL_SOCKET_H
#define VEREDUS_CTL_SOCKET_H

#include "ctl/ctl.h"
#include "util/ipc/messages.h"

enum { SOCKET_ANSWER_MS = 30000 }; /* how long an answer may take */

/* A connection to run_directory/master.sock, a SOCK_SEQPACKET; -1 with errno when nobody listens.
 */
int socket_connect(const struct conf *conf) __attribute__((warn_unused_result));

/* The last two differ in who is to blame: master said no, or it said nothing to be understood. */
enum socket_result { SOCKET_OK, SOCKET_REFUSED, SOCKET_LOST };

/* Asks and prints the text of the answers: to standard output, or as a message when master refuses.
 * SOCKET_LOST after a message: no answer in time, nonsense, or the end in the middle of one. */
enum socket_result socket_ask(struct ctl *ctl, int fd, enum operator_request request)
    __attribute__((warn_unused_result));

/* A pidfd of the master at the other end; -1 with errno. */
int socket_master(int fd) __attribute__((warn_unused_result));

/* A pidfd of the process in run_directory/master.pid, if that is a veredus-master; -1 when not. */
int socket_master_by_number(struct ctl *ctl) __attribute__((warn_unused_result));

#endif
