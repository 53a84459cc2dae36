/*
 * messages - everything that processes say to each other, one struct and one table each.
 *
 * Spans are bounded by the table (messages.c). Numbers that name something ("query", "job") are
 * chosen by the asking side and come back in the answer. An answer may come in any order.
 */
#ifndef VEREDUS_IPC_MESSAGES_H
#define VEREDUS_IPC_MESSAGES_H

#include "util/ipc/codec.h"
#include "util/spool/format.h"

/* ---- master and every child ---- */

/* The text of the configuration in a sealed memfd: what master itself parsed. One descriptor. */
struct control_config {
    struct span name; /* of the file, for messages and for relative paths */
};

/* A shared page; one descriptor. Its own one may be mapped for writing, others are read-only. */
struct control_page {
    uint8_t role;
    uint16_t index;
    uint8_t own;
};

/* A listening socket; one descriptor. */
struct control_listener {
    uint8_t service; /* enum conf_service */
    uint8_t tls;     /* enum conf_listen_tls */
    uint8_t proxy;   /* 1: a header of the PROXY protocol comes first */
    struct span name;
};

/* A socket to another process; one descriptor. May come at any time: the other was started anew. */
struct control_peer {
    uint8_t role;
    uint16_t index;
};

/* The key of login tickets: to auth and mailbox alone. */
struct control_key {
    struct span key; /* 32 octets */
};

/* The ratchet of session tickets (tls_tickets.h): to those who serve TLS. */
struct control_tickets {
    uint64_t period;
    struct span secret; /* 32 octets */
};

/* The memory of all rates (rates.h): to those who serve the network. One descriptor. */
struct control_rates {
    uint8_t unused;
};

/* Everything was sent: sandbox, start, answer ready. */
struct control_start {
    uint16_t index;
    uint32_t generation;
};

/* The child serves; master counts on it from here on. */
struct control_ready {
    uint8_t unused;
};

/* Take nothing new, finish, exit 0. Patient (a reload): clients may go on until they leave or are
 * idle; else (a stop) those without a transaction are sent away. May come again, impatient. */
struct control_drain {
    uint8_t patient;
};

/* A child's socket to this process broke: if both live, master makes another pair for them. */
struct control_unlinked {
    uint8_t role;
    uint16_t index;
};

/* ---- smtpd and qmgr: segments ---- */

/* smtpd, first on every new socket and for each segment in hand; `last` ends the list (number 0
 * when there is none). Until then qmgr gives nothing and releases nothing. */
struct segment_held {
    uint64_t number; /* 0: none, only `last` counts */
    uint64_t durable_end;
    struct spool_salt salt; /* as it was given: nobody else can speak for the segment */
    uint8_t last;
};

/* smtpd lacks so many of each kind now (not a sum over calls: the latest word counts). */
struct segment_want {
    uint8_t shared;
    uint8_t private;
};

/* qmgr hands one out; one descriptor, write-only. */
struct segment_give {
    uint64_t number;
    struct spool_salt salt;
    uint8_t kind; /* enum spool_kind */
    uint64_t size;
};

/* smtpd: everything before `end` is on the disk, qmgr may index it. */
struct segment_durable {
    uint64_t number;
    uint64_t end;
};

/* smtpd: nothing follows behind `end`; its descriptor is closed. */
struct segment_sealed {
    uint64_t number;
    uint64_t end;
};

/* smtpd: a client wants what waits for its domain to be tried now (RFC 1985). */
struct queue_run {
    uint32_t query;
    uint8_t subdomains; /* 1: and for the names beneath it */
    struct span domain;
};

enum queue_run_status {
    QUEUE_RUN_STARTED, /* 250 there may be something: it is looked for */
    QUEUE_RUN_NOTHING, /* 251 nothing waits */
    QUEUE_RUN_PENDING, /* 252 something waits, and there may be more */
    QUEUE_RUN_COUNTED, /* 253 `count` messages wait */
    QUEUE_RUN_REFUSED  /* 458 not now */
};

struct queue_run_answer {
    uint32_t query;
    uint8_t status;
    uint32_t count;
};

/* ---- smtpd, qmgr, local and lookup ---- */

enum { RESOLVE_TRUSTED = 1 /* the client may relay */ };

