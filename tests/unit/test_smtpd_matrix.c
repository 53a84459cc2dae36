/*
 * What every command is answered in every state of the dialogue, before and behind TLS and AUTH:
 * one table for a client at port 25 in the clear, and one of what is different elsewhere. A cell
 * that is wrong here is an envelope that is half reset, or a verdict that carries over.
 */
#include "smtpd_rig.h"
#include "tls_rig.h"

#include "smtpd/verbs.h"

enum { START, READY, MAIL, REFUSED, RCPT, CHUNKS, STATES };

struct cell {
    unsigned code;
    enum session_state then;
};

#define SAME(code)                                                                                 \
    {                                                                                              \
        {code, SESSION_START}, {code, SESSION_READY}, {code, SESSION_MAIL},                        \
            {code, SESSION_REFUSED}, {code, SESSION_RCPT}, {code, SESSION_CHUNKS},                 \
    }
#define ALL_TO_READY                                                                               \
    {                                                                                              \
        {250, SESSION_READY}, {250, SESSION_READY}, {250, SESSION_READY}, {250, SESSION_READY},    \
            {250, SESSION_READY}, {250, SESSION_READY},                                            \
    }

static const struct {
    const char *line;
    struct cell cells[STATES];
} matrix[] = {
    {"HELO client.test", ALL_TO_READY},
    {"EHLO client.test", ALL_TO_READY},
    {"ehlo [192.0.2.1]", ALL_TO_READY},
    {"HELO", SAME(501)},
    {"EHLO  ", SAME(501)},
    {"MAIL FROM:<joe@sender.test>",
     {{503, SESSION_START},
      {250, SESSION_MAIL},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"MAIL FROM:<joe@>",
     {{503, SESSION_START},
      {501, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"RCPT TO:<alice@example.test>",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {250, SESSION_RCPT},
      {250, SESSION_RCPT},
      {250, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"RCPT TO:<nobody@example.test>",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {550, SESSION_REFUSED},
      {550, SESSION_REFUSED},
      {550, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"RCPT TO:<",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {501, SESSION_REFUSED},
      {501, SESSION_REFUSED},
      {501, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"DATA",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {354, SESSION_DATA},
      {503, SESSION_CHUNKS}}},
    {"DATA now",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {501, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"RSET",
     {{250, SESSION_START},
      {250, SESSION_READY},
      {250, SESSION_READY},
      {250, SESSION_READY},
      {250, SESSION_READY},
      {250, SESSION_READY}}},
    {"RSET now", SAME(501)},
    {"NOOP", SAME(250)},
    {"NOOP with words", SAME(250)},
    {"VRFY alice", SAME(252)},
    {"VRFY nobody@example.test", SAME(252)},
    {"VRFY", SAME(501)},
    {"HELP", SAME(214)},
    {"HELP data", SAME(214)},
    {"HELP nonsense", SAME(504)},
    {"EXPN list", SAME(502)},
    {"ETRN example.test", SAME(502)},
    {"TURN", SAME(502)},
    {"QUIT now", SAME(501)},
    {"XYZZY", SAME(500)},
    {"", SAME(500)},
    {"AUTH",
     {{503, SESSION_START},
      {502, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"AUTH XYZZY",
     {{503, SESSION_START},
      {502, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"AUTH PLAIN AGEAYg==",
     {{503, SESSION_START},
      {502, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"LHLO client.test", SAME(500)},
    {"XCLIENT NAME=x",
     {{550, SESSION_START},
      {550, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"STARTTLS",
     {{502, SESSION_START},
      {502, SESSION_READY},
      {503, SESSION_MAIL},
      {503, SESSION_REFUSED},
      {503, SESSION_RCPT},
      {503, SESSION_CHUNKS}}},
    {"BDAT 0",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {250, SESSION_CHUNKS},
      {250, SESSION_CHUNKS}}},
    {"BDAT 5 LAST\r\nRS\n",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {550, SESSION_READY},
      {550, SESSION_READY}}},
    {"BDAT 0 LAST",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {250, SESSION_READY},
      {250, SESSION_READY}}},
    {"BDAT 0 FIRST",
     {{503, SESSION_START},
      {503, SESSION_READY},
      {503, SESSION_MAIL},
      {554, SESSION_REFUSED},
      {501, SESSION_CHUNKS},
      {501, SESSION_CHUNKS}}},
    {"MAILFROM:<joe@sender.test>", SAME(500)},
};

static const enum session_state states[STATES] = {SESSION_START,   SESSION_READY, SESSION_MAIL,
                                                  SESSION_REFUSED, SESSION_RCPT,  SESSION_CHUNKS};

/* Where the client stands beside the dialogue. A login is set as if it were behind it: how it comes
 * about is the affair of other tests. */
enum {
    MX,
    MX_OFFERED, /* STARTTLS is */
    MX_SECURE,
    SUBMIT,
    SUBMIT_OFFERED,
    SUBMIT_SECURE,
    SUBMIT_USER, /* under TLS and logged in */
    CONDITIONS
};

static const struct {
    const char *name;
    enum conf_service service;
    bool offered, secure, user;
} conditions[CONDITIONS] = {
    [MX] = {"port 25", SERVICE_SMTP, false, false, false},
    [MX_OFFERED] = {"port 25, STARTTLS offered", SERVICE_SMTP, true, false, false},
    [MX_SECURE] = {"port 25 under TLS", SERVICE_SMTP, true, true, false},
    [SUBMIT] = {"submission", SERVICE_SUBMISSION, false, false, false},
    [SUBMIT_OFFERED] = {"submission, STARTTLS offered", SERVICE_SUBMISSION, true, false, false},
    [SUBMIT_SECURE] = {"submission under TLS", SERVICE_SUBMISSION, true, true, false},
    [SUBMIT_USER] = {"submission, logged in", SERVICE_SUBMISSION, true, true, true},
};

enum {
    OFFERED = 1 << MX_OFFERED | 1 << SUBMIT_OFFERED,
    SECURE = 1 << MX_SECURE | 1 << SUBMIT_SECURE | 1 << SUBMIT_USER,
    STRANGER = 1 << SUBMIT | 1 << SUBMIT_OFFERED | 1 << SUBMIT_SECURE, /* not logged in */
    IN_CLEAR = 1 << SUBMIT | 1 << SUBMIT_OFFERED
};

/* What is different from the table above, in one state. */
static const struct {
    unsigned conditions;
    const char *line;
    int state;
    struct cell cell;
} exceptions[] = {
    {OFFERED, "STARTTLS", START, {220, SESSION_START}},
    {OFFERED, "STARTTLS", READY, {220, SESSION_START}}, /* RFC 3207 §4.2 */
    {SECURE, "STARTTLS", START, {503, SESSION_START}},
    {SECURE, "STARTTLS", READY, {503, SESSION_READY}},
    /* RFC 4954 §6 */
    {STRANGER, "MAIL FROM:<joe@sender.test>", READY, {530, SESSION_READY}},
    {STRANGER, "MAIL FROM:<joe@>", READY, {530, SESSION_READY}},
    {STRANGER, "AUTH", READY, {501, SESSION_READY}},
    {STRANGER, "AUTH XYZZY", READY, {504, SESSION_READY}},
    {IN_CLEAR, "AUTH PLAIN AGEAYg==", READY, {538, SESSION_READY}},
    {1 << SUBMIT_SECURE, "AUTH PLAIN AGEAYg==", READY, {454, SESSION_READY}}, /* auth is gone */
    {1 << SUBMIT_USER, "AUTH", READY, {503, SESSION_READY}},
    {1 << SUBMIT_USER, "AUTH XYZZY", READY, {503, SESSION_READY}},
    {1 << SUBMIT_USER, "AUTH PLAIN AGEAYg==", READY, {503, SESSION_READY}},
};

static struct cell expected_of(size_t condition, size_t row, size_t column)
{
    for (size_t i = 0; i < COUNT(exceptions); i++)
        if ((exceptions[i].conditions & 1u << condition) != 0 &&
            exceptions[i].state == (int)column && !strcmp(exceptions[i].line, matrix[row].line))
            return exceptions[i].cell;
    return matrix[row].cells[column];
}

/* Nobody gets further who may not say MAIL. */
static bool is_reachable(size_t condition, size_t column)
{
    return (STRANGER & 1u << condition) == 0 || column <= READY;
}

/* ---- the client, in the clear or not ---- */

struct client {
    struct rig *rig;
    struct tls_rig *tls;
    SSL *ssl; /* NULL: in the clear */
};

/* What the server said within TLS, into rig->heard. */
static void listen_within(struct client *client)
{
    char octets[4096];
    int got;
    while ((got = SSL_read(client->ssl, octets, sizeof(octets))) > 0)
        buf_add(&client->rig->heard, span_of(octets, (size_t)got));
}

/* The code of the one reply that was heard in whole; 0: not yet. */
static unsigned code_heard(const struct client *client)
{
    struct span rest = buf_span(&client->rig->heard), line;
    while (span_find(rest, '\n') < rest.len && span_next(&rest, '\n', &line))
        if (line.len > 3 && line.data[3] == ' ' && rest.len == 0)
            return (unsigned)atoi(line.data);
    return 0;
}

static unsigned hear(struct client *client)
{
    if (client->ssl == NULL)
        return rig_hear_code(client->rig);
    unsigned code = 0;
    for (int64_t deadline = clock_ms() + RIG_DEADLINE_MS; code == 0 && clock_ms() < deadline;
         code = code_heard(client)) {
        loop_turn(client->rig->loop, 1);
        listen_within(client);
    }
    buf_reset(&client->rig->heard);
    return code;
}

static unsigned ask(struct client *client, const char *line)
{
    if (client->ssl == NULL)
        return rig_ask(client->rig, line);
    assert_int_equal(SSL_write(client->ssl, line, (int)strlen(line)), (int)strlen(line));
    return hear(client);
}

static void assert_silence(struct client *client)
{
    for (int i = 0; i < 4; i++)
        loop_turn(client->rig->loop, 0);
    if (client->ssl != NULL)
        listen_within(client);
    else
        assert_true(rig_listen(client->rig));
    assert_int_equal(buf_len(&client->rig->heard), 0);
}

/* TLS from the start (RFC 8314 §3.3). */
static void shake_hands(struct client *client)
{
    int64_t deadline = clock_ms() + RIG_DEADLINE_MS;
    client->ssl = SSL_new(client->tls->visitor);
    assert_int_equal(SSL_set_fd(client->ssl, client->rig->client), 1);
    while (SSL_connect(client->ssl) != 1 && clock_ms() < deadline)
        loop_turn(client->rig->loop, 1);
    assert_int_equal(SSL_is_init_finished(client->ssl), 1);
}

static void leave(struct client *client)
{
    SSL_free(client->ssl);
    client->ssl = NULL;
    session_drop(client->rig->session);
    loop_turn(client->rig->loop, 0);
}

static const char *const steps[STATES][5] = {
    [START] = {NULL},
    [READY] = {RIG_HELLO, NULL},
    [MAIL] = {RIG_HELLO, RIG_MAIL, NULL},
    [REFUSED] = {RIG_HELLO, RIG_MAIL, "RCPT TO:<nobody@example.test>\r\n", NULL},
    [RCPT] = {RIG_HELLO, RIG_MAIL, RIG_RCPT, NULL},
    [CHUNKS] = {RIG_HELLO, RIG_MAIL, RIG_RCPT, "BDAT 0\r\n", NULL},
};

static void reach(struct client *client, size_t condition, size_t column)
{
    static const enum conf_listen_tls kinds[2][2] = {{LISTEN_PLAIN, LISTEN_IMPLICIT},
                                                     {LISTEN_STARTTLS, LISTEN_IMPLICIT}};
    struct rig *rig = client->rig;
    rig->listener.service = conditions[condition].service;
    rig->listener.tls = kinds[conditions[condition].offered][conditions[condition].secure];
    rig_connect_from(rig, "192.0.2.1");
    if (conditions[condition].secure)
        shake_hands(client);
    assert_int_equal(hear(client), 220);
    rig->session->user = conditions[condition].user ? SPAN("joe@sender.test") : SPAN("");
    for (size_t i = 0; steps[column][i] != NULL; i++)
        assert_int_not_equal(ask(client, steps[column][i]), 0);
    assert_int_equal(rig->session->state, states[column]);
}

static void assert_cell(struct client *client, size_t condition, size_t row, size_t column)
{
    char text[100];
    const struct session *session;
    struct cell expected = expected_of(condition, row, column);
    (void)snprintf(text, sizeof(text), "%s\r\n", matrix[row].line);
    reach(client, condition, column);
    session = client->rig->session;
    unsigned code = ask(client, text);
    if (code != expected.code || session->state != expected.then)
        print_error("%s, state %zu: \"%s\"\n", conditions[condition].name, column,
                    matrix[row].line);
    assert_int_equal(code, expected.code);
    assert_int_equal(session->state, expected.then);
    assert_int_equal(session->transaction != NULL, expected.then > SESSION_READY);
    assert_silence(client);
    leave(client);
}

static void every_command_answers_by_its_state(void **state)
{
    void *made;
    assert_int_equal(tls_rig_setup(&made), 0);
    struct client client = {.rig = rig_of(state), .tls = made};
    client.rig->worker.tls = client.tls->server;
    for (size_t condition = 0; condition < CONDITIONS; condition++)
        for (size_t row = 0; row < COUNT(matrix); row++)
            for (size_t column = 0; column < STATES; column++)
                if (is_reachable(condition, column))
                    assert_cell(&client, condition, row, column);
    client.rig->worker.tls = NULL; /* it is not the worker's to free */
    assert_int_equal(tls_rig_teardown(&made), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(every_command_answers_by_its_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
