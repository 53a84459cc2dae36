/*
 * The C library keeps the connection. It is opened at once, and the time zone is read at once,
 * because inside the sandbox neither a socket nor a file can be opened any more.
 */
#include "util/base/log_syslog.h"

#include <syslog.h>
#include <time.h>

/* LOG_NDELAY connects now, while that is still allowed. */
void log_syslog_open(const char *process)
{
    tzset();
    openlog(process, LOG_NDELAY, LOG_MAIL);
}

/* The text is an argument, never the format: a '%' in it means itself. */
void log_syslog_line(int severity, struct span line)
{
    syslog(severity, "%.*s", SPAN_ARG(line));
}
