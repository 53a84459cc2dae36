/* The SMTP side of AUTH without socket, session and auth: lines in, messages and replies out. */
#include "smtpd/sasl_exchange.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/buf_text.h"

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { QUERY = 7 };

/* What was sent and answered, as text. */
struct fixture {
    struct sasl_exchange exchange;
    struct sasl_facts facts;
    struct sasl_calls calls;
    struct buf sent;    /* "begin 0 <octets>;", "continue <octets>;", "abort;" */
    struct buf replies; /* of the callback, as on the wire */
    char user[64];
    bool no_auth;
};

static void write_begin(struct buf *out, const struct sasl_begin *begin)
{
    assert_int_equal(begin->query, QUERY);
    assert_true(span_equal(begin->client, SPAN("192.0.2.1")));
    assert_int_equal(begin->session, 99);
    assert_true(buf_text(out, "begin %d ", begin->mechanism));
    if (begin->binding_kind != SASL_BINDING_NONE) {
        assert_true(buf_text(out, "bound %d ", begin->binding_kind));
        buf_add(out, begin->binding);
        buf_add(out, SPAN(" "));
    }
    if (begin->has_initial) {
        buf_add(out, SPAN("<"));
        buf_add(out, begin->initial);
        buf_add(out, SPAN(">"));
    }
    buf_add(out, SPAN(";"));
}

static bool on_send(void *arg, const struct ipc_type *type, const void *message)
{
    struct fixture *fixture = arg;
    struct buf frame = {0};
    if (fixture->no_auth)
        return false;
    assert_true(ipc_encode(type, message, &frame));
    buf_free(&frame);
    if (type == &ipc_sasl_begin) {
        write_begin(&fixture->sent, message);
    } else if (type == &ipc_sasl_continue) {
        const struct sasl_continue *more = message;
        assert_int_equal(more->query, QUERY);
        buf_add(&fixture->sent, SPAN("continue <"));
        buf_add(&fixture->sent, more->response);
        buf_add(&fixture->sent, SPAN(">;"));
    } else {
        assert_ptr_equal(type, &ipc_sasl_abort);
        buf_add(&fixture->sent, SPAN("abort;"));
    }
    return true;
}

static void on_answer(void *arg, struct reply reply, struct span user)
{
    struct fixture *fixture = arg;
    assert_true(reply_write(&fixture->replies, reply));
    assert_true(span_to_cstr(user, fixture->user, sizeof(fixture->user)));
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    fixture->calls = (struct sasl_calls){.send = on_send, .answer = on_answer, .arg = fixture};
    fixture->facts = (struct sasl_facts){.tls = true,
                                         .passwords = true,
                                         .binding_kind = SASL_BINDING_TLS_EXPORTER,
                                         .binding = SPAN("BINDING"),
                                         .client = SPAN("192.0.2.1"),
                                         .session = 99};
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    sasl_exchange_drop(&fixture->exchange);
    buf_free(&fixture->sent);
    buf_free(&fixture->replies);
    mem_free(fixture);
    return 0;
}

static struct reply start(struct fixture *fixture, const char *arguments)
{
    return sasl_exchange_start(&fixture->exchange, &fixture->calls, &fixture->facts, QUERY,
                               span_cstr(arguments));
}

static struct reply line(struct fixture *fixture, const char *text)
{
    return sasl_exchange_line(&fixture->exchange, span_cstr(text));
}

static void challenge(struct fixture *fixture, struct span data)
{
    sasl_exchange_challenge(&fixture->exchange,
                            &(struct sasl_challenge){.query = QUERY, .data = data});
}

static void verdict(struct fixture *fixture, enum verify_status status)
{
    sasl_exchange_verdict(&fixture->exchange, &(struct verdict){.query = QUERY,
                                                                .status = (uint8_t)status,
                                                                .user = SPAN("alice@example.test"),
                                                                .ticket = SPAN("")});
}

static void assert_code(struct reply reply, unsigned code, const char *enhanced)
{
    assert_int_equal(reply.code, code);
    if (enhanced)
        assert_string_equal(reply.enhanced, enhanced);
    else
        assert_null(reply.enhanced);
}

/* And forgets them. */
static void assert_sent(struct fixture *fixture, const char *text)
{
    if (!span_equal(buf_span(&fixture->sent), span_cstr(text)))
        fail_msg("sent \"%.*s\", not \"%s\"", SPAN_ARG(buf_span(&fixture->sent)), text);
    buf_reset(&fixture->sent);
}

