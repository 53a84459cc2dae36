/*
 * What is needed for the DNS alone is large, and given back as soon as all is known: a session that
 * is idle keeps the name, and of the lists the one that refused it.
 *
 * The table is asked once a transaction, with the name of the client and that of HELO in one
 * question. It is asked when the DNS has spoken, since it has rules for names.
 */
#include "smtpd/client_checks.h"

#include "smtpd/answer.h"
#include "smtpd/checks.h"
#include "smtpd/client_name.h"
#include "smtpd/dns_list.h"
#include "smtpd/recipients.h"

enum {
    LISTED_TEXT_MAX = 400, /* octets; a reply has 512 with all else (RFC 5321 §4.5.3.1.5) */
};

/* What the DNS is asked. */
struct dns_work {
    struct client_name name;
    struct dns_list lists;
    struct timer patience; /* for the name */
    bool name_known, lists_known;
};

struct client_checks {
    struct session *session;
    struct dns_work *work; /* NULL: the DNS has spoken */
    char *name;            /* verified; NULL: it has none */
    char *listed;          /* why lists refuse it; NULL: they do not */
    unsigned listed_line;  /* of the list, in the configuration */
    bool asked, answered;  /* the table, in this transaction */
    struct access_check access;
    struct arena arena; /* of what it says */
};

/* RFC 6761 §6.3: these two have a name that nobody needs to be asked for; and whoever comes through
 * a socket of this host is here. */
static bool is_localhost(const union net_address *client)
{
    if (client->any.sa_family == AF_UNIX)
        return true;
    if (client->any.sa_family == AF_INET)
        return client->v4.sin_addr.s_addr == htonl(INADDR_LOOPBACK);
    return IN6_IS_ADDR_LOOPBACK(&client->v6.sin6_addr);
}

/* ---- the DNS ---- */

static char *copy(struct span text)
{
    char *octets = mem_new(text.len + 1);
    memcpy(octets, text.data, text.len);
    return octets;
}

/* With the last answer whoever waits at RCPT is judged. */
static void end_work(struct client_checks *checks)
{
    struct dns_work *work = checks->work;
    if (!work->name_known || !work->lists_known)
        return;
    checks->work = NULL;
    timer_cancel(&work->patience);
    client_name_cancel(&work->name);
    dns_list_cancel(&work->lists);
    mem_free(work);
    recipients_settle(checks->session);
    session_wake(checks->session);
}

/* Whatever is wrong with the DNS: a client without a name is served. */
static void on_name(void *arg)
{
    struct client_checks *checks = arg;
    struct dns_work *work = checks->work;
    if (work->name.result == CLIENT_NAME_VERIFIED) {
        checks->name = copy(span_cstr(work->name.name));
        checks->session->client_name = span_cstr(checks->name);
    }
    timer_cancel(&work->patience);
    work->name_known = true;
    end_work(checks);
}

static void on_patience(void *arg)
{
    struct client_checks *checks = arg;
    client_name_cancel(&checks->work->name);
    checks->work->name_known = true;
    end_work(checks);
}

/* The section of the list that is named to the client. */
static unsigned line_of(const struct conf *conf, struct span zone)
{
    for (size_t i = 0; i < conf->dns_lists.count; i++)
        if (span_equal(conf->dns_lists.items[i].zone, zone))
            return conf->dns_lists.items[i].line;
    return 0;
}

/* The words of the list are left out where a reply has no room for them. */
static void take_lists(struct client_checks *checks)
{
    const struct dns_list *lists = &checks->work->lists;
    struct arena arena = {0};
    struct span text = arena_printf(&arena, "Client %s is listed by %.*s", checks->session->client,
                                    SPAN_ARG(lists->zone));
    if (lists->text[0] != '\0' && text.len + strlen(lists->text) < LISTED_TEXT_MAX)
        text = arena_printf(&arena, "%s: %s", text.data, lists->text);
    checks->listed = copy(text);
    checks->listed_line = line_of(lists->conf, lists->zone);
    arena_free(&arena);
}

static void on_lists(void *arg)
{
    struct client_checks *checks = arg;
    if (checks->work->lists.refused)
        take_lists(checks);
    checks->work->lists_known = true;
    end_work(checks);
}

/* Lists are about strangers; and where mail is submitted, nobody is taken mail from without a login
 * anyway. */
