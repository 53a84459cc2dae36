/*
 * panic - the two ways a process ends by itself.
 *
 * A bug is a panic: the message, then abort(3). A resource that is gone is fatal: the message, then
 * exit with a code of sysexits.h, and master starts the process anew with backoff. Everything that
 * can be expected is a returned value instead.
 */
#ifndef VEREDUS_BASE_PANIC_H
#define VEREDUS_BASE_PANIC_H

/* Reports a bug and aborts. */
void panic(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Reports what is missing and exits with `code` (sysexits.h). */
void fatal(int code, const char *format, ...) __attribute__((noreturn, format(printf, 2, 3)));

/* panic() unless `condition` holds; stays in release builds. */
#define require(condition)                                                                         \
    ((condition) ? (void)0 : panic("%s:%d: %s", __FILE__, __LINE__, #condition))

#endif
