/*
 * Why every bound is here and nowhere else: whoever decodes a message may rely on it. An enum's
 * bound is its last member, so a decoded one may index a table; a span's bound is what the longest
 * honest value needs. Whoever adds a member to an enum at its end looks here.
 */
#include "util/ipc/messages.h"

#include "util/conf/conf.h"
#include "util/mail/access_table.h"
#include "util/mail/senders_table.h"
#include "util/sys/role.h"

enum {
    MOST_FLAG = 1,
    MOST_U8 = UINT8_MAX,
    MOST_U16 = UINT16_MAX,
    MOST_ADDRESS = 512, /* RFC 5321 §4.5.3.1: 64 + "@" + 255, quoted, with room */
    MOST_NAME = 255,    /* RFC 5321 §4.5.3.1.2, and a listener's, a transport's name */
    MOST_PATH = 4096,   /* PATH_MAX */
    MOST_TEXT = 2048,   /* a remote's words, bounded; a part of an answer */
    MOST_ENHANCED = 16, /* RFC 3463 §2: "5.999.999" */
    MOST_PASSWORD = 4096,
    MOST_CLIENT = 64, /* NET_TEXT_MAX */
    MOST_KEY = 64,
    MOST_CODE = 599 /* RFC 5321 §4.2.1 */
};

#define MOST_U32 UINT32_MAX

#define FIELD(message, member, of_kind, bound)                                                     \
    {                                                                                              \
        .name = #member, .kind = (of_kind), .offset = offsetof(struct message, member),            \
        .most = (bound)                                                                            \
    }
#define SECRET(message, member, of_kind, bound)                                                    \
    {                                                                                              \
        .name = #member, .kind = (of_kind), .offset = offsetof(struct message, member),            \
        .most = (bound), .secret = true                                                            \
    }
#define TABLE(message, descriptors)                                                                \
    const struct ipc_type ipc_##message = {                                                        \
        .name = #message,                                                                          \
        .id = IPC_ID_##message,                                                                    \
        .size = sizeof(struct message),                                                            \
        .fds = (descriptors),                                                                      \
        .fields = message##_fields,                                                                \
        .field_count = sizeof(message##_fields) / sizeof(message##_fields[0]),                     \
    }

/* ---- master and every child ---- */

static const struct ipc_field control_config_fields[] = {
    FIELD(control_config, name, IPC_SPAN, MOST_PATH),
};
TABLE(control_config, 1);

static const struct ipc_field control_page_fields[] = {
    FIELD(control_page, role, IPC_U8, ROLE_COUNT - 1),
    FIELD(control_page, index, IPC_U16, MOST_U16),
    FIELD(control_page, own, IPC_U8, MOST_FLAG),
};
TABLE(control_page, 1);

static const struct ipc_field control_listener_fields[] = {
    FIELD(control_listener, service, IPC_U8, SERVICE_COUNT - 1),
    FIELD(control_listener, tls, IPC_U8, LISTEN_IMPLICIT),
    FIELD(control_listener, proxy, IPC_U8, 1),
    FIELD(control_listener, name, IPC_SPAN, MOST_NAME),
};
TABLE(control_listener, 1);

static const struct ipc_field control_peer_fields[] = {
    FIELD(control_peer, role, IPC_U8, ROLE_COUNT - 1),
    FIELD(control_peer, index, IPC_U16, MOST_U16),
};
TABLE(control_peer, 1);

static const struct ipc_field control_key_fields[] = {
    SECRET(control_key, key, IPC_SPAN, MOST_KEY),
};
TABLE(control_key, 0);

static const struct ipc_field control_tickets_fields[] = {
    FIELD(control_tickets, period, IPC_U64, 0),
    SECRET(control_tickets, secret, IPC_SPAN, MOST_KEY),
};
TABLE(control_tickets, 0);

static const struct ipc_field control_rates_fields[] = {
    FIELD(control_rates, unused, IPC_U8, MOST_U8),
};
TABLE(control_rates, 1);

