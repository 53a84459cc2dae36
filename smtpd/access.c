/*
 * A client that sends a hundred messages is asked about a hundred times, and the answer is the same
 * each time: so answers are remembered, refusals too, for a change of the table is seen at once by
 * its epoch. A slot is found by a keyed hash of all that was asked, and the hash stands for it: to
 * find two questions with one, somebody outside would have to know the key.
 *
 * Most installations have no such table: with one question a second they learn when they get one,
 * and no message waits for an answer that is the same for all.
 */
#include "smtpd/access.h"

#include <limits.h>
#include <stdio.h>

#include "util/base/log.h"

enum { ENHANCED_MAX = 16 };

/* One answer of a moment ago. */
struct slot {
    uint64_t key, epoch;
    int64_t until; /* 0: empty */
    struct access_answer answer;
    char enhanced[ENHANCED_MAX], text[ACCESS_TEXT_MAX];
};

struct access_known {
    int64_t absent_until; /* there was no table a moment ago */
    struct slot slots[ACCESS_KNOWN_SLOTS];
};

struct access_known *access_known_new(void)
{
    return mem_new(sizeof(struct access_known));
}

void access_known_free(struct access_known *known)
{
    mem_free(known);
}

/* ---- what is known ---- */

/* Each part with its length, so that no two lists of parts are alike. */
static uint64_t key_of(const struct access_ask *ask)
{
    const struct span parts[] = {ask->client, ask->name, ask->helo, ask->sender, ask->recipient};
    uint64_t sums[2 * sizeof(parts) / sizeof(parts[0]) + 1];
    size_t count = 0;
    sums[count++] = ask->kinds;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        sums[count++] = parts[i].len;
        sums[count++] = hash_bytes(parts[i].data, parts[i].len);
    }
    return hash_bytes(sums, sizeof(sums));
}

static struct slot *slot_of(const struct access_check *check)
{
    return &check->desk->known->slots[check->key % ACCESS_KNOWN_SLOTS];
}

/* The answer if there is one, else NULL. */
static const struct access_answer *find(const struct access_check *check)
{
    const struct slot *slot = slot_of(check);
    bool good = slot->key == check->key && slot->epoch == check->epoch &&
                slot->until > loop_now(check->desk->questions->loop);
    return good ? &slot->answer : NULL;
}

static bool table_is_absent(const struct access_check *check)
{
    return check->desk->known->absent_until > loop_now(check->desk->questions->loop);
}

/* Trouble is not remembered: it may be over the next moment. */
static void remember(const struct access_check *check, const struct access_answer *answer)
{
    struct slot *slot = slot_of(check);
    if (answer->status == ACCESS_ABSENT) {
        check->desk->known->absent_until =
            loop_now(check->desk->questions->loop) + ACCESS_ABSENT_MS;
        return;
    }
    if (answer->status == ACCESS_TEMPORARY || answer->enhanced.len > sizeof(slot->enhanced) ||
        answer->text.len > sizeof(slot->text))
        return;
    slot->key = check->key;
    slot->epoch = check->epoch;
    slot->until = loop_now(check->desk->questions->loop) + ACCESS_KNOWN_MS;
    slot->answer = *answer;
    /* The empty span may have no octets at all to copy. */
    if (answer->enhanced.len > 0)
        memcpy(slot->enhanced, answer->enhanced.data, answer->enhanced.len);
    if (answer->text.len > 0)
        memcpy(slot->text, answer->text.data, answer->text.len);
    slot->answer.enhanced.data = slot->enhanced;
    slot->answer.text.data = slot->text;
}

/* ---- the verdict ---- */

static const char *action_name(const struct access_answer *answer)
{
    if (answer->status == ACCESS_REFUSED)
        return "refuse";
    return answer->held & 1U << answer->kind ? "hold" : "ok";
}

/* The rule by its place: "/etc/veredus/access:12". */
static void log_rule(const struct access_check *check, const struct access_answer *answer)
{
    char rule[PATH_MAX + 32];
    int length = snprintf(rule, sizeof(rule), "%s/access:%u",
                          check->desk->conf->table_directory.data, answer->line);
    if (length < 0 || (size_t)length >= sizeof(rule))
        rule[0] = '\0';
    log_event(LOG_INFO, "access-rule", LOG_SPAN("session", check->session),
              LOG_STR("kind", access_kind_name((enum access_kind)answer->kind)),
              LOG_STR("action", action_name(answer)), LOG_STR("rule", rule));
}

/* The texts of the answer end with its packet, or with its slot: they are copied. */
static struct reply refusal(const struct access_check *check, const struct access_answer *answer)
{
    return (struct reply){.code = answer->code,
                          .close = answer->code == 421 || answer->code == 521,
                          .enhanced = arena_copy(check->arena, answer->enhanced).data,
                          .text = arena_copy(check->arena, answer->text).data,
                          .setting = "access",
                          .line = answer->line};
}

static void settle(struct access_check *check, const struct access_answer *answer)
{
    bool absent = answer->status == ACCESS_ABSENT;
    check->verdict = (struct access_verdict){.status = absent ? ACCESS_CLEAR
                                                              : (enum access_status)answer->status,
                                             .ok = answer->ok,
                                             .held = answer->held,
                                             .kind = (enum access_kind)answer->kind,
                                             .line = answer->line,
                                             .reply = REPLY_PENDING};
    if (answer->status == ACCESS_REFUSED)
        check->verdict.reply = refusal(check, answer);
    else if (answer->status == ACCESS_TEMPORARY)
        check->verdict.reply =
            (struct reply){.code = 451, .enhanced = "4.3.0", .text = "Temporary lookup failure"};
    if (answer->line > 0)
        log_rule(check, answer);
}

/* NULL: lookup said nothing in time, which is like a table that can not be read. */
static void on_answer(struct question *question, const void *message)
{
    static const struct access_answer later = {.status = ACCESS_TEMPORARY};
    struct access_check *check =
        (struct access_check *)((char *)question - offsetof(struct access_check, question));
    const struct access_answer *answer = message != NULL ? message : &later;
    remember(check, answer);
    settle(check, answer);
    check->done(check->arg);
}

/* A name longer than any domain is in no table (RFC 5321 §4.5.3.1.2). */
static struct span name_of(struct span name)
{
    return name.len <= ADDRESS_DOMAIN_MAX ? name : SPAN("");
}

bool access_start(struct access_check *check, const struct access_facts *facts)
{
    static const struct access_answer absent = {.status = ACCESS_ABSENT};
    if (table_is_absent(check)) {
        settle(check, &absent);
        return true;
    }
    check->ask = (struct access_ask){.kinds = facts->kinds,
                                     .client = facts->client,
                                     .name = name_of(facts->name),
                                     .helo = name_of(facts->helo),
                                     .sender = facts->sender,
                                     .recipient = facts->recipient};
    check->key = key_of(&check->ask);
    const struct access_answer *known = find(check);
    if (known != NULL) {
        settle(check, known);
        return true;
    }
    check->question = (struct question){.questions = check->desk->questions,
                                        .type = &ipc_access_ask,
                                        .answer_type = &ipc_access_answer,
                                        .message = &check->ask,
                                        .answered = on_answer};
    questions_ask(&check->question);
    return false;
}

void access_cancel(struct access_check *check)
{
    questions_cancel(&check->question);
}