static void assert_replied(struct fixture *fixture, const char *beginning)
{
    if (!span_has_prefix(buf_span(&fixture->replies), span_cstr(beginning)))
        fail_msg("replied \"%.*s\", not \"%s\"", SPAN_ARG(buf_span(&fixture->replies)), beginning);
    buf_reset(&fixture->replies);
}

static void assert_at_rest(struct fixture *fixture)
{
    assert_int_equal(fixture->exchange.state, SASL_AT_REST);
    assert_false(sasl_exchange_wants_line(&fixture->exchange));
}

/* ---- what is offered ---- */

static void mechanisms_are_offered_as_the_connection_allows(void **state)
{
    static const struct {
        bool tls, passwords;
        enum sasl_binding kind;
        const char *offer;
    } rows[] = {
        {true, true, SASL_BINDING_TLS_EXPORTER, " SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
        {true, true, SASL_BINDING_TLS_UNIQUE, " SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"},
        {true, true, SASL_BINDING_NONE, " SCRAM-SHA-256 PLAIN LOGIN"},
        {true, false, SASL_BINDING_NONE, " SCRAM-SHA-256"},
        {false, false, SASL_BINDING_NONE, " SCRAM-SHA-256"},
        {false, true, SASL_BINDING_NONE, " SCRAM-SHA-256 PLAIN LOGIN"},
        {false, false, SASL_BINDING_TLS_EXPORTER, " SCRAM-SHA-256"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct buf out = {0};
        const struct sasl_facts facts = {
            .tls = rows[i].tls, .passwords = rows[i].passwords, .binding_kind = rows[i].kind};
        sasl_exchange_offer(&facts, &out);
        assert_true(span_equal(buf_span(&out), span_cstr(rows[i].offer)));
        buf_free(&out);
    }
}

/* What is not offered can not be chosen either. */
static void a_mechanism_is_refused_as_the_table_says(void **state)
{
    static const struct {
        const char *arguments;
        bool tls, passwords;
        enum sasl_binding kind;
        unsigned code;
        const char *enhanced;
    } rows[] = {
        {"", true, true, SASL_BINDING_NONE, 501, "5.5.4"},
        {" ", true, true, SASL_BINDING_NONE, 501, "5.5.4"},
        {" AAAA", true, true, SASL_BINDING_NONE, 501, "5.5.4"},
        {"PLAIN ", true, true, SASL_BINDING_NONE, 501, "5.5.4"},
        {"CRAM-MD5", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"ANONYMOUS", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"EXTERNAL =", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"SCRAM-SHA-1", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"PLAINX", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"PLAI", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"SCRAM-SHA-256-PLUS", true, true, SASL_BINDING_NONE, 504, "5.5.4"},
        {"SCRAM-SHA-256-PLUS", false, true, SASL_BINDING_TLS_EXPORTER, 504, "5.5.4"},
        {"PLAIN AGEAYg==", false, false, SASL_BINDING_NONE, 538, "5.7.11"},
        {"LOGIN", false, false, SASL_BINDING_NONE, 538, "5.7.11"},
        {"PLAIN", true, false, SASL_BINDING_NONE, 504, "5.5.4"},
        {"PLAIN *", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
        {"PLAIN AGEAYg", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
        {"PLAIN AGEAYg== x", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
        {"PLAIN  AGEAYg==", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
        {"PLAIN AGEAYh==", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
        {"PLAIN ==", true, true, SASL_BINDING_NONE, 501, "5.5.2"},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        fixture->facts.tls = rows[i].tls;
        fixture->facts.passwords = rows[i].passwords;
        fixture->facts.binding_kind = rows[i].kind;
        struct reply reply = start(fixture, rows[i].arguments);
        if (reply.code != rows[i].code || strcmp(reply.enhanced, rows[i].enhanced) != 0)
            fail_msg("row %zu: %u", i, reply.code);
        assert_at_rest(fixture);
        assert_sent(fixture, "");
    }
}

/* ---- dialogues ---- */

static void an_initial_response_goes_to_auth_at_once(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    assert_true(reply_is_pending(start(fixture, "plain YQ==")));
    assert_sent(fixture, "begin 0 <a>;");
    assert_false(sasl_exchange_wants_line(&fixture->exchange));
    verdict(fixture, VERIFY_OK);
    assert_replied(fixture, "235 2.7.0 ");
    assert_string_equal(fixture->user, "alice@example.test");
    assert_at_rest(fixture);
}

static void an_equals_sign_is_an_initial_response_of_no_octets(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    assert_true(reply_is_pending(start(fixture, "PLAIN =")));
    assert_sent(fixture, "begin 0 <>;");
}

static void without_an_initial_response_the_client_is_prompted(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    struct reply reply = start(fixture, "PLAIN");
    assert_code(reply, 334, NULL);
    assert_string_equal(reply.text, "");
    assert_sent(fixture, "");
    assert_true(sasl_exchange_wants_line(&fixture->exchange));
    assert_true(reply_is_pending(line(fixture, "YQ==")));
    assert_sent(fixture, "begin 0 <a>;");
}

static void login_is_asked_for_by_auth(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    assert_true(reply_is_pending(start(fixture, "LOGIN")));
    assert_sent(fixture, "begin 1 ;");
    challenge(fixture, SPAN("Username:"));
    assert_replied(fixture, "334 VXNlcm5hbWU6\r\n");
    assert_true(reply_is_pending(line(fixture, "YWxpY2U=")));
    assert_sent(fixture, "continue <alice>;");
    challenge(fixture, SPAN("Password:"));
    assert_replied(fixture, "334 UGFzc3dvcmQ6\r\n");
    assert_true(reply_is_pending(line(fixture, "c2VjcmV0")));
    assert_sent(fixture, "continue <secret>;");
    verdict(fixture, VERIFY_FAILED);
    assert_replied(fixture, "535 5.7.8 ");
    assert_at_rest(fixture);
}

/* An empty line answers an empty challenge, or the server's last word. */
static void scram_carries_the_binding_and_ends_with_an_empty_line(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256-PLUS Zmlyc3Q=")));
    assert_sent(fixture, "begin 3 bound 2 BINDING <first>;");
    challenge(fixture, SPAN("r=1"));
    assert_replied(fixture, "334 cj0x\r\n");
    assert_true(reply_is_pending(line(fixture, "bGFzdA==")));
    assert_sent(fixture, "continue <last>;");
    challenge(fixture, SPAN("v=2"));
    assert_replied(fixture, "334 dj0y\r\n");
    assert_true(reply_is_pending(line(fixture, "")));
    assert_sent(fixture, "continue <>;");
    verdict(fixture, VERIFY_OK);
    assert_replied(fixture, "235 2.7.0 ");
}

/* So that "y" is seen through where PLUS was offered (RFC 5802 §6). */
static void every_mechanism_carries_the_binding(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256 =")));
    assert_sent(fixture, "begin 2 bound 2 BINDING <>;");
}

static void a_binding_without_tls_is_none(void **state)
{
    struct fixture *fixture = *state;
    fixture->facts.tls = false;
    assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256 =")));
    assert_sent(fixture, "begin 2 <>;");
}

static void each_verdict_has_its_reply(void **state)
{
    static const struct {
        enum verify_status status;
        const char *reply;
    } rows[] = {
        {VERIFY_OK, "235 2.7.0 "},
        {VERIFY_FAILED, "535 5.7.8 "},
        {VERIFY_TEMPORARY, "454 4.7.0 "},
        {VERIFY_MALFORMED, "501 5.5.2 "},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        assert_true(reply_is_pending(start(fixture, "PLAIN YQ==")));
        verdict(fixture, rows[i].status);
        assert_replied(fixture, rows[i].reply);
        /* Who was meant is counted, whatever came of it. */
        assert_string_equal(fixture->user, "alice@example.test");
        assert_at_rest(fixture);
    }
}

/* ---- lines that end it ---- */

static void a_star_cancels(void **state)
{
    struct fixture *fixture = *state;
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    assert_code(line(fixture, "*"), 501, "5.7.0");
    assert_sent(fixture, "");
    assert_at_rest(fixture);
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    assert_true(reply_is_pending(start(fixture, "LOGIN")));
    challenge(fixture, SPAN("Username:"));
    assert_code(line(fixture, "*"), 501, "5.7.0");
    assert_sent(fixture, "begin 1 ;abort;");
    assert_at_rest(fixture);
}

static void a_line_that_is_no_base64_ends_the_exchange(void **state)
{
    static const char *const lines[] = {
        "=",     "**",    "* ",       " YQ==", "YQ== ", "YQ=",  "YQ",    "YQ===",
        "YR==",  "Y Q==", "YQ==YQ==", "Y-_=",  "QUIT.", "RSET", "AUTH!", "\x80\x81\x82\x83",
        "YQ\t=", "====",  "YWE\r\n",  "*YQ=="};
    struct fixture *fixture = *state;
    fixture->facts.binding_kind = SASL_BINDING_NONE;
    for (size_t i = 0; i < COUNT(lines); i++) {
        bool is_base64 = strcmp(lines[i], "RSET") == 0;
        assert_code(start(fixture, "PLAIN"), 334, NULL);
        struct reply reply = line(fixture, lines[i]);
        if (is_base64 ? !reply_is_pending(reply) : reply.code != 501)
            fail_msg("line %zu: %u", i, reply.code);
        sasl_exchange_drop(&fixture->exchange);
        buf_reset(&fixture->sent);
        assert_true(reply_is_pending(start(fixture, "LOGIN")));
        challenge(fixture, SPAN("Username:"));
        buf_reset(&fixture->sent);
        reply = line(fixture, lines[i]);
        assert_int_equal(reply_is_pending(reply), is_base64);
        if (!is_base64) {
            assert_sent(fixture, "abort;");
            assert_code(reply, 334, NULL);
            assert_code(line(fixture, "c2VjcmV0"), 535, "5.7.8");
            assert_at_rest(fixture);
        }
        sasl_exchange_drop(&fixture->exchange);
        buf_reset(&fixture->sent);
    }
}

static void a_password_that_is_no_base64_ends_login(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "LOGIN")));
    challenge(fixture, SPAN("Username:"));
    assert_true(reply_is_pending(line(fixture, "YWxpY2U=")));
    challenge(fixture, SPAN("Password:"));
    buf_reset(&fixture->sent);
    assert_code(line(fixture, "my password"), 501, "5.5.2");
    assert_sent(fixture, "abort;");
    assert_at_rest(fixture);
}

static void a_nul_in_a_line_ends_the_exchange(void **state)
{
    struct fixture *fixture = *state;
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    assert_code(sasl_exchange_line(&fixture->exchange, SPAN("YQ=\0")), 501, "5.5.2");
}

static void a_line_may_have_12288_octets_and_not_one_more(void **state)
{
    static char longest[SASL_LINE_MAX + 5];
    struct fixture *fixture = *state;
    memset(longest, 'A', sizeof(longest) - 1);
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    assert_true(
        reply_is_pending(sasl_exchange_line(&fixture->exchange, span_of(longest, SASL_LINE_MAX))));
    assert_int_equal(buf_len(&fixture->sent) > SASL_MESSAGE_MAX, true);
    sasl_exchange_drop(&fixture->exchange);
    buf_reset(&fixture->sent);
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    assert_code(sasl_exchange_line(&fixture->exchange, span_of(longest, SASL_LINE_MAX + 1)), 500,
                "5.5.6");
    assert_at_rest(fixture);
    struct buf command = {0};
    buf_add(&command, SPAN("PLAIN "));
    buf_add(&command, span_of(longest, SASL_LINE_MAX + 4));
    assert_code(sasl_exchange_start(&fixture->exchange, &fixture->calls, &fixture->facts, QUERY,
                                    buf_span(&command)),
                500, "5.5.6");
    buf_free(&command);
    assert_at_rest(fixture);
    assert_sent(fixture, "");
}

static void a_line_that_the_reader_swallowed_ends_the_exchange(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256 YQ==")));
    challenge(fixture, SPAN("r=1"));
    buf_reset(&fixture->sent);
    assert_code(sasl_exchange_line_too_long(&fixture->exchange), 500, "5.5.6");
    assert_sent(fixture, "abort;");
    assert_at_rest(fixture);
}

/* ---- auth at the wrong moment ---- */

static void without_auth_the_answer_is_later(void **state)
{
    struct fixture *fixture = *state;
    fixture->no_auth = true;
    assert_code(start(fixture, "PLAIN YQ=="), 454, "4.7.0");
    assert_at_rest(fixture);
    assert_code(start(fixture, "LOGIN"), 454, "4.7.0");
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    assert_code(line(fixture, "YQ=="), 454, "4.7.0");
    assert_at_rest(fixture);
}

static void an_auth_that_dies_is_answered_with_later(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "PLAIN YQ==")));
    sasl_exchange_lost(&fixture->exchange);
    assert_replied(fixture, "454 4.7.0 ");
    assert_at_rest(fixture);
    sasl_exchange_lost(&fixture->exchange);
    assert_replied(fixture, "");
}

/* A line that is on its way must not be read as a command. */
static void what_ends_while_the_client_answers_is_said_to_its_line(void **state)
{
    static const char *const lines[] = {"c2VjcmV0", "*", "", "no base64 at all"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(lines); i++) {
        assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256 YQ==")));
        challenge(fixture, SPAN("r=1"));
        buf_reset(&fixture->replies);
        buf_reset(&fixture->sent);
        if (i % 2 == 0)
            sasl_exchange_lost(&fixture->exchange);
        else
            verdict(fixture, VERIFY_TEMPORARY);
        assert_int_equal(buf_len(&fixture->replies), 0);
        assert_true(sasl_exchange_wants_line(&fixture->exchange));
        assert_code(line(fixture, lines[i]), 454, "4.7.0");
        assert_sent(fixture, "");
        assert_at_rest(fixture);
    }
}

/* It would let in who has proven nothing. */
static void success_while_the_client_answers_is_no_success(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "SCRAM-SHA-256 YQ==")));
    challenge(fixture, SPAN("r=1"));
    buf_reset(&fixture->replies);
    verdict(fixture, VERIFY_OK);
    assert_code(line(fixture, "YQ=="), 454, "4.7.0");
    assert_int_equal(buf_len(&fixture->replies), 0);
}

