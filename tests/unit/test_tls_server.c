/* tls, the server: versions, certificates by name and kind, ALPN, tickets; what makes a bad pair.
 */
#include "tests/unit/tls_rig.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- versions ---- */

static void only_version(struct tls_rig *rig, int version)
{
    SSL_CTX_set_min_proto_version(rig->visitor, version);
    SSL_CTX_set_max_proto_version(rig->visitor, version);
}

static void both_versions_are_spoken(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        int version;
        const char *name;
    } rows[] = {{TLS1_2_VERSION, "TLSv1.2"}, {TLS1_3_VERSION, "TLSv1.3"}};
    for (size_t i = 0; i < 2; i++) {
        only_version(rig, rows[i].version);
        tls_rig_connect(rig, rig->server);
        assert_int_equal(tls_rig_handshake(rig), TLS_OK);
        tls_rig_assert_talk(rig);
        struct tls_facts facts = tls_facts(rig->tls);
        assert_string_equal(facts.version, rows[i].name);
        assert_string_equal(facts.cipher, SSL_get_cipher_name(rig->client));
        assert_true(facts.bits >= 128);
        assert_string_equal(facts.server_name, "");
        assert_false(facts.resumed);
    }
}

static void older_versions_are_refused(void **state)
{
    struct tls_rig *rig = *state;
    SSL_CTX_set_security_level(rig->visitor, 0);
    SSL_CTX_set_min_proto_version(rig->visitor, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(rig->visitor, TLS1_1_VERSION);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_ERROR);
    assert_string_equal(tls_reason(rig->tls), "unsupported protocol");
}

static void a_cipher_without_forward_secrecy_is_refused(void **state)
{
    struct tls_rig *rig = *state;
    only_version(rig, TLS1_2_VERSION);
    assert_int_equal(SSL_CTX_set_cipher_list(rig->visitor, "AES128-GCM-SHA256"), 1);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_ERROR);
    assert_string_equal(tls_reason(rig->tls), "no shared cipher");
}

/* ---- certificates ---- */

static const char *server_subject(struct tls_rig *rig)
{
    static char name[32];
    X509 *certificate = SSL_get0_peer_certificate(rig->client);
    assert_non_null(certificate);
    assert_true(X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                          sizeof name) > 0);
    return name;
}

static void the_client_gets_the_kind_of_key_that_it_can_use(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        int version;
        const char *signatures, *certificate;
    } rows[] = {
        {TLS1_2_VERSION, "RSA+SHA256:RSA-PSS+SHA256", "rsa"},
        {TLS1_2_VERSION, "ECDSA+SHA256", "ec"},
        {TLS1_3_VERSION, "RSA-PSS+SHA256", "rsa"},
        {TLS1_3_VERSION, "ECDSA+SHA256", "ec"},
        {TLS1_3_VERSION, "ECDSA+SHA256:RSA-PSS+SHA256", "ec"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        only_version(rig, rows[i].version);
        assert_int_equal(SSL_CTX_set1_sigalgs_list(rig->visitor, rows[i].signatures), 1);
        tls_rig_connect(rig, rig->server);
        assert_int_equal(tls_rig_handshake(rig), TLS_OK);
        assert_string_equal(server_subject(rig), rows[i].certificate);
    }
}

static void the_name_picks_the_certificate_and_an_unknown_one_gets_the_default(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        const char *name, *certificate;
    } rows[] = {
        {NULL, "ec"},
        {"mx.example.test", "ec"},
        {"other.test", "other"},
        {"OTHER.Test", "other"},
        {"a.wild.test", "other"},
        {"wild.test", "ec"},
        {"a.b.wild.test", "ec"},
        {"unknown.test", "ec"},
        {"other.test.evil.test", "ec"},
    };
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        only_version(rig, version);
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            tls_rig_connect(rig, rig->server);
            if (rows[i].name)
                SSL_set_tlsext_host_name(rig->client, rows[i].name);
            assert_int_equal(tls_rig_handshake(rig), TLS_OK);
            assert_string_equal(server_subject(rig), rows[i].certificate);
            assert_string_equal(tls_facts(rig->tls).server_name, rows[i].name ? rows[i].name : "");
        }
    }
}

