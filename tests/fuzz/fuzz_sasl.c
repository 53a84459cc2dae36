/*
 * The SMTP side of AUTH, its messages over a codec, and the server's side of SCRAM and PLAIN behind
 * it. The first octet says how the connection stands; then come lines. No password is known, so no
 * input may ever be let in; and whatever is said, at the end nothing is left.
 */
#include "tests/fuzz/fuzz.h"

#include "auth/plain.h"
#include "auth/scram.h"
#include "smtpd/sasl_exchange.h"
#include "util/base/log.h"

/* The part of auth that needs no loop: what it is told it answers as auth would. */
struct rig {
    struct sasl_exchange exchange;
    struct scram_server *server;
    struct scram *scram;
    struct buf said; /* to the client */
    bool wrong;      /* the verdict to give when asked */
    bool asked;      /* there is something to answer */
    struct span challenge;
};

static struct conf conf;

static void on_answer(void *arg, struct reply reply, struct span user)
{
    struct rig *rig = arg;
    require(user.len == 0 && reply.code != 235);
    require(reply_write(&rig->said, reply));
}

static void step(struct rig *rig, enum sasl_mechanism mechanism, struct span message)
{
    struct plain plain;
    if (mechanism == SASL_PLAIN && plain_parse(message, &plain))
        require(span_find(plain.password, '\0') == plain.password.len && plain.authcid.len > 0);
    enum scram_result result = SCRAM_WRONG;
    if (rig->scram)
        result = scram_step(rig->scram, message, &rig->challenge);
    require(result != SCRAM_RIGHT);
    rig->wrong = result != SCRAM_MORE;
    rig->asked = true;
}

static bool on_send(void *arg, const struct ipc_type *type, const void *message)
{
    struct rig *rig = arg;
    struct buf frame = {0};
    require(ipc_encode(type, message, &frame));
    buf_free(&frame);
    if (type == &ipc_sasl_begin) {
        const struct sasl_begin *begin = message;
        enum sasl_mechanism mechanism = (enum sasl_mechanism)begin->mechanism;
        require(!rig->scram);
        if (mechanism >= SASL_SCRAM_SHA_256)
            rig->scram = scram_new(rig->server, mechanism == SASL_SCRAM_SHA_256_PLUS,
                                   (enum sasl_binding)begin->binding_kind, begin->binding);
        step(rig, mechanism, begin->initial);
    } else if (type == &ipc_sasl_continue) {
        step(rig, rig->exchange.mechanism, ((const struct sasl_continue *)message)->response);
    }
    return true;
}

/* auth's answer comes later, never from within a call. */
static void let_auth_answer(struct rig *rig)
{
    if (!rig->asked)
        return;
    rig->asked = false;
    if (rig->wrong)
        sasl_exchange_verdict(&rig->exchange,
                              &(struct verdict){.query = 1, .status = VERIFY_FAILED});
    else
        sasl_exchange_challenge(&rig->exchange,
                                &(struct sasl_challenge){.query = 1, .data = rig->challenge});
}

static void end_scram(struct rig *rig)
{
    scram_free(rig->scram);
    rig->scram = NULL;
}

/* A line of the client, to whoever has to read it. */
static void serve(struct rig *rig, const struct sasl_facts *facts, struct span line)
{
    const struct sasl_calls calls = {.send = on_send, .answer = on_answer, .arg = rig};
    struct reply reply;
    if (sasl_exchange_wants_line(&rig->exchange)) {
        reply = sasl_exchange_line(&rig->exchange, line);
    } else {
        end_scram(rig);
        reply = sasl_exchange_start(&rig->exchange, &calls, facts, 1, line);
    }
    require(reply.code != 235);
    if (!reply_is_pending(reply))
        require(reply_write(&rig->said, reply));
    let_auth_answer(rig);
    require(rig->exchange.state != SASL_ASKED);
}

/* An empty table of text: nobody exists. */
static struct scram_server *server_of_nobody(void)
{
    static struct scram_server *server;
    if (!server) {
        conf.hostname = SPAN("mx.example.test");
        log_setup("fuzz", LOG_LOGFMT, LOG_ERROR);
        struct table *table = table_open("text", "/dev/null");
        require(table);
        server = scram_server_new(&conf, table, SPAN("a key"));
    }
    return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = span_of(data, size), line;
    uint8_t flags = fuzz_octet(&input);
    struct rig rig = {.server = server_of_nobody()};
    const struct sasl_facts facts = {.tls = flags & 1,
                                     .passwords = flags & 2,
                                     .binding_kind = (enum sasl_binding)((flags >> 2) % 3),
                                     .binding = SPAN("binding"),
                                     .client = SPAN("192.0.2.1"),
                                     .session = 1};
    while (span_next(&input, '\n', &line))
        serve(&rig, &facts, line);
    sasl_exchange_drop(&rig.exchange);
    require(!sasl_exchange_wants_line(&rig.exchange));
    end_scram(&rig);
    buf_free(&rig.said);
    return 0;
}