static const struct ipc_field control_start_fields[] = {
    FIELD(control_start, index, IPC_U16, MOST_U16),
    FIELD(control_start, generation, IPC_U32, MOST_U32),
};
TABLE(control_start, 0);

static const struct ipc_field control_ready_fields[] = {
    FIELD(control_ready, unused, IPC_U8, MOST_U8),
};
TABLE(control_ready, 0);

static const struct ipc_field control_drain_fields[] = {
    FIELD(control_drain, patient, IPC_U8, 1),
};
TABLE(control_drain, 0);

static const struct ipc_field control_unlinked_fields[] = {
    FIELD(control_unlinked, role, IPC_U8, ROLE_COUNT - 1),
    FIELD(control_unlinked, index, IPC_U16, MOST_U16),
};
TABLE(control_unlinked, 0);

/* ---- smtpd and qmgr ---- */

static const struct ipc_field segment_held_fields[] = {
    FIELD(segment_held, number, IPC_U64, 0),
    FIELD(segment_held, durable_end, IPC_U64, 0),
    SECRET(segment_held, salt, IPC_SALT, 0),
    FIELD(segment_held, last, IPC_U8, MOST_FLAG),
};
TABLE(segment_held, 0);

static const struct ipc_field segment_want_fields[] = {
    FIELD(segment_want, shared, IPC_U8, MOST_U8),
    FIELD(segment_want, private, IPC_U8, MOST_U8),
};
TABLE(segment_want, 0);

static const struct ipc_field segment_give_fields[] = {
    FIELD(segment_give, number, IPC_U64, 0),
    SECRET(segment_give, salt, IPC_SALT, 0),
    FIELD(segment_give, kind, IPC_U8, SPOOL_PRIVATE),
    FIELD(segment_give, size, IPC_U64, 0),
};
TABLE(segment_give, 1);

static const struct ipc_field segment_durable_fields[] = {
    FIELD(segment_durable, number, IPC_U64, 0),
    FIELD(segment_durable, end, IPC_U64, 0),
};
TABLE(segment_durable, 0);

static const struct ipc_field segment_sealed_fields[] = {
    FIELD(segment_sealed, number, IPC_U64, 0),
    FIELD(segment_sealed, end, IPC_U64, 0),
};
TABLE(segment_sealed, 0);

static const struct ipc_field queue_run_fields[] = {
    FIELD(queue_run, query, IPC_U32, MOST_U32),
    FIELD(queue_run, subdomains, IPC_U8, MOST_FLAG),
    FIELD(queue_run, domain, IPC_SPAN, MOST_NAME),
};
TABLE(queue_run, 0);

static const struct ipc_field queue_run_answer_fields[] = {
    FIELD(queue_run_answer, query, IPC_U32, MOST_U32),
    FIELD(queue_run_answer, status, IPC_U8, QUEUE_RUN_REFUSED),
    FIELD(queue_run_answer, count, IPC_U32, MOST_U32),
};
TABLE(queue_run_answer, 0);

/* ---- lookup ---- */

static const struct ipc_field resolve_fields[] = {
    FIELD(resolve, query, IPC_U32, MOST_U32),
    FIELD(resolve, local, IPC_SPAN, MOST_ADDRESS),
    FIELD(resolve, domain, IPC_SPAN, MOST_NAME),
    FIELD(resolve, flags, IPC_U8, MOST_U8),
};
TABLE(resolve, 0);

static const struct ipc_field resolved_fields[] = {
    FIELD(resolved, query, IPC_U32, MOST_U32),
    FIELD(resolved, status, IPC_U8, RESOLVE_DENIED),
    FIELD(resolved, more, IPC_U8, MOST_FLAG),
    FIELD(resolved, address, IPC_SPAN, MOST_ADDRESS),
    FIELD(resolved, transport, IPC_SPAN, MOST_NAME),
    FIELD(resolved, nexthop, IPC_SPAN, MOST_PATH),
};
TABLE(resolved, 0);

