/*
 * Both endings write one log line and trust nothing else: the text is made in a fixed buffer,
 * because memory may be what is missing. The buffer is larger than what the log shows of a value,
 * so the log marks what was cut.
 */
#include "util/base/panic.h"

#include "util/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MESSAGE_MAX = 1200 };

/* abort(3) leaves a core where the system wants one, and master sees a signal instead of an
 * exit code. */
void panic(const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);

    log_last_words("panic", (const struct log_field[]){LOG_STR("reason", message), {0}});
    abort();
}

/* exit(3), not abort(3): nothing is wrong with the program, and a core would only hold secrets. */
void fatal(int code, const char *format, ...)
{
    char message[MESSAGE_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);

    log_last_words("fatal", (const struct log_field[]){
                                LOG_INT("code", code), LOG_STR("reason", message), {0}});
    exit(code);
}