/* May this recipient be taken, and who are its final recipients? */
struct resolve {
    uint32_t query;
    struct span local;  /* unquoted */
    struct span domain; /* lower case */
    uint8_t flags;
};

enum resolve_status {
    RESOLVE_OK,
    RESOLVE_UNKNOWN_USER, /* 550 5.1.1 */
    RESOLVE_RELAY_DENIED, /* 554 5.7.1 */
    RESOLVE_LOOP,         /* 550 5.4.6 an alias that leads to itself or too deep */
    RESOLVE_TOO_MANY,     /* 550 5.3.4 more final recipients than alias_expansion */
    RESOLVE_TEMPORARY,    /* 451 4.3.0 a table could not be read */
    RESOLVE_DENIED        /* 550 5.1.1 a target that aliases may not have (|command, /file) */
};

/* The answer: for RESOLVE_OK one message a final recipient, `more` set on all but the last. */
struct resolved {
    uint32_t query;
    uint8_t status;
    uint8_t more;
    struct span address;   /* "local@domain", quoted where needed */
    struct span transport; /* "local", "discard", "smtp" ... */
    struct span nexthop;   /* local: the mailbox beneath the mail root, "example.test/alice" */
};

/* mailbox asks where a user's mailbox lies. */
struct mailbox_ask {
    uint32_t query;
    struct span user; /* "alice@example.test" */
};

struct mailbox_answer {
    uint32_t query;
    uint8_t status;   /* RESOLVE_OK, RESOLVE_UNKNOWN_USER or RESOLVE_TEMPORARY */
    struct span path; /* beneath the mail root */
};

/* What the table `access` says; smtpd asks with what it knows at one moment, several keys at once.
 */
enum {
    ACCESS_ASK_CLIENT = 1, /* bits of `kinds`: 1 << enum access_kind */
    ACCESS_ASK_HELO = 2,
    ACCESS_ASK_SENDER = 4,
    ACCESS_ASK_RECIPIENT = 8,
    ACCESS_ASK_ALL = 15
};

struct access_ask {
    uint32_t query;
    uint8_t kinds;
    struct span client;    /* address as text */
    struct span name;      /* of the client, forward-confirmed; empty: none is */
    struct span helo;      /* as it was given */
    struct span sender;    /* as text; empty: the null reverse-path */
    struct span recipient; /* as text */
};

/* ACCESS_TEMPORARY: the table can not be read. ACCESS_ABSENT: there is none, so that every question
 * would have this answer. */
enum access_status { ACCESS_CLEAR, ACCESS_REFUSED, ACCESS_TEMPORARY, ACCESS_ABSENT };

/* The first refusal, in the order of the kinds; and which kinds are OK or to be held. */
struct access_answer {
    uint32_t query;
    uint8_t status; /* enum access_status */
    uint8_t kind;   /* enum access_kind: of the line */
    uint8_t ok;     /* bits as in `kinds` */
    uint8_t held;
    uint16_t code;        /* only ACCESS_REFUSED, like the next two */
    struct span enhanced; /* "5.7.1" */
    struct span text;     /* printable ASCII */
    uint32_t line;        /* of the refusal, else of the last OK or HOLD; 0: nothing was found */
};

/* May this login send from this address? The table `senders`. */
struct sender_ask {
    uint32_t query;
    struct span login;   /* canonical, as the verdict gave it */
    struct span address; /* as text */
};

struct sender_answer {
    uint32_t query;
    uint8_t verdict; /* enum senders_verdict */
    uint32_t line;
};

/* Has this letter been tried before? Asked of a letter that would be taken otherwise; lookup notes
 * it. */
struct greylist_ask {
    uint32_t query;
    struct span client;    /* address as text */
    struct span sender;    /* as text; empty: the null reverse-path */
    struct span recipient; /* as text */
};

struct greylist_answer {
    uint32_t query;
    uint32_t wait; /* seconds that are left; 0: it is to be taken */
};

/* ---- qmgr and the delivery agents ---- */

/* The agent can take so many jobs more. */
struct agent_credit {
    uint16_t jobs;
};

/* A segment that jobs will name; one descriptor, read-only. */
struct agent_segment {
    uint64_t number;
    struct spool_salt salt;
};

