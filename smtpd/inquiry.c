/*
 * The question is that of RCPT from a stranger, so what a client learns here is no more than what
 * sending mail would tell it; and the answer is never remembered.
 *
 * VRFY says where mail for the address would go; EXPN shows a list. An answer of many parts is
 * gathered as the lines of the reply, which alias_expansion bounds.
 */
#include "smtpd/inquiry.h"

#include "smtpd/answer.h"
#include "smtpd/recipients.h"
#include "util/base/hash.h"
#include "util/ipc/channel.h"
#include "util/mail/utf8.h"

/* Owned by the session that asks. */
struct inquiry {
    struct session *session;
    struct inquiry_facts facts;
    uint32_t query;
    struct buf lines; /* "<a@b>\n<c@d>": who it leads to */
    size_t count;
    bool here;         /* the last of them is a mailbox of this host */
    UT_hash_handle hh; /* in worker->inquiries */
};

static struct span asked_for(const struct inquiry *inquiry, char text[ADDRESS_TEXT_MAX])
{
    return address_text(&inquiry->facts.address, text);
}

bool inquiry_is_asked(const struct session *session)
{
    return session->inquiry != NULL;
}

void inquiry_forget(struct session *session)
{
    struct inquiry *inquiry = session->inquiry;
    if (inquiry == NULL)
        return;
    HASH_DELETE(hh, session->worker->inquiries, inquiry);
    buf_free(&inquiry->lines);
    mem_free(inquiry);
    session->inquiry = NULL;
}

/* The text of the reply is among what is freed behind it. */
static void conclude(struct session *session, struct reply reply)
{
    static const struct span subjects[] = {
        [INQUIRY_VERIFY] = SPAN_INIT("VRFY"), [INQUIRY_EXPAND] = SPAN_INIT("EXPN")};
    enum inquiry_kind kind = session->inquiry->facts.kind;
    answer_write(session, subjects[kind], reply);
    inquiry_forget(session);
    session->progress = true;
    session_wake(session);
}

void inquiry_give_up(struct session *session)
{
    if (inquiry_is_asked(session))
        conclude(session, recipients_reply(RESOLVE_TEMPORARY));
}

/* ---- the reply ---- */

/* True when it leads to nobody but itself. */
static bool is_mailbox(const struct inquiry *inquiry)
{
    char text[ADDRESS_TEXT_MAX];
    struct span lines = buf_span(&inquiry->lines);
    struct span inside = span_first(span_skip(lines, 1), lines.len - 2);
    return inquiry->count == 1 && span_equal_nocase(inside, asked_for(inquiry, text));
}

/* RFC 5321 §3.5.3: 250 for a mailbox or a list here; 251 for one that mail is sent on from; 252
 * where only the host of its domain could tell. */
static struct reply verified(struct inquiry *inquiry, struct arena *arena)
{
    char text[ADDRESS_TEXT_MAX];
    struct span asked = asked_for(inquiry, text);
    if (inquiry->count == 1 && !inquiry->here && is_mailbox(inquiry))
        return answer(252, "2.1.5", "Send mail, and it will be tried");
    bool forwarded = inquiry->count == 1 && !inquiry->here;
    struct span lines = buf_span(&inquiry->lines);
    struct span words =
        forwarded ? arena_printf(arena, "User not local; will forward to %.*s", SPAN_ARG(lines))
                  : arena_printf(arena, "<%.*s>", SPAN_ARG(asked));
    return answer(forwarded ? 251 : 250, "2.1.5", words.data);
}

/* RFC 5321 §3.5.1: a user name is no list. */
static struct reply expanded(struct inquiry *inquiry, struct arena *arena)
{
    if (is_mailbox(inquiry))
        return answer(550, "5.2.4", "That is a user name, not a mailing list");
    return answer(250, "2.1.5", arena_copy(arena, buf_span(&inquiry->lines)).data);
}