static void messages_that_belong_to_no_exchange_change_nothing(void **state)
{
    struct fixture *fixture = *state;
    challenge(fixture, SPAN("r=1"));
    verdict(fixture, VERIFY_OK);
    assert_at_rest(fixture);
    assert_code(start(fixture, "PLAIN"), 334, NULL);
    challenge(fixture, SPAN("r=1"));
    verdict(fixture, VERIFY_OK);
    assert_int_equal(fixture->exchange.state, SASL_PROMPTED);
    assert_true(reply_is_pending(line(fixture, "YQ==")));
    sasl_exchange_verdict(&fixture->exchange,
                          &(struct verdict){.query = QUERY + 1, .status = VERIFY_OK});
    sasl_exchange_challenge(&fixture->exchange, &(struct sasl_challenge){.query = QUERY + 1});
    assert_int_equal(buf_len(&fixture->replies), 0);
    assert_int_equal(fixture->exchange.state, SASL_ASKED);
}

static void a_client_that_leaves_ends_the_exchange_with_auth(void **state)
{
    struct fixture *fixture = *state;
    assert_true(reply_is_pending(start(fixture, "PLAIN YQ==")));
    buf_reset(&fixture->sent);
    sasl_exchange_drop(&fixture->exchange);
    assert_sent(fixture, "abort;");
    sasl_exchange_drop(&fixture->exchange);
    assert_sent(fixture, "");
    verdict(fixture, VERIFY_OK);
    assert_int_equal(buf_len(&fixture->replies), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(mechanisms_are_offered_as_the_connection_allows),
        TEST(a_mechanism_is_refused_as_the_table_says),
        TEST(an_initial_response_goes_to_auth_at_once),
        TEST(an_equals_sign_is_an_initial_response_of_no_octets),
        TEST(without_an_initial_response_the_client_is_prompted),
        TEST(login_is_asked_for_by_auth),
        TEST(scram_carries_the_binding_and_ends_with_an_empty_line),
        TEST(every_mechanism_carries_the_binding),
        TEST(a_binding_without_tls_is_none),
        TEST(each_verdict_has_its_reply),
        TEST(a_star_cancels),
        TEST(a_line_that_is_no_base64_ends_the_exchange),
        TEST(a_password_that_is_no_base64_ends_login),
        TEST(a_nul_in_a_line_ends_the_exchange),
        TEST(a_line_may_have_12288_octets_and_not_one_more),
        TEST(a_line_that_the_reader_swallowed_ends_the_exchange),
        TEST(without_auth_the_answer_is_later),
        TEST(an_auth_that_dies_is_answered_with_later),
        TEST(what_ends_while_the_client_answers_is_said_to_its_line),
        TEST(success_while_the_client_answers_is_no_success),
        TEST(messages_that_belong_to_no_exchange_change_nothing),
        TEST(a_client_that_leaves_ends_the_exchange_with_auth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
