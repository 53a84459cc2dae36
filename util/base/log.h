/*
 * log - one line an event, made of named fields, to standard error or syslog.
 *
 *     log_event(LOG_INFO, "recipient-refused", LOG_SPAN("session", id), LOG_SPAN("to", address),
 *               LOG_UINT("code", 550), LOG_STR("reason", "unknown user"));
 *
 * gives (logfmt)  time=2026-11-02T08:15:30.123456Z level=info process=smtpd pid=71
 *                 event=recipient-refused session=7GQK to=<bob@example.test> code=550 ...
 *
 * Every foreign octet that is not printable ASCII is escaped (\xNN), each value is bounded (1024
 * octets as they are shown, then "..."), quotes are put where logfmt or JSON needs them: no remote
 * can forge a line. A line has at most PIPE_BUF octets and goes out in one write(2), whole or not
 * at all. Where standard error does not block, the log never does: what it does not take is lost,
 * and "log-lost count=N" stands before the next line that it takes. Secrets are never passed to the
 * log, at any level.
 */
#ifndef VEREDUS_BASE_LOG_H
#define VEREDUS_BASE_LOG_H

#include "util/base/span.h"

/* In the order of their weight: what is greater than the level that was set is not written. */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_LOGFMT, LOG_JSON };

/* One named value of a line. LOG_SPAN and its like make them; the text is read before log_write
 * returns and need not live longer. */
struct log_field {
    const char *name; /* NULL ends the list */
    enum { LOG_FIELD_SPAN, LOG_FIELD_UINT, LOG_FIELD_INT, LOG_FIELD_ID } type;
    struct span text;
    uint64_t number;
};

#define LOG_SPAN(name, value)                                                                      \
    {                                                                                              \
        (name), LOG_FIELD_SPAN, (value), 0                                                         \
    }
#define LOG_STR(name, value)                                                                       \
    {                                                                                              \
        (name), LOG_FIELD_SPAN, span_cstr(value), 0                                                \
    }
#define LOG_UINT(name, value)                                                                      \
    {                                                                                              \
        (name), LOG_FIELD_UINT, {0}, (uint64_t)(value)                                             \
    }
#define LOG_INT(name, value)                                                                       \
    {                                                                                              \
        (name), LOG_FIELD_INT, {0}, (uint64_t)(int64_t)(value)                                     \
    }
/* The number of a session or of a letter, in the digits of base32_u64: the same text in every
 * process. */
#define LOG_ID(name, value)                                                                        \
    {                                                                                              \
        (name), LOG_FIELD_ID, {0}, (uint64_t)(value)                                               \
    }
/* The text of the errno value `error`. */
#define LOG_ERRNO(error)                                                                           \
    {                                                                                              \
        "error", LOG_FIELD_SPAN, span_cstr(log_errno_text(error)), 0                               \
    }

#define log_event(level, event, ...)                                                               \
    log_write((level), (event), (const struct log_field[]){__VA_ARGS__, {0}})

/* Says who is logging and in which form; lines go to standard error from now on. `process` must
 * outlive the process. Until it is called, lines carry "veredus", logfmt, level info. Looks at
 * standard error: call it again when that was changed. */
void log_setup(const char *process, enum log_format format, enum log_level most);

/* Lines go to syslog(3) instead of standard error; call before the sandbox. */
void log_to_syslog(void);

/* `lost` hears how many lines were lost, each time, in whichever thread lost them. */
void log_on_lost(void (*lost)(void *arg, uint64_t count), void *arg);

/* True when events of `level` are written. */
bool log_enabled(enum log_level level);

/* Writes one line; errno is left as it was. Use log_event(). */
void log_write(enum log_level level, const char *event, const struct log_field *fields);

/* The same at level error for a process that dies of it: worth a moment's wait (200 ms) when
 * standard error takes nothing at once. */
void log_last_words(const char *event, const struct log_field *fields);

/* Writes to standard error what another process made: whole lines with their line feeds, PIPE_BUF
 * octets at most. */
void log_pass_on(struct span lines);

/* As strerror_l(3): a text that needs no file and no lock. */
const char *log_errno_text(int error);

#endif