static void without_a_nameless_pair_the_first_is_the_default(void **state)
{
    struct tls_rig *rig = *state;
    char problem[TLS_PROBLEM_MAX];
    struct tls_server *server = tls_server_new(&rig->ratchet, SPAN("pop3"));
    struct tls_pair pair = tls_rig_pair(rig, "other", "other.test");
    assert_true(tls_server_add(server, &pair, problem));
    pair = tls_rig_pair(rig, "rsa", "mx.example.test");
    assert_true(tls_server_add(server, &pair, problem));
    tls_rig_connect(rig, server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    assert_string_equal(server_subject(rig), "other");
    tls_rig_connect(rig, server);
    tls_server_free(server);
}

/* ---- ALPN ---- */

static void only_foreign_protocols_are_refused(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        struct span offered;
        const char *chosen; /* NULL: refused */
    } rows[] = {
        {SPAN_INIT(""), ""},
        {SPAN_INIT("\x04smtp"), "smtp"},
        {SPAN_INIT("\x02h2\x04smtp"), "smtp"},
        {SPAN_INIT("\x02h2\x08http/1.1"), NULL},
        {SPAN_INIT("\x03smt"), NULL},
        {SPAN_INIT("\x04pop3"), NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const unsigned char *chosen;
        unsigned size;
        tls_rig_connect(rig, rig->server);
        assert_int_equal(SSL_set_alpn_protos(rig->client,
                                             (const unsigned char *)rows[i].offered.data,
                                             (unsigned)rows[i].offered.len),
                         0);
        assert_int_equal(tls_rig_handshake(rig), rows[i].chosen ? TLS_OK : TLS_ERROR);
        if (!rows[i].chosen) {
            assert_string_equal(tls_reason(rig->tls), "no application protocol");
            continue;
        }
        SSL_get0_alpn_selected(rig->client, &chosen, &size);
        assert_int_equal(size, strlen(rows[i].chosen));
        assert_true(size == 0 || memcmp(chosen, rows[i].chosen, size) == 0);
    }
}

/* ---- tickets ---- */

/* The session that the last connection left to the client, its ticket included. */
static SSL_SESSION *take_session(struct tls_rig *rig)
{
    tls_rig_assert_talk(rig);
    SSL_SESSION *session = SSL_get1_session(rig->client);
    assert_true(SSL_SESSION_has_ticket(session));
    /* Else OpenSSL takes the ticket away with the connection. */
    SSL_set_shutdown(rig->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    return session;
}

/* A connection with a ticket; true when it was taken. */
static bool resumes(struct tls_rig *rig, struct tls_server *server, SSL_SESSION *session)
{
    tls_rig_connect(rig, server);
    assert_int_equal(SSL_set_session(rig->client, session), 1);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    assert_int_equal(SSL_session_reused(rig->client), tls_facts(rig->tls).resumed);
    return tls_facts(rig->tls).resumed;
}

/* The first octets of a ticket are the name of its key (RFC 5077 §4). */
static void key_name(const SSL_SESSION *session, unsigned char name[16])
{
    const unsigned char *ticket;
    size_t size;
    SSL_SESSION_get0_ticket(session, &ticket, &size);
    assert_true(size > 16);
    memcpy(name, ticket, 16);
}

/* One secret, so many periods on. It is told that it is of the present all the same, for the server
 * steps to that by itself. */
static struct tls_ratchet aged(unsigned periods)
{
    uint64_t now = tls_period_now();
    struct tls_ratchet ratchet = {.period = now - 1};
    memset(ratchet.secret, 7, sizeof ratchet.secret);
    tls_ratchet_step(&ratchet, now + periods);
    ratchet.period = now - 1;
    return ratchet;
}

static void tickets_are_taken_by_any_server_with_the_ratchet(void **state)
{
    struct tls_rig *rig = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct tls_ratchet first = aged(0), second = aged(0);
        struct tls_server *one = tls_rig_server(rig, &first), *two = tls_rig_server(rig, &second);
        only_version(rig, version);
        tls_rig_connect(rig, one);
        assert_int_equal(tls_rig_handshake(rig), TLS_OK);
        SSL_SESSION *session = take_session(rig);
        assert_true(resumes(rig, two, session));
        tls_rig_assert_talk(rig);
        assert_false(resumes(rig, rig->server, session));
        SSL_SESSION_free(session);
        tls_server_free(one);
        tls_server_free(two);
    }
}

/* What a server that is `periods` ahead makes of a ticket. */
static bool resumes_after(struct tls_rig *rig, unsigned periods, bool *renewed)
{
    unsigned char before[16], after[16];
    struct tls_ratchet now = aged(0), later = aged(periods);
    struct tls_server *one = tls_rig_server(rig, &now), *two = tls_rig_server(rig, &later);
    tls_rig_connect(rig, one);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    SSL_SESSION *session = take_session(rig);
    key_name(session, before);
    bool resumed = resumes(rig, two, session);
    SSL_SESSION_free(session);
    session = take_session(rig);
    key_name(session, after);
    *renewed = memcmp(before, after, 16) != 0;
    SSL_SESSION_free(session);
    tls_server_free(one);
    tls_server_free(two);
    return resumed;
}

static void a_ticket_is_renewed_after_one_period_and_refused_after_two(void **state)
{
    struct tls_rig *rig = *state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        bool renewed;
        only_version(rig, version);
        assert_true(resumes_after(rig, 0, &renewed));
        assert_false(renewed);
        assert_true(resumes_after(rig, 1, &renewed));
        assert_true(renewed);
        assert_false(resumes_after(rig, 2, &renewed));
        assert_false(resumes_after(rig, 7, &renewed));
    }
}