static const struct ipc_field mailbox_ask_fields[] = {
    FIELD(mailbox_ask, query, IPC_U32, MOST_U32),
    FIELD(mailbox_ask, user, IPC_SPAN, MOST_ADDRESS),
};
TABLE(mailbox_ask, 0);

static const struct ipc_field mailbox_answer_fields[] = {
    FIELD(mailbox_answer, query, IPC_U32, MOST_U32),
    FIELD(mailbox_answer, status, IPC_U8, RESOLVE_DENIED),
    FIELD(mailbox_answer, path, IPC_SPAN, MOST_PATH),
};
TABLE(mailbox_answer, 0);

static const struct ipc_field access_ask_fields[] = {
    FIELD(access_ask, query, IPC_U32, MOST_U32),
    FIELD(access_ask, kinds, IPC_U8, ACCESS_ASK_ALL),
    FIELD(access_ask, client, IPC_SPAN, MOST_CLIENT),
    FIELD(access_ask, name, IPC_SPAN, MOST_NAME),
    FIELD(access_ask, helo, IPC_SPAN, MOST_NAME),
    FIELD(access_ask, sender, IPC_SPAN, MOST_ADDRESS),
    FIELD(access_ask, recipient, IPC_SPAN, MOST_ADDRESS),
};
TABLE(access_ask, 0);

static const struct ipc_field access_answer_fields[] = {
    FIELD(access_answer, query, IPC_U32, MOST_U32),
    FIELD(access_answer, status, IPC_U8, ACCESS_ABSENT),
    FIELD(access_answer, kind, IPC_U8, ACCESS_KINDS - 1),
    FIELD(access_answer, ok, IPC_U8, ACCESS_ASK_ALL),
    FIELD(access_answer, held, IPC_U8, ACCESS_ASK_ALL),
    FIELD(access_answer, code, IPC_U16, MOST_CODE),
    FIELD(access_answer, enhanced, IPC_SPAN, MOST_ENHANCED),
    FIELD(access_answer, text, IPC_SPAN, ACCESS_TEXT_MAX),
    FIELD(access_answer, line, IPC_U32, MOST_U32),
};
TABLE(access_answer, 0);

static const struct ipc_field sender_ask_fields[] = {
    FIELD(sender_ask, query, IPC_U32, MOST_U32),
    FIELD(sender_ask, login, IPC_SPAN, MOST_ADDRESS),
    FIELD(sender_ask, address, IPC_SPAN, MOST_ADDRESS),
};
TABLE(sender_ask, 0);

static const struct ipc_field sender_answer_fields[] = {
    FIELD(sender_answer, query, IPC_U32, MOST_U32),
    FIELD(sender_answer, verdict, IPC_U8, SENDERS_ERROR),
    FIELD(sender_answer, line, IPC_U32, MOST_U32),
};
TABLE(sender_answer, 0);

static const struct ipc_field greylist_ask_fields[] = {
    FIELD(greylist_ask, query, IPC_U32, MOST_U32),
    FIELD(greylist_ask, client, IPC_SPAN, MOST_CLIENT),
    FIELD(greylist_ask, sender, IPC_SPAN, MOST_ADDRESS),
    FIELD(greylist_ask, recipient, IPC_SPAN, MOST_ADDRESS),
};
TABLE(greylist_ask, 0);

static const struct ipc_field greylist_answer_fields[] = {
    FIELD(greylist_answer, query, IPC_U32, MOST_U32),
    FIELD(greylist_answer, wait, IPC_U32, MOST_U32),
};
TABLE(greylist_answer, 0);

/* ---- qmgr and the delivery agents ---- */

static const struct ipc_field agent_credit_fields[] = {
    FIELD(agent_credit, jobs, IPC_U16, MOST_U16),
};
TABLE(agent_credit, 0);

