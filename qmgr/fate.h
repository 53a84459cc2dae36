/*
 * fate - what a recipient's attempt leads to: the next state and when; retries and lives.
 *
 * Pure functions of the configuration, the entry and the time.
 */
#ifndef VEREDUS_QMGR_FATE_H
#define VEREDUS_QMGR_FATE_H

#include "util/base/span.h"
#include "util/conf/conf.h"
#include "util/spool/record.h"

enum fate_kind { FATE_DELIVERED, FATE_DEFERRED, FATE_FAILED, FATE_HELD };

/* How an attempt ended. */
struct fate {
    enum fate_kind kind;
    struct span enhanced; /* RFC 3463: "4.3.5" */
    struct span text;     /* for people */
    bool damaged;         /* the letter itself: nothing of it is shown to anybody */
};

/* What becomes of a recipient whose letter an agent says is damaged, after qmgr looked for itself:
 * `result` is what it saw, `aside` whether there is a copy for the operator. */
struct fate fate_of_damage(enum record_result result, bool aside);

/* Which transports qmgr decides by itself, and what it decides. False: an agent is to be asked
 * ("local", when the nexthop may be a mailbox's path). The nexthop of "error" is what the sender is
 * told, a status first if there is one ("5.1.1 user unknown"); the fate then points into it. */
bool fate_of_transport(struct span transport, struct span nexthop, struct fate *fate)
    __attribute__((warn_unused_result));

/* What becomes of a recipient whose letter the table `access` wants to be held. */
struct fate fate_of_hold(void);

/* What is known of a recipient whose attempt ended. */
struct fate_case {
    uint64_t arrival_us, now_us;
    uint64_t spread; /* any number that letters of one record share: decides the jitter */
    uint8_t tries;   /* attempts that ended, this one included */
    bool notification;
};

/* A deferred fate becomes a failed one when the message outlived its life: the attempt that just
 * ended was its last. Returns when the next attempt is due, seconds since 1970 (0 unless deferred).
 * The text of a new failure is appended to `arena`. */
uint32_t fate_schedule(const struct conf_limits *limits, const struct fate_case *facts,
                       struct arena *arena, struct fate *fate);

/* Seconds until the next attempt after `tries`: `retry_first` doubling to `retry_most`, 20 % more
 * or less. */
uint32_t fate_delay(const struct conf_limits *limits, uint8_t tries, uint64_t spread);

/* The state that is written for it. */
enum letter_state fate_state(enum fate_kind kind);

/* True when the sender of a recipient with these ENVELOPE_NOTIFY_... wants to be told of it: by
 * default of failures alone (RFC 3461 §4.1). */
bool fate_is_told(enum fate_kind kind, uint8_t notify);

/* "recipient-delivered" and so on, for the log. */
const char *fate_event(enum fate_kind kind);

#endif