static void a_ratchet_steps_the_same_everywhere_and_never_back(void **state)
{
    (void)state;
    struct tls_ratchet one = {.period = 10, .secret = {1}}, two = one, old = one;
    tls_ratchet_step(&one, 15);
    for (uint64_t period = 11; period <= 15; period++)
        tls_ratchet_step(&two, period);
    assert_memory_equal(one.secret, two.secret, TLS_SECRET);
    assert_int_equal(one.period, 14);
    assert_int_equal(two.period, 14);
    assert_memory_not_equal(one.secret, old.secret, TLS_SECRET);
    tls_ratchet_step(&one, 12);
    assert_memory_equal(one.secret, two.secret, TLS_SECRET);
    assert_int_equal(one.period, 14);
}

static void every_ratchet_is_drawn_anew(void **state)
{
    (void)state;
    struct tls_ratchet one, two;
    tls_ratchet_draw(&one);
    tls_ratchet_draw(&two);
    assert_memory_not_equal(one.secret, two.secret, TLS_SECRET);
    assert_int_equal(one.period + 1, tls_period_now());
    assert_in_range(tls_period_left_ms(), 1000, TLS_PERIOD_SECONDS * 1000);
}

/* ---- pairs ---- */

static void write_text(const char *path, const char *text, mode_t mode)
{
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    assert_int_equal(chmod(path, mode), 0);
}

static void assert_refused(struct tls_rig *rig, struct tls_pair pair, const char *file,
                           const char *hint)
{
    char problem[TLS_PROBLEM_MAX] = "";
    assert_false(tls_server_add(rig->server, &pair, problem));
    if (!strstr(problem, hint) || !strstr(problem, file) || !strstr(problem, "; "))
        fail_msg("not the right complaint: %s", problem);
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
}

static void what_makes_a_bad_pair_is_named_and_harms_nothing(void **state)
{
    struct tls_rig *rig = *state;
    char ec_key[TLS_RIG_PATH], text[TLS_RIG_PATH], hidden[TLS_RIG_PATH];
    struct tls_pair pair = tls_rig_pair(rig, "ec", "new.test");
    snprintf(ec_key, sizeof ec_key, "%s", pair.key);
    snprintf(text, sizeof text, "%s/text", rig->directory);
    snprintf(hidden, sizeof hidden, "%s/hidden", rig->directory);
    write_text(text, "no certificate, no key\n", 0600);
    pair.certificate = hidden;
    assert_refused(rig, pair, "/hidden", "No such file");
    pair.certificate = text;
    assert_refused(rig, pair, "/text", "holds no certificate");
    pair.certificate = rig->directory;
    assert_refused(rig, pair, rig->directory, "no regular file");
    pair.certificate = rig->certificate;
    pair.key = hidden;
    assert_refused(rig, pair, "/hidden", "No such file");
    pair.key = text;
    assert_refused(rig, pair, "/text", "holds no key");
    pair = tls_rig_pair(rig, "other", "new.test");
    pair.key = ec_key;
    assert_refused(rig, pair, "ec.key", "is not the key of");
    pair = tls_rig_pair(rig, "rsa", "new.test");
    pair.key = ec_key;
    assert_refused(rig, pair, "ec.key", "is not the key of");
    tls_rig_make(rig, "weak", "weak", "DNS:new.test", -1, 30);
    pair = tls_rig_pair(rig, "weak", "new.test");
    assert_refused(rig, pair, "weak.pem", "too small");
}

static void files_that_others_may_use_are_refused(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        bool key;
        mode_t mode;
        bool good;
    } rows[] = {
        {true, 0644, false}, {true, 0604, false},  {true, 0620, false},  {true, 0640, true},
        {true, 0400, true},  {false, 0664, false}, {false, 0646, false}, {false, 0444, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char problem[TLS_PROBLEM_MAX], name[32];
        tls_rig_make(rig, "mode", "ec", "DNS:m.test", -1, 30);
        snprintf(name, sizeof name, "m%zu.test", i);
        struct tls_pair pair = tls_rig_pair(rig, "mode", name);
        assert_int_equal(chmod(rows[i].key ? pair.key : pair.certificate, rows[i].mode), 0);
        assert_int_equal(tls_server_add(rig->server, &pair, problem), rows[i].good);
        if (!rows[i].good)
            assert_non_null(strstr(problem, "by others"));
        assert_int_equal(unlink(pair.key), 0);
        assert_int_equal(unlink(pair.certificate), 0);
    }
}