static void start_work(struct client_checks *checks, const union net_address *client)
{
    const struct session *session = checks->session;
    struct worker *worker = session->worker;
    struct dns_work *work = mem_new(sizeof(*work));
    checks->work = work;
    timer_init(&work->patience, worker->loop, on_patience, checks);
    client_name_init(&work->name, worker->dns, on_name, checks);
    dns_list_init(&work->lists, worker->dns, on_lists, checks);
    work->name_known = is_localhost(client);
    if (!work->name_known) {
        timer_set(&work->patience, CLIENT_CHECKS_PATIENCE_MS);
        client_name_start(&work->name, client);
    }
    work->lists_known = session->trusted || session->listener->service != SERVICE_SMTP ||
                        worker->conf->dns_lists.count == 0;
    if (!work->lists_known)
        dns_list_start(&work->lists, worker->conf, client);
    end_work(checks); /* when there was nothing to ask at all */
}

void client_checks_start(struct session *session, const union net_address *client)
{
    bool named = is_localhost(client);
    session->client_name = named ? SPAN("localhost") : SPAN("unknown");
    if (named && session->trusted)
        return;
    session->checks = mem_new(sizeof(*session->checks));
    session->checks->session = session;
    if (session->worker->dns != NULL)
        start_work(session->checks, client);
}

/* A name without an address would be one that nothing can be held against. */
void client_checks_name(struct session *session, struct span name)
{
    struct client_checks *checks = session->checks;
    if (checks == NULL)
        return;
    mem_free(checks->name);
    checks->name = name.len > 0 ? copy(name) : NULL;
    session->client_name = name.len > 0 ? span_cstr(checks->name) : SPAN("unknown");
    if (checks->work == NULL || checks->work->name_known)
        return;
    client_name_cancel(&checks->work->name);
    timer_cancel(&checks->work->patience);
    checks->work->name_known = true;
    end_work(checks);
}

/* ---- the table ---- */

static void on_access(void *arg)
{
    struct client_checks *checks = arg;
    checks->answered = true;
    recipients_settle(checks->session);
    session_wake(checks->session);
}

static void ask_table(struct client_checks *checks)
{
    const struct session *session = checks->session;
    const struct checks_calls calls = {on_access, checks};
    bool named = !span_equal(session->client_name, SPAN("unknown"));
    const struct access_facts facts = {
        .kinds = ACCESS_ASK_CLIENT | ACCESS_ASK_HELO,
        .client = session_client(session),
        .name = named ? session->client_name : SPAN(""),
        .helo = session->helo,
    };
    checks->access = checks_access(session, &checks->arena, &calls);
    checks->asked = true;
    checks->answered = access_start(&checks->access, &facts);
}

/* ---- the judgement ---- */

static struct reply refuse_listed(const struct client_checks *checks)
{
    struct reply reply = answer_by("dns_list", answer(554, "5.7.1", checks->listed));
    reply.line = checks->listed_line;
    return reply;
}

/* The table is the operator's own word, and comes before that of any list. */
bool client_checks_judge(struct session *session, struct reply *reply)
{
    struct client_checks *checks = session->checks;
    *reply = REPLY_PENDING;
    if (checks == NULL || session_may_relay(session))
        return true;
    if (checks->work != NULL)
        return false;
    if (!checks->asked)
        ask_table(checks);
    if (!checks->answered)
        return false;
    checks_hold(session, &checks->access.verdict);
    *reply = checks->access.verdict.reply;
    if (reply_is_pending(*reply) && checks->listed != NULL && !client_checks_are_spared(session))
        *reply = refuse_listed(checks);
    return true;
}

bool client_checks_are_spared(const struct session *session)
{
    const struct client_checks *checks = session->checks;
    return checks != NULL && checks->answered && checks->access.verdict.ok & ACCESS_ASK_CLIENT;
}

void client_checks_forget(struct session *session)
{
    struct client_checks *checks = session->checks;
    if (checks == NULL)
        return;
    access_cancel(&checks->access);
    checks->asked = checks->answered = false;
    arena_reset(&checks->arena);
}

/* Whatever is under way has no one to come back to. */
void client_checks_end(struct session *session)
{
    struct client_checks *checks = session->checks;
    if (checks == NULL)
        return;
    client_checks_forget(session);
    if (checks->work != NULL) {
        timer_cancel(&checks->work->patience);
        client_name_cancel(&checks->work->name);
        dns_list_cancel(&checks->work->lists);
        mem_free(checks->work);
    }
    arena_free(&checks->arena);
    mem_free(checks->name);
    mem_free(checks->listed);
    mem_free(checks);
    session->checks = NULL;
}