/* No job will name it again: close it. */
struct agent_forget {
    uint64_t number;
};

enum {
    JOB_SEEN_BEFORE = 1 /* an agent had it before, or may have: look whether it was delivered */
};

/* One recipient of one record. */
struct job {
    uint64_t job;
    uint64_t number;
    uint64_t offset;
    uint16_t recipient;
    uint8_t flags;
    struct span nexthop;
};

/* JOB_DELIVERED and JOB_FAILED are the last word on that recipient, JOB_DEFERRED is tried again.
 * JOB_DAMAGED: the letter can not be what was accepted; qmgr looks for itself. */
enum job_fate { JOB_DELIVERED, JOB_DEFERRED, JOB_FAILED, JOB_DAMAGED };

struct job_result {
    uint64_t job;
    uint8_t fate;
    struct span enhanced; /* "2.0.0" */
    struct span text;     /* for people: the log and the bounce */
};

/* ---- pop3d, submission, auth and mailbox ---- */

enum { TICKET_SIZE = 48 /* expiry u64, session u64, HMAC-SHA-256 */ };

/* Is this the password of that user? auth answers with a verdict. */
struct verify {
    uint32_t query;
    struct span user;     /* as the client gave it */
    struct span password; /* secret */
    struct span client;   /* address as text */
    uint64_t session;
};

/* VERIFY_FAILED: the password was wrong or there is no such user, and nobody is told which.
 * VERIFY_MALFORMED: what the client sent is no message of its SASL mechanism. */
enum verify_status { VERIFY_OK, VERIFY_FAILED, VERIFY_TEMPORARY, VERIFY_MALFORMED };

/* Ends a verify or a SASL exchange. The ticket is empty unless the status is VERIFY_OK and the
 * asker serves mailboxes. */
struct verdict {
    uint32_t query;
    uint8_t status;
    struct span user;   /* canonical: "alice@example.test"; empty when it was not given yet */
    struct span ticket; /* TICKET_SIZE octets; secret */
};

/* The mechanisms there are; whatever else the library knows is not asked for. */
enum sasl_mechanism { SASL_PLAIN, SASL_LOGIN, SASL_SCRAM_SHA_256, SASL_SCRAM_SHA_256_PLUS };

/* What ties an exchange to its TLS connection: RFC 5929 §3, RFC 9266. */
enum sasl_binding { SASL_BINDING_NONE, SASL_BINDING_TLS_UNIQUE, SASL_BINDING_TLS_EXPORTER };

/* RFC 4954 §4: a line holds 12288 digits of base64 at most, so many octets. */
enum { SASL_MESSAGE_MAX = 12288 / 4 * 3, SASL_BINDING_MAX = 64 };

/* A SASL exchange begins (RFC 4422 §3). auth answers with sasl_challenge, as often as it takes, or
 * with the verdict, which ends it. A binding says that SCRAM-SHA-256-PLUS was offered. */
struct sasl_begin {
    uint32_t query;      /* not that of another exchange under way */
    uint8_t mechanism;   /* enum sasl_mechanism */
    uint8_t has_initial; /* an initial response came with it, perhaps an empty one */
    struct span initial; /* secret */
    struct span client;  /* address as text */
    uint64_t session;
    uint8_t binding_kind; /* enum sasl_binding */
    struct span binding;  /* its octets; secret */
};

/* auth: the client is to answer this. */
struct sasl_challenge {
    uint32_t query;
    struct span data;
};

/* It did; to the last challenge of that query. */
struct sasl_continue {
    uint32_t query;
    struct span response; /* secret */
};

/* The client cancelled, or is gone: no verdict is wanted. */
struct sasl_abort {
    uint32_t query;
};

/* Opens the mailbox of `user`, whom the ticket vouches for. */
struct mailbox_open {
    uint32_t query;
    struct span user;
    uint64_t session;
    struct span ticket;
};

enum mailbox_status {
    MAILBOX_OK,
    MAILBOX_IN_USE,
    MAILBOX_DENIED,
    MAILBOX_TEMPORARY,
    MAILBOX_PARTIAL
};

/* The mailbox is open: two descriptors, the lock (flocked: its life is the session's) and the list,
 * a sealed memfd of `count` entries (local/mailbox_list.h), each with the name of its file. */
