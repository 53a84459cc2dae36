/*
 * Why the mask is set here and not in the thread: a signal that came before its first instruction
 * would run a handler there, and what a handler interrupts in a thread that syncs or hashes nobody
 * has thought about.
 */
#include "util/sys/thread.h"

#include "util/base/log.h"
#include "util/base/panic.h"

#include <signal.h>
#include <sysexits.h>

/* The thread inherits the mask; the loop gets its own back. */
void thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t all, before;

    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(thread, NULL, run, arg);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0)
        fatal(EX_OSERR, "no thread can be started: %s", log_errno_text(error));
}
