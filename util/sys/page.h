/*
 * page - counters and gauges in shared memory, one page a process, written by its owner alone.
 *
 * Master makes one sealed memfd per process slot; it outlives the process, so that counters do not
 * start over with a crash. The owner maps its own page for writing; whoever else needs it gets a
 * descriptor that was opened read-only. Values are 64-bit, naturally aligned, relaxed atomics.
 *
 * A page of smtpd or pop3d also holds its column of the connection table: how many connections it
 * has per network. Each worker writes only its own column and adds up all of them; when a worker
 * dies, master clears its column, so no count leaks. An owned worker can spoil the limits, nothing
 * more.
 */
#ifndef VEREDUS_SYS_PAGE_H
#define VEREDUS_SYS_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* X(name, text): text is what `veredus status` shows. */
#define PAGE_VALUES(X)                                                                             \
    X(CONNECTIONS, "connections")                                                                  \
    X(SESSIONS, "sessions") /* gauge: open now */                                                  \
    X(MESSAGES_IN, "messages-in")                                                                  \
    X(RECIPIENTS_IN, "recipients-in")                                                              \
    X(REFUSED, "refused")                                                                          \
    X(QUEUED, "queued")     /* gauge: recipients waiting or active */                              \
    X(DEFERRED, "deferred") /* gauge: recipients waiting for a retry */                            \
    X(ACTIVE, "active")     /* gauge: recipients given to an agent */                              \
    X(HELD, "held")         /* gauge */                                                            \
    X(DELIVERED, "delivered")                                                                      \
    X(BOUNCED, "bounced")                                                                          \
    X(RETRIED, "retried")                                                                          \
    X(CORRUPT, "corrupt")                                                                          \
    X(SEGMENTS, "segments") /* gauge */                                                            \
    X(LOGINS, "logins")                                                                            \
    X(LOGIN_FAILURES, "login-failures")                                                            \
    X(RETRIEVED, "retrieved")                                                                      \
    X(DELETED, "deleted")                                                                          \
    X(TABLES, "table-changes") /* lookup: its start, and every table built anew */                 \
    X(LOOKUPS, "lookups")                                                                          \
    X(RATE_REFUSED, "rate-refused")         /* by a limit over time */                             \
    X(ACCOUNTS_STOPPED, "accounts-stopped") /* for what they send */                               \
    X(LOG_LOST, "log-lost")                 /* lines that the log did not take */                  \
    X(PRESSURE, "pressure")                 /* gauge, qmgr: enum page_pressure */

enum page_value {
#define PAGE_VALUE_ENUM(name, text) PAGE_##name,
    PAGE_VALUES(PAGE_VALUE_ENUM)
#undef PAGE_VALUE_ENUM
        PAGE_VALUE_COUNT
};

/* What qmgr asks of smtpd. */
enum page_pressure { PRESSURE_NONE, PRESSURE_SLOW, PRESSURE_FULL };

/* Of the connection table; several times the networks that one worker serves at once. Memory comes
 * only with use. */
enum { PAGE_SLOTS = 16384 };

struct page; /* one mapped page */

/* The name of a value in status and metrics. */
const char *page_value_name(enum page_value value);

/* Makes a page (memfd, sealed against resizing); its descriptor or -1 with errno. */
int page_create(void) __attribute__((warn_unused_result));

/* A second, read-only descriptor of the same page; -1 with errno. Needs /proc: master only. */
int page_reopen_readonly(int fd) __attribute__((warn_unused_result));

/* Maps it; does not keep fd. NULL with errno. */
struct page *page_map(int fd, bool writable) __attribute__((warn_unused_result));

/* Ends a mapping; NULL is fine. */
void page_unmap(struct page *page);

/* The owner counts (delta may be negative: gauges), or says what a gauge is; from any thread. */
void page_add(struct page *page, enum page_value value, int64_t delta);
void page_set(struct page *page, enum page_value value, uint64_t number);

/* What it is now, or was a moment ago. */
uint64_t page_get(const struct page *page, enum page_value value);

/* The owner shows that it lives, about once a second; how often it did so far. */
void page_beat(struct page *page);
uint64_t page_beats(const struct page *page);

/* qmgr has counted its queue: the gauges of it, written before, are true from now until it dies. */
void page_queue_counted(struct page *page);
bool page_queue_is_counted(const struct page *page);

/* Counts `delta` (+1, -1) connections of the network `key` in the owner's column; from one thread.
 */
void page_connections_add(struct page *page, uint64_t key, int delta);

/* How many connections of the network `key` this column holds. */
unsigned page_connections(const struct page *page, uint64_t key);

/* Master, when the owner died: the gauges of sessions and the column go to zero, and nobody has
 * counted the queue. */
void page_owner_died(struct page *page);

#endif
