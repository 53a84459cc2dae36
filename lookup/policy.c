/*
 * Every kind is looked up, although a refusal may have been found: that of the client comes first,
 * but a session that asks for all at once must hear of each OK and HOLD.
 */
#include "lookup/policy.h"

#include <errno.h>
#include <sys/stat.h>

#include "util/base/panic.h"
#include "util/mail/access_table.h"
#include "util/mail/senders_table.h"

/* By name beneath the directory of the tables; "db" is a driver that there is. */
static struct table *open_table(struct policy *policy, const char *name)
{
    struct span path =
        arena_printf(&policy->arena, "%.*s/%s", SPAN_ARG(policy->conf->table_directory), name);
    struct table *table = table_open("db", path.data);

    require(table);
    return table;
}

void policy_open(struct policy *policy, const struct conf *conf)
{
    *policy = (struct policy){.conf = conf};
    policy->access = open_table(policy, "access");
    policy->senders = open_table(policy, "senders");
}

void policy_close(struct policy *policy)
{
    table_close(policy->access);
    table_close(policy->senders);
    arena_free(&policy->arena);
}

/* Neither the text nor what is compiled from it: asked each time, since a person may make one. */
static bool is_absent(const struct policy *policy, struct arena *arena, const char *name)
{
    const char *directory = policy->conf->table_directory.data;
    struct stat status;

    return stat(arena_printf(arena, "%s/%s.db", directory, name).data, &status) != 0 &&
           errno == ENOENT &&
           stat(arena_printf(arena, "%s/%s", directory, name).data, &status) != 0 &&
           errno == ENOENT;
}

/* ---- access ---- */

/* The address of a question, as the parser takes it. */
static bool parse(struct span text, struct address *address)
{
    return address_parse(text, address) == ADDRESS_OK;
}

/* The question comes from a process that faces the network: what does not parse has no key. */
static enum table_result find_kind(struct policy *policy, struct arena *arena,
                                   const struct access_ask *question, enum access_kind kind,
                                   struct access_entry *entry)
{
    union net_address client;
    struct address address;
    struct span text = kind == ACCESS_SENDER ? question->sender : question->recipient;

    *entry = (struct access_entry){0};
    switch (kind) {
    case ACCESS_CLIENT:
        if (!net_parse_address(question->client, &client))
            return TABLE_NOT_FOUND;
        return access_find_client(policy->access, arena, &client, question->name, entry);
    case ACCESS_HELO:
        return access_find_helo(policy->access, arena, question->helo, entry);
    case ACCESS_SENDER:
        if (text.len == 0)
            return access_find_address(policy->access, arena, kind, NULL, entry);
        break;
    case ACCESS_RECIPIENT:
    case ACCESS_KINDS:
        break;
    }
    if (!parse(text, &address))
        return TABLE_NOT_FOUND;
    return access_find_address(policy->access, arena, kind, &address, entry);
}

/* Into the answer. The first refusal stays, and its line with it. */
static void note(struct access_answer *answer, enum access_kind kind,
                 const struct access_entry *entry)
{
    const uint8_t bit = (uint8_t)(1U << kind);

    if (entry->action == ACCESS_OK)
        answer->ok |= bit;
    else if (entry->action == ACCESS_HOLD)
        answer->held |= bit;
    if (entry->action == ACCESS_NONE || answer->status == ACCESS_REFUSED)
        return;
    answer->kind = (uint8_t)kind;
    answer->line = entry->line;
    if (entry->action != ACCESS_REFUSE)
        return;
    answer->status = ACCESS_REFUSED;
    answer->code = entry->code;
    answer->enhanced = entry->enhanced;
    answer->text = entry->text;
}

struct access_answer policy_access(struct policy *policy, struct arena *arena,
                                   const struct access_ask *question)
{
    struct access_answer answer = {.query = question->query, .status = ACCESS_CLEAR};
    const struct access_answer later = {.query = question->query, .status = ACCESS_TEMPORARY};

    if (is_absent(policy, arena, "access")) {
        answer.status = ACCESS_ABSENT;
        return answer;
    }
    for (int kind = 0; kind < ACCESS_KINDS; kind++) {
        struct access_entry entry;

        if (!(question->kinds & 1U << kind))
            continue;
        if (find_kind(policy, arena, question, (enum access_kind)kind, &entry) == TABLE_ERROR)
            return later;
        note(&answer, (enum access_kind)kind, &entry);
    }
    return answer;
}

/* ---- senders ---- */

struct sender_answer policy_sender(struct policy *policy, struct arena *arena,
                                   const struct sender_ask *question)
{
    struct sender_answer answer = {.query = question->query, .verdict = SENDERS_REFUSED};
    struct address address;
    unsigned line = 0;

    if (!parse(question->address, &address))
        return answer;
    enum senders_verdict verdict =
        senders_find(policy->senders, arena, question->login, &address, &line);
    if (verdict == SENDERS_ERROR && is_absent(policy, arena, "senders"))
        verdict = SENDERS_REFUSED;
    answer.verdict = (uint8_t)verdict;
    answer.line = line;
    return answer;
}
