/*
 * Retries double so that a short trouble is over soon and a long one costs little, and they are
 * spread so that a thousand letters deferred in one second do not come back in one second. The
 * spread is the same for all recipients of a record: they come due together, and one read of the
 * record serves them all.
 *
 * RFC 5321 §4.5.4.1: at least 30 minutes between attempts after the first ones, give-up time of at
 * least 4-5 days; both are settings.
 */
#include "qmgr/fate.h"

#include "util/mail/mailbox_path.h"

static const struct {
    struct span transport;
    struct fate fate;
    /* Transports without an agent. */
} decided[] = {
    {SPAN_INIT("discard"), {FATE_DELIVERED, SPAN_INIT("2.0.0"), SPAN_INIT("discarded"), false}},
    {SPAN_INIT("hold"),
     {FATE_HELD, SPAN_INIT("4.0.0"), SPAN_INIT("held by the configuration"), false}},
};

/* "5.1.1 user unknown": a status of the class 5 with its text (RFC 3463 §2), or a text alone. */
static struct fate fate_of_error(struct span nexthop)
{
    struct fate fate = {FATE_FAILED, SPAN("5.1.2"), SPAN("mail to this address is not delivered"),
                        false};
    struct span status = span_first(nexthop, span_find(nexthop, ' '));
    bool has_status = span_has_prefix(status, SPAN("5."));
    struct span text = has_status ? span_trim(span_skip(nexthop, status.len)) : nexthop;
    if (has_status)
        fate.enhanced = status;
    if (text.len > 0)
        fate.text = text;
    return fate;
}

/* The record was written by a process that faces the network: its word for a mailbox may be none,
 * and longer than a job can carry. lookup is asked for a better one at the next attempt. */
static bool has_mailbox(struct span nexthop, struct fate *fate)
{
    *fate = (struct fate){FATE_DEFERRED, SPAN("4.3.5"), SPAN("this is no mailbox's path"), false};
    return mailbox_path_is_sound(nexthop);
}

/* An unknown transport is deferred, not refused: a setting may have been lost, and the mail
 * must not be. */
bool fate_of_transport(struct span transport, struct span nexthop, struct fate *fate)
{
    if (span_equal(transport, SPAN("local")))
        return !has_mailbox(nexthop, fate);
    if (span_equal(transport, SPAN("error"))) {
        *fate = fate_of_error(nexthop);
        return true;
    }
    for (size_t i = 0; i < sizeof decided / sizeof decided[0]; i++) {
        if (span_equal(transport, decided[i].transport)) {
            *fate = decided[i].fate;
            return true;
        }
    }
    *fate = (struct fate){FATE_DEFERRED, SPAN("4.3.5"), SPAN("no agent for this transport"), false};
    return true;
}

/* RFC 3463 §3.8: X.7.0, other or undefined security status. */
struct fate fate_of_hold(void)
{
    return (struct fate){FATE_HELD, SPAN("4.7.0"), SPAN("held by the table access"), false};
}

struct fate fate_of_damage(enum record_result result, bool aside)
{
    if (result == RECORD_OK || result == RECORD_IO)
        return (struct fate){FATE_DEFERRED, SPAN("4.3.0"), SPAN("the message can not be read now"),
                             false};
    /* RFC 3463 §3.4: other or undefined mail system status */
    return (struct fate){aside ? FATE_FAILED : FATE_HELD, SPAN("5.3.0"),
                         SPAN("the message was damaged in the store of this system"), true};
}

/* Mixes all bits of a number, so that neighbours get far-apart results. */
static uint64_t mix(uint64_t number)
{
    number ^= number >> 33;
    number *= UINT64_C(0xff51afd7ed558ccd);
    number ^= number >> 33;
    number *= UINT64_C(0xc4ceb9fe1a85ec53);
    return number ^ number >> 33;
}

/* A shift would overflow after sixty tries; the loop ends at the bound. */
uint32_t fate_delay(const struct conf_limits *limits, uint8_t tries, uint64_t spread)
{
    uint64_t delay = limits->retry_first;
    for (uint8_t i = 1; i < tries && delay < limits->retry_most; i++)
        delay *= 2;
    if (delay > limits->retry_most)
        delay = limits->retry_most;
    uint64_t share = mix(spread + tries) % 401; /* 0 .. 400 thousandths, 200 is the middle */
    delay = delay * (800 + share) / 1000;
    return delay == 0 ? 1 : (uint32_t)delay;
}

/* Age in seconds; a clock that was set back makes nothing old. */
static uint64_t age_of(const struct fate_case *facts)
{
    return facts->now_us > facts->arrival_us ? (facts->now_us - facts->arrival_us) / 1000000 : 0;
}

/* The life ends with an attempt, never between two: a last one is always made. */
uint32_t fate_schedule(const struct conf_limits *limits, const struct fate_case *facts,
                       struct arena *arena, struct fate *fate)
{
    if (fate->kind != FATE_DEFERRED)
        return 0;
    uint64_t life = facts->notification ? limits->bounce_life : limits->message_life;
    if (age_of(facts) >= life) {
        fate->kind = FATE_FAILED;
        fate->text = arena_printf(arena, "not delivered in time; the last attempt: %.*s %.*s",
                                  SPAN_ARG(fate->enhanced), SPAN_ARG(fate->text));
        fate->enhanced = SPAN("5.4.7"); /* RFC 3463 §3.5: delivery time expired */
        return 0;
    }
    return (uint32_t)(facts->now_us / 1000000) + fate_delay(limits, facts->tries, facts->spread);
}

/* FATE_FAILED is written as LETTER_BOUNCED, once the sender was told. */
enum letter_state fate_state(enum fate_kind kind)
{
    static const enum letter_state states[] = {
        [FATE_DELIVERED] = LETTER_DELIVERED,
        [FATE_DEFERRED] = LETTER_DEFERRED,
        [FATE_FAILED] = LETTER_BOUNCED,
        [FATE_HELD] = LETTER_HELD,
    };
    return states[kind];
}

/* NEVER stands alone, so its own bit need not be asked. */
bool fate_is_told(enum fate_kind kind, uint8_t notify)
{
    if (kind == FATE_FAILED)
        return notify == 0 || (notify & ENVELOPE_NOTIFY_FAILURE) != 0;
    return kind == FATE_DELIVERED && (notify & ENVELOPE_NOTIFY_SUCCESS) != 0;
}

/* Names that an operator greps for: they never change. */
const char *fate_event(enum fate_kind kind)
{
    static const char *const events[] = {
        [FATE_DELIVERED] = "recipient-delivered",
        [FATE_DEFERRED] = "recipient-deferred",
        [FATE_FAILED] = "recipient-failed",
        [FATE_HELD] = "recipient-held",
    };
    return events[kind];
}