/* RFC 6531 §3.7.4.2: a client that did not ask for UTF-8 is given none. */
static struct reply in_ascii(const struct inquiry *inquiry, struct reply reply)
{
    if (inquiry->facts.wide || utf8_is_ascii(span_cstr(reply.text)))
        return reply;
    return inquiry->facts.kind == INQUIRY_VERIFY
               ? answer(252, "2.6.8", "The answer is not ASCII: ask with SMTPUTF8")
               : answer(550, "5.6.8", "The answer is not ASCII: ask with SMTPUTF8");
}

/* Of an answer that is complete. */
static struct reply reply_of(struct inquiry *inquiry, enum resolve_status status,
                             struct arena *arena)
{
    switch (status) {
    case RESOLVE_OK:
        return in_ascii(inquiry, inquiry->facts.kind == INQUIRY_VERIFY ? verified(inquiry, arena)
                                                                       : expanded(inquiry, arena));
    case RESOLVE_DENIED:
        return recipients_reply(RESOLVE_UNKNOWN_USER);
    case RESOLVE_RELAY_DENIED:
        return answer_by("relay_domains",
                         answer(551, "5.7.1", "User not local; ask the host of that domain"));
    case RESOLVE_UNKNOWN_USER:
    case RESOLVE_LOOP:
    case RESOLVE_TOO_MANY:
    case RESOLVE_TEMPORARY:
        break;
    }
    return recipients_reply(status);
}

/* ---- the question ---- */

/* Without lookup the question waits for the next one. */
static bool send_query(struct inquiry *inquiry)
{
    const struct worker *worker = inquiry->session->worker;
    const struct resolve question = {
        .query = inquiry->query,
        .local = address_local(&inquiry->facts.address),
        .domain = address_domain(&inquiry->facts.address),
    };
    return worker->lookup == NULL || channel_send(worker->lookup, &ipc_resolve, &question, NULL);
}

/* The numbers are those of RCPT, so that an answer belongs to one question of either kind. */
void inquiry_begin(struct session *session, const struct inquiry_facts *facts)
{
    struct worker *worker = session->worker;
    struct inquiry *inquiry = mem_new(sizeof(*inquiry));
    inquiry->session = session;
    inquiry->facts = *facts;
    inquiry->query = worker_next_query(worker);
    session->inquiry = inquiry;
    HASH_ADD(hh, worker->inquiries, query, sizeof(inquiry->query), inquiry);
    if (!send_query(inquiry))
        conclude(session, recipients_reply(RESOLVE_TEMPORARY));
}

void inquiry_reconnect(struct worker *worker)
{
    struct inquiry *each, *following;
    HASH_ITER (hh, worker->inquiries, each, following) {
        buf_reset(&each->lines);
        each->count = 0;
        if (!send_query(each))
            conclude(each->session, recipients_reply(RESOLVE_TEMPORARY));
    }
}

/* ---- the answer ---- */

static void add_line(struct inquiry *inquiry, const struct resolved *answer)
{
    buf_add(&inquiry->lines, inquiry->count > 0 ? SPAN("\n<") : SPAN("<"));
    buf_add(&inquiry->lines, answer->address);
    buf_add(&inquiry->lines, SPAN(">"));
    inquiry->here = span_equal(answer->transport, SPAN("local"));
    inquiry->count++;
}

void inquiry_resolved(struct worker *worker, const struct resolved *answer)
{
    struct inquiry *inquiry;
    HASH_FIND(hh, worker->inquiries, &answer->query, sizeof(answer->query), inquiry);
    if (inquiry == NULL)
        return;
    enum resolve_status status = (enum resolve_status)answer->status;
    bool overflows = inquiry->count >= worker->conf->limits.alias_expansion;
    if (status == RESOLVE_OK && !overflows)
        add_line(inquiry, answer);
    if (status == RESOLVE_OK && answer->more && !overflows)
        return;
    struct arena arena = {0};
    conclude(inquiry->session, reply_of(inquiry, overflows ? RESOLVE_TOO_MANY : status, &arena));
    arena_free(&arena);
}