static void a_key_with_a_passphrase_is_refused_without_asking(void **state)
{
    struct tls_rig *rig = *state;
    struct tls_pair pair = tls_rig_pair(rig, "ec", "new.test");
    write_text(pair.key,
               "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n"
               "DEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n"
               "AAAAAAAAAAAAAAAAAAAAAA==\n-----END RSA PRIVATE KEY-----\n",
               0600);
    assert_refused(rig, pair, "ec.key", "without a passphrase");
}

static void two_of_one_name_and_kind_are_refused(void **state)
{
    struct tls_rig *rig = *state;
    assert_refused(rig, tls_rig_pair(rig, "other", ""), "other.pem", "second certificate");
    assert_refused(rig, tls_rig_pair(rig, "ec", "Other.TEST"), "ec.pem", "second certificate");
}

static void what_deserves_a_warning_is_served_all_the_same(void **state)
{
    struct tls_rig *rig = *state;
    static const struct {
        int from, days;
        const char *name, *hint; /* NULL: none */
    } rows[] = {
        {-1, 30, "w.test", NULL},           {-1, 30, "", NULL},
        {-40, 30, "w.test", "expired 10"},  {-29, 30, "w.test", "expires in"},
        {2, 30, "w.test", "not valid yet"}, {-1, 30, "v.test", "is not for v.test"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char warning[TLS_PROBLEM_MAX] = "";
        struct tls_server *server = tls_server_new(&rig->ratchet, SPAN("smtp"));
        tls_rig_make(rig, "warned", "ec", "DNS:w.test", rows[i].from, rows[i].days);
        struct tls_pair pair = tls_rig_pair(rig, "warned", rows[i].name);
        assert_true(tls_server_add(server, &pair, warning));
        bool warned = tls_pair_warning(&pair, (uint64_t)time(NULL), warning);
        assert_int_equal(warned, rows[i].hint != NULL);
        if (rows[i].hint && !strstr(warning, rows[i].hint))
            fail_msg("not the right warning: %s", warning);
        tls_rig_connect(rig, server);
        assert_int_equal(tls_rig_handshake(rig), TLS_OK);
        tls_server_free(server);
    }
}

static void a_chain_is_sent_behind_its_certificate(void **state)
{
    struct tls_rig *rig = *state;
    char problem[TLS_PROBLEM_MAX], command[512];
    struct tls_server *server = tls_server_new(&rig->ratchet, SPAN("smtp"));
    struct tls_pair pair = tls_rig_pair(rig, "ec", "");
    snprintf(command, sizeof command, "cat %s/rsa.pem %s/other.pem >> %s", rig->directory,
             rig->directory, pair.certificate);
    assert_int_equal(system(command), 0);
    assert_true(tls_server_add(server, &pair, problem));
    tls_rig_connect(rig, server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
    assert_string_equal(server_subject(rig), "ec");
    assert_int_equal(sk_X509_num(SSL_get_peer_cert_chain(rig->client)), 3);
    tls_server_free(server);
}

static void the_warm_up_visits_every_certificate(void **state)
{
    struct tls_rig *rig = *state;
    char problem[TLS_PROBLEM_MAX] = "";
    assert_true(tls_server_warm_up(rig->server, problem));
    assert_string_equal(problem, "");
    tls_rig_connect(rig, rig->server);
    assert_int_equal(tls_rig_handshake(rig), TLS_OK);
}

int main(void)
{
#define RIGGED(test) cmocka_unit_test_setup_teardown(test, tls_rig_setup, tls_rig_teardown)
    static const struct CMUnitTest tests[] = {
        RIGGED(both_versions_are_spoken),
        RIGGED(older_versions_are_refused),
        RIGGED(a_cipher_without_forward_secrecy_is_refused),
        RIGGED(the_client_gets_the_kind_of_key_that_it_can_use),
        RIGGED(the_name_picks_the_certificate_and_an_unknown_one_gets_the_default),
        RIGGED(without_a_nameless_pair_the_first_is_the_default),
        RIGGED(only_foreign_protocols_are_refused),
        RIGGED(tickets_are_taken_by_any_server_with_the_ratchet),
        RIGGED(a_ticket_is_renewed_after_one_period_and_refused_after_two),
        RIGGED(a_ratchet_steps_the_same_everywhere_and_never_back),
        RIGGED(every_ratchet_is_drawn_anew),
        RIGGED(what_makes_a_bad_pair_is_named_and_harms_nothing),
        RIGGED(files_that_others_may_use_are_refused),
        RIGGED(a_key_with_a_passphrase_is_refused_without_asking),
        RIGGED(two_of_one_name_and_kind_are_refused),
        RIGGED(what_deserves_a_warning_is_served_all_the_same),
        RIGGED(a_chain_is_sent_behind_its_certificate),
        RIGGED(the_warm_up_visits_every_certificate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