static const struct ipc_field agent_segment_fields[] = {
    FIELD(agent_segment, number, IPC_U64, 0),
    SECRET(agent_segment, salt, IPC_SALT, 0),
};
TABLE(agent_segment, 1);

static const struct ipc_field agent_forget_fields[] = {
    FIELD(agent_forget, number, IPC_U64, 0),
};
TABLE(agent_forget, 0);

static const struct ipc_field job_fields[] = {
    FIELD(job, job, IPC_U64, 0),        FIELD(job, number, IPC_U64, 0),
    FIELD(job, offset, IPC_U64, 0),     FIELD(job, recipient, IPC_U16, MOST_U16),
    FIELD(job, flags, IPC_U8, MOST_U8), FIELD(job, nexthop, IPC_SPAN, MOST_PATH),
};
TABLE(job, 0);

static const struct ipc_field job_result_fields[] = {
    FIELD(job_result, job, IPC_U64, 0),
    FIELD(job_result, fate, IPC_U8, JOB_DAMAGED),
    FIELD(job_result, enhanced, IPC_SPAN, MOST_ENHANCED),
    FIELD(job_result, text, IPC_SPAN, MOST_TEXT),
};
TABLE(job_result, 0);

/* ---- pop3d, submission, auth and mailbox ---- */

static const struct ipc_field verify_fields[] = {
    FIELD(verify, query, IPC_U32, MOST_U32),
    FIELD(verify, user, IPC_SPAN, MOST_ADDRESS),
    SECRET(verify, password, IPC_SPAN, MOST_PASSWORD),
    FIELD(verify, client, IPC_SPAN, MOST_CLIENT),
    FIELD(verify, session, IPC_U64, 0),
};
TABLE(verify, 0);

static const struct ipc_field verdict_fields[] = {
    FIELD(verdict, query, IPC_U32, MOST_U32),
    FIELD(verdict, status, IPC_U8, VERIFY_MALFORMED),
    FIELD(verdict, user, IPC_SPAN, MOST_ADDRESS),
    SECRET(verdict, ticket, IPC_SPAN, TICKET_SIZE),
};
TABLE(verdict, 0);

static const struct ipc_field sasl_begin_fields[] = {
    FIELD(sasl_begin, query, IPC_U32, MOST_U32),
    FIELD(sasl_begin, mechanism, IPC_U8, SASL_SCRAM_SHA_256_PLUS),
    FIELD(sasl_begin, has_initial, IPC_U8, MOST_FLAG),
    SECRET(sasl_begin, initial, IPC_SPAN, SASL_MESSAGE_MAX),
    FIELD(sasl_begin, client, IPC_SPAN, MOST_CLIENT),
    FIELD(sasl_begin, session, IPC_U64, 0),
    FIELD(sasl_begin, binding_kind, IPC_U8, SASL_BINDING_TLS_EXPORTER),
    SECRET(sasl_begin, binding, IPC_SPAN, SASL_BINDING_MAX),
};
TABLE(sasl_begin, 0);

static const struct ipc_field sasl_challenge_fields[] = {
    FIELD(sasl_challenge, query, IPC_U32, MOST_U32),
    SECRET(sasl_challenge, data, IPC_SPAN, SASL_MESSAGE_MAX),
};
TABLE(sasl_challenge, 0);

static const struct ipc_field sasl_continue_fields[] = {
    FIELD(sasl_continue, query, IPC_U32, MOST_U32),
    SECRET(sasl_continue, response, IPC_SPAN, SASL_MESSAGE_MAX),
};
TABLE(sasl_continue, 0);

static const struct ipc_field sasl_abort_fields[] = {
    FIELD(sasl_abort, query, IPC_U32, MOST_U32),
};
TABLE(sasl_abort, 0);

static const struct ipc_field mailbox_open_fields[] = {
    FIELD(mailbox_open, query, IPC_U32, MOST_U32),
    FIELD(mailbox_open, user, IPC_SPAN, MOST_ADDRESS),
    FIELD(mailbox_open, session, IPC_U64, 0),
    SECRET(mailbox_open, ticket, IPC_SPAN, TICKET_SIZE),
};
TABLE(mailbox_open, 0);