struct mailbox_opened {
    uint32_t query;
    uint32_t count;
};

/* It is not. */
struct mailbox_refused {
    uint32_t query;
    uint8_t status;
};

enum {
    MAILBOX_NAMES_MAX = 32768, /* octets of `names` below */
    MAILBOX_FETCH_MOST = 60    /* names in one mailbox_fetch: their answers fit into one packet */
};

/* Asks for messages by the names of the list, each with a NUL behind it: local remembers nothing
 * between two requests. One descriptor: the lock, which proves the right. Every name is answered,
 * by mailbox_message or mailbox_missing; the first name has index `first`, the next one first + 1.
 */
struct mailbox_fetch {
    uint32_t query;
    struct span user;
    uint32_t first;
    struct span names;
};

/* One message, one descriptor, read-only; those that can not be opened come as mailbox_missing. */
struct mailbox_message {
    uint32_t query;
    uint32_t index;
};

/* The file of that name is gone, or can not be read. */
struct mailbox_missing {
    uint32_t query;
    uint32_t index;
};

/* Deletes the messages of these names (as in mailbox_fetch, but any number); one descriptor: the
 * lock. Each is answered with mailbox_deleted; pop3d sends the next part of a long list after that.
 */
struct mailbox_delete {
    uint32_t query;
    struct span user;
    struct span names;
};

/* `count` of them are gone, durably; one that was gone already counts. */
struct mailbox_deleted {
    uint32_t query;
    uint8_t status; /* MAILBOX_OK, or MAILBOX_PARTIAL when some remained */
    uint32_t count;
};

/* ---- the operator and master ---- */

/* One packet of the command to master. */
struct operator_ask {
    uint8_t what; /* enum operator_request */
};

/* What the operator's command can ask of a running master. */
enum operator_request { OPERATOR_STATUS, OPERATOR_RELOAD, OPERATOR_STOP };

/* `more` is set on all but the last. */
struct operator_answer {
    uint8_t ok;
    uint8_t more;
    struct span text; /* lines for people */
};

/* ---- the tables ---- */

/* clang-format off */
#define IPC_MESSAGES(X) \
    X(1, control_config) X(2, control_page) X(3, control_listener) X(4, control_peer) \
    X(5, control_key) X(6, control_start) X(7, control_ready) X(8, control_drain) \
    X(9, control_unlinked) X(10, control_tickets) X(11, control_rates) \
    X(16, segment_held) X(17, segment_want) X(18, segment_give) X(19, segment_durable) \
    X(20, segment_sealed) X(21, queue_run) X(22, queue_run_answer) \
    X(32, resolve) X(33, resolved) X(34, mailbox_ask) X(35, mailbox_answer) \
    X(36, access_ask) X(37, access_answer) X(38, sender_ask) X(39, sender_answer) \
    X(40, greylist_ask) X(41, greylist_answer) \
    X(48, agent_credit) X(49, agent_segment) X(50, agent_forget) X(51, job) X(52, job_result) \
    X(64, verify) X(65, verdict) X(66, mailbox_open) X(67, mailbox_opened) \
    X(68, mailbox_refused) X(69, mailbox_fetch) X(70, mailbox_message) X(71, mailbox_missing) \
    X(72, mailbox_delete) X(73, mailbox_deleted) \
    X(74, sasl_begin) X(75, sasl_challenge) X(76, sasl_continue) X(77, sasl_abort) \
    X(80, operator_ask) X(81, operator_answer)
/* clang-format on */

/* ipc_job, ipc_resolve ...: the table of each message. */
#define IPC_DECLARE(id, name) extern const struct ipc_type ipc_##name;
IPC_MESSAGES(IPC_DECLARE)
#undef IPC_DECLARE

#define IPC_ID(number, name) IPC_ID_##name = (number),
enum ipc_id { IPC_MESSAGES(IPC_ID) };
#undef IPC_ID

/* The table with this number; NULL when there is none. */
const struct ipc_type *ipc_type_of(uint16_t id);

/* The list of all tables, for fuzzing and tests; *count is their number. */
const struct ipc_type *const *ipc_types(size_t *count);

#endif
