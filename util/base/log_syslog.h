/*
 * log_syslog - the way from log to syslog(3); for log.c alone.
 *
 * A place of its own because <syslog.h> defines macros with the names of our levels.
 */
#ifndef VEREDUS_BASE_LOG_SYSLOG_H
#define VEREDUS_BASE_LOG_SYSLOG_H

#include "util/base/span.h"

/* Connects to the system's logger under the name `process`, facility mail. `process` is not copied.
 */
void log_syslog_open(const char *process);

/* Hands over one line without its line feed. `severity` is that of RFC 5424 §6.2.1. */
void log_syslog_line(int severity, struct span line);

#endif