static const struct ipc_field mailbox_opened_fields[] = {
    FIELD(mailbox_opened, query, IPC_U32, MOST_U32),
    FIELD(mailbox_opened, count, IPC_U32, MOST_U32),
};
TABLE(mailbox_opened, 2);

static const struct ipc_field mailbox_refused_fields[] = {
    FIELD(mailbox_refused, query, IPC_U32, MOST_U32),
    FIELD(mailbox_refused, status, IPC_U8, MAILBOX_PARTIAL),
};
TABLE(mailbox_refused, 0);

static const struct ipc_field mailbox_fetch_fields[] = {
    FIELD(mailbox_fetch, query, IPC_U32, MOST_U32),
    FIELD(mailbox_fetch, user, IPC_SPAN, MOST_ADDRESS),
    FIELD(mailbox_fetch, first, IPC_U32, MOST_U32),
    FIELD(mailbox_fetch, names, IPC_SPAN, MAILBOX_NAMES_MAX),
};
TABLE(mailbox_fetch, 1);

static const struct ipc_field mailbox_message_fields[] = {
    FIELD(mailbox_message, query, IPC_U32, MOST_U32),
    FIELD(mailbox_message, index, IPC_U32, MOST_U32),
};
TABLE(mailbox_message, 1);

static const struct ipc_field mailbox_missing_fields[] = {
    FIELD(mailbox_missing, query, IPC_U32, MOST_U32),
    FIELD(mailbox_missing, index, IPC_U32, MOST_U32),
};
TABLE(mailbox_missing, 0);

static const struct ipc_field mailbox_delete_fields[] = {
    FIELD(mailbox_delete, query, IPC_U32, MOST_U32),
    FIELD(mailbox_delete, user, IPC_SPAN, MOST_ADDRESS),
    FIELD(mailbox_delete, names, IPC_SPAN, MAILBOX_NAMES_MAX),
};
TABLE(mailbox_delete, 1);

static const struct ipc_field mailbox_deleted_fields[] = {
    FIELD(mailbox_deleted, query, IPC_U32, MOST_U32),
    FIELD(mailbox_deleted, status, IPC_U8, MAILBOX_PARTIAL),
    FIELD(mailbox_deleted, count, IPC_U32, MOST_U32),
};
TABLE(mailbox_deleted, 0);

/* ---- the operator and master ---- */

static const struct ipc_field operator_ask_fields[] = {
    FIELD(operator_ask, what, IPC_U8, OPERATOR_STOP),
};
TABLE(operator_ask, 0);

static const struct ipc_field operator_answer_fields[] = {
    FIELD(operator_answer, ok, IPC_U8, MOST_FLAG),
    FIELD(operator_answer, more, IPC_U8, MOST_FLAG),
    FIELD(operator_answer, text, IPC_SPAN, MOST_TEXT),
};
TABLE(operator_answer, 0);

/* ---- all of them ---- */

#define BY_ID(number, name) [(number)] = &ipc_##name,
static const struct ipc_type *const types_by_id[] = {IPC_MESSAGES(BY_ID)};
#undef BY_ID

#define IN_ORDER(number, name) &ipc_##name,
static const struct ipc_type *const all_types[] = {IPC_MESSAGES(IN_ORDER)};
#undef IN_ORDER

/* Ids leave gaps between the groups; a gap is NULL. */
const struct ipc_type *ipc_type_of(uint16_t id)
{
    return id < sizeof(types_by_id) / sizeof(types_by_id[0]) ? types_by_id[id] : NULL;
}

/* In the order of the list; nothing depends on it. */
const struct ipc_type *const *ipc_types(size_t *count)
{
    *count = sizeof(all_types) / sizeof(all_types[0]);
    return all_types;
}
