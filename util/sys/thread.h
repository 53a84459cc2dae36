/*
 * thread - a thread beside the loop.
 */
#ifndef VEREDUS_SYS_THREAD_H
#define VEREDUS_SYS_THREAD_H

#include <pthread.h>

/* Starts `run` with all signals blocked: they are the loop's. Behind the sandbox, which holds for
 * threads that are made in it only. Failure is fatal; whoever started it joins it. */
void thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
