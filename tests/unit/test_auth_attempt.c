/*
 * Attempts over a real table, real hashes and real threads. crypt_rn(3) and OPENSSL_cleanse(3) of
 * this program stand before those of the libraries: they count, and can be held, so that "how
 * often", "how many at once" and "wiped" are facts and not times.
 */
#include "table_rig.h"

#include <crypt.h>
#include <dlfcn.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdio.h>

#include "auth/attempt.h"
#include "util/mail/address.h"

#ifdef VEREDUS_SANITIZED
/* Of the sanitizers' allocator; gcc installs no header of it. */
int __sanitizer_install_malloc_and_free_hooks(void (*on_malloc)(const volatile void *, size_t),
                                              void (*on_free)(const volatile void *));
size_t __sanitizer_get_allocated_size(const volatile void *memory);
#endif

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

enum { ANSWERS = 64, TURNS = 3000, TURN_MS = 10, THREADS = 4, SCAN_MOST = 65536 };

static const char marked_password[] = "a-password-to-be-found-nowhere";

/* ---- what stands before the libraries ---- */

/* Shared with the threads of the hasher; reset by each set_up. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    char last_setting[CRYPT_OUTPUT_SIZE];
    unsigned calls, running, of_account, of_account_most;
    const char *account_stored; /* whose calls at once are counted */
    bool held;
    _Atomic unsigned wiped;         /* copies of the marked password that were cleansed */
    _Atomic unsigned freed_unwiped; /* and those given back as they were */
    _Atomic bool looking;
} spy = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void spy_enter(const char *setting)
{
    bool counted = spy.account_stored && strcmp(setting, spy.account_stored) == 0;

    pthread_mutex_lock(&spy.lock);
    spy.calls++;
    spy.running++;
    spy.of_account += counted;
    if (spy.of_account > spy.of_account_most)
        spy.of_account_most = spy.of_account;
    (void)snprintf(spy.last_setting, sizeof(spy.last_setting), "%s", setting);
    pthread_cond_broadcast(&spy.changed);
    while (spy.held)
        pthread_cond_wait(&spy.changed, &spy.lock);
    spy.of_account -= counted;
    spy.running--;
    pthread_mutex_unlock(&spy.lock);
}

char *crypt_rn(const char *phrase, const char *setting, void *data, int size)
{
    char *(*real)(const char *, const char *, void *, int);
    void *symbol = dlsym(RTLD_NEXT, "crypt_rn");

    memcpy(&real, &symbol, sizeof(real));
    spy_enter(setting);
    return real(phrase, setting, data, size);
}

static bool holds_the_password(const void *memory, size_t len)
{
    return memory && memmem(memory, len, marked_password, sizeof(marked_password) - 1) != NULL;
}

void OPENSSL_cleanse(void *memory, size_t len)
{
    volatile char *octets = memory;

    if (spy.looking && holds_the_password(memory, len))
        spy.wiped++;
    for (size_t i = 0; i < len; i++)
        octets[i] = 0;
}

#ifdef VEREDUS_SANITIZED
static void on_malloc(const volatile void *memory, size_t len)
{
    (void)memory;
    (void)len;
}

static void on_free(const volatile void *memory)
{
    const void *octets = (const void *)(uintptr_t)memory;

    if (!spy.looking || !octets)
        return;
    size_t len = __sanitizer_get_allocated_size(octets);
    if (len <= SCAN_MOST && holds_the_password(octets, len))
        spy.freed_unwiped++;
}

static void watch_memory(void)
{
    assert_true(__sanitizer_install_malloc_and_free_hooks(on_malloc, on_free) > 0);
}
#else
static void watch_memory(void)
{
}
#endif

static void hold_hashing(bool held)
{
    pthread_mutex_lock(&spy.lock);
    spy.held = held;
    pthread_cond_broadcast(&spy.changed);
    pthread_mutex_unlock(&spy.lock);
}

static void wait_running(unsigned count)
{
    pthread_mutex_lock(&spy.lock);
    while (spy.running < count)
        pthread_cond_wait(&spy.changed, &spy.lock);
    pthread_mutex_unlock(&spy.lock);
}

/* ---- the fixture ---- */

struct heard {
    void *origin;
    enum verify_status status;
    char user[ADDRESS_TEXT_MAX + 1], client[64];
    uint64_t session;
    uint32_t query;
};

struct fixture {
    struct table_rig rig;
    struct conf *conf;
    struct loop *loop;
    struct hasher *hasher;
    struct attempts *attempts;
    char alice[CRYPT_OUTPUT_SIZE], bob[CRYPT_OUTPUT_SIZE];
    struct heard heard[ANSWERS];
    size_t count;
};

static struct fixture *current;

static void on_answer(void *origin, const struct attempt_answer *answer)
{
    assert_true(current->count < ANSWERS);
    struct heard *heard = &current->heard[current->count++];
    *heard = (struct heard){.origin = origin,
                            .status = answer->status,
                            .session = answer->session,
                            .query = answer->query};
    memcpy(heard->user, answer->user.data, answer->user.len);
    assert_true(span_to_cstr(answer->client, heard->client, sizeof(heard->client)));
}

/* A hash of the least cost. */
static void hash_into(const char *password, char out[CRYPT_OUTPUT_SIZE])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *scratch = mem_new(sizeof(*scratch));
    assert_non_null(crypt_gensalt_rn("$y$", 1, NULL, 0, setting, sizeof(setting)));
    const char *hash = crypt_rn(password, setting, scratch, (int)sizeof(*scratch));
    assert_non_null(hash);
    memcpy(out, hash, strlen(hash) + 1);
    mem_free(scratch);
}

static void write_passwords(struct fixture *fixture, const char *alice)
{
    char text[2048];
    (void)snprintf(text, sizeof(text),
                   "alice@example.test: %s\nbob@second.test: %s\n"
                   "locked@example.test: *\nsuspended@example.test: !%s\nempty@example.test:\n",
                   alice, fixture->bob, fixture->alice);
    table_rig_write(&fixture->rig, "passwords", text);
}

static void make_attempts(struct fixture *fixture, uint64_t first, uint64_t most)
{
    struct table *passwords = table_open("db", table_rig_path(&fixture->rig, "passwords"));
    assert_non_null(passwords);
    fixture->hasher = hasher_new(fixture->loop);
    fixture->attempts = attempts_new(&(struct attempts_parts){.loop = fixture->loop,
                                                              .conf = fixture->conf,
                                                              .hasher = fixture->hasher,
                                                              .recent = recent_new(),
                                                              .delays = delays_new(first, most),
                                                              .passwords = passwords,
                                                              .answer = on_answer});
    spy.calls = 0;
}

/* Failures are not delayed; nothing is hashed before start(). */
static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    current = fixture;
    spy.calls = spy.of_account_most = 0;
    spy.wiped = 0;
    spy.freed_unwiped = 0;
    spy.account_stored = NULL;
    hash_into("secret", fixture->alice);
    hash_into(marked_password, fixture->bob);
    table_rig_begin(&fixture->rig, "");
    write_passwords(fixture, fixture->alice);
    fixture->conf = table_rig_conf(&fixture->rig);
    fixture->loop = loop_new();
    make_attempts(fixture, 0, 0);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    hold_hashing(false);
    attempts_free(fixture->attempts);
    loop_free(fixture->loop);
    conf_free(fixture->conf);
    table_rig_end(&fixture->rig);
    mem_free(fixture);
    return 0;
}

static void start(struct fixture *fixture)
{
    hasher_start(fixture->hasher, THREADS);
}

static void begin_from(struct fixture *fixture, void *origin, const char *client, struct span user,
                       struct span password)
{
    const struct verify question = {.query = 11,
                                    .user = user,
                                    .password = password,
                                    .client = span_cstr(client),
                                    .session = 22};
    attempts_begin(fixture->attempts, origin, &question);
}

static void begin(struct fixture *fixture, const char *user, const char *password)
{
    begin_from(fixture, fixture, "192.0.2.1", span_cstr(user), span_cstr(password));
}

static void wait_answers(struct fixture *fixture, size_t count)
{
    for (int i = 0; i < TURNS && fixture->count < count; i++)
        loop_turn(fixture->loop, TURN_MS);
    assert_int_equal(fixture->count, count);
}

/* Asks and waits for the answer. */
static enum verify_status status_of(struct fixture *fixture, const char *user, const char *password)
{
    size_t before = fixture->count = 0;
    begin(fixture, user, password);
    wait_answers(fixture, before + 1);
    return fixture->heard[before].status;
}

/* ---- right and wrong ---- */

static void an_answer_names_the_question_and_the_canonical_user(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    begin(fixture, "Alice", "secret");
    assert_true(attempts_pending(fixture->attempts));
    wait_answers(fixture, 1);
    const struct heard *heard = &fixture->heard[0];
    assert_int_equal(heard->status, VERIFY_OK);
    assert_string_equal(heard->user, "alice@example.test");
    assert_string_equal(heard->client, "192.0.2.1");
    assert_int_equal(heard->session, 22);
    assert_int_equal(heard->query, 11);
    assert_ptr_equal(heard->origin, fixture);
    assert_false(attempts_pending(fixture->attempts));
}

static void each_login_has_its_verdict(void **state)
{
    static const struct {
        struct span user, password;
        enum verify_status status;
    } rows[] = {
        {SPAN_INIT("alice@example.test"), SPAN_INIT("secret"), VERIFY_OK},
        {SPAN_INIT("ALICE@Example.Test"), SPAN_INIT("secret"), VERIFY_OK},
        {SPAN_INIT("alice"), SPAN_INIT("secret"), VERIFY_OK},
        {SPAN_INIT("bob@second.test"), SPAN_INIT("a-password-to-be-found-nowhere"), VERIFY_OK},
        {SPAN_INIT("bob"), SPAN_INIT("a-password-to-be-found-nowhere"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("Secret"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("secret "), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("secre"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT(""), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("secret\0"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("secret\0more"), VERIFY_FAILED},
        {SPAN_INIT("alice"), SPAN_INIT("\0"), VERIFY_FAILED},
        {SPAN_INIT("alice\0"), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT("alice bob"), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT("alice@"), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT(""), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT(""), SPAN_INIT(""), VERIFY_FAILED},
        {SPAN_INIT("<>"), SPAN_INIT(""), VERIFY_FAILED},
        {SPAN_INIT("nobody@example.test"), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT("locked"), SPAN_INIT("*"), VERIFY_FAILED},
        {SPAN_INIT("suspended"), SPAN_INIT("secret"), VERIFY_FAILED},
        {SPAN_INIT("empty"), SPAN_INIT(""), VERIFY_FAILED},
    };
    struct fixture *fixture = *state;
    start(fixture);
    for (size_t i = 0; i < COUNT(rows); i++) {
        fixture->count = 0;
        begin_from(fixture, fixture, "192.0.2.1", rows[i].user, rows[i].password);
        wait_answers(fixture, 1);
        if (fixture->heard[0].status != rows[i].status)
            fail_msg("row %zu: %d", i, fixture->heard[0].status);
    }
}

static void names_and_passwords_of_any_length_and_octets_are_answered(void **state)
{
    struct fixture *fixture = *state;
    char octets[4096];
    start(fixture);
    for (size_t i = 0; i < sizeof(octets); i++)
        octets[i] = (char)i;
    begin_from(fixture, fixture, "192.0.2.1", span_of(octets, 512), SPAN("secret"));
    begin_from(fixture, fixture, "192.0.2.1", SPAN("alice"), span_of(octets, sizeof(octets)));
    memset(octets, 'x', sizeof(octets));
    begin_from(fixture, fixture, "192.0.2.1", SPAN("bob@second.test"),
               span_of(octets, sizeof(octets)));
    wait_answers(fixture, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fixture->heard[i].status, VERIFY_FAILED);
}

static void a_table_that_can_not_be_read_is_temporary_and_costs_no_hash(void **state)
{
    struct fixture *fixture = *state;
    for (int damage = 0; damage < DAMAGE_COUNT; damage++) {
        table_rig_damage(&fixture->rig, "passwords", (enum table_damage)damage);
        assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_TEMPORARY);
        assert_int_equal(status_of(fixture, "nobody", "secret"), VERIFY_TEMPORARY);
        write_passwords(fixture, fixture->alice);
    }
    assert_int_equal(spy.calls, 0);
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
}

/* ---- what a stranger can tell ---- */

/* One hash each, and one of the usual cost where there is none: nobody's time tells who exists. */
static void who_does_not_exist_or_is_locked_costs_a_dummy_hash(void **state)
{
    static const char *const users[] = {"nobody",    "nobody@far.test", "locked",
                                        "suspended", "empty",           "no address at all"};
    struct fixture *fixture = *state;
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "wrong"), VERIFY_FAILED);
    assert_int_equal(spy.calls, 1);
    assert_string_equal(spy.last_setting, fixture->alice);
    for (size_t i = 0; i < COUNT(users); i++) {
        spy.calls = 0;
        assert_int_equal(status_of(fixture, users[i], "wrong"), VERIFY_FAILED);
        assert_int_equal(spy.calls, 1);
        assert_string_equal(spy.last_setting, hasher_dummy(fixture->hasher));
    }
}

static void a_password_with_a_nul_costs_a_hash_like_any_other(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    begin_from(fixture, fixture, "192.0.2.1", SPAN("alice"), SPAN("secret\0"));
    wait_answers(fixture, 1);
    assert_int_equal(spy.calls, 1);
}

/* ---- what is remembered ---- */

static void a_remembered_login_costs_no_hash(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
    assert_int_equal(spy.calls, 1);
    for (int i = 0; i < 10; i++)
        assert_int_equal(status_of(fixture, "ALICE@example.test", "secret"), VERIFY_OK);
    assert_int_equal(spy.calls, 1);
    assert_int_equal(status_of(fixture, "alice", "wrong"), VERIFY_FAILED);
    assert_int_equal(spy.calls, 2);
}

static void a_wrong_password_is_never_remembered(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    for (unsigned i = 1; i <= 3; i++) {
        assert_int_equal(status_of(fixture, "alice", "wrong"), VERIFY_FAILED);
        assert_int_equal(spy.calls, i);
    }
}

static void a_changed_hash_forgets_the_login(void **state)
{
    struct fixture *fixture = *state;
    char changed[CRYPT_OUTPUT_SIZE];
    hash_into("another", changed);
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
    write_passwords(fixture, changed);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_FAILED);
    assert_int_equal(status_of(fixture, "alice", "another"), VERIFY_OK);
}

static void a_deleted_or_locked_account_forgets_the_login(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
    write_passwords(fixture, "*");
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_FAILED);
    table_rig_write(&fixture->rig, "passwords", "# nobody\n");
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_FAILED);
}

static void logins_that_waited_for_the_same_login_cost_no_hash_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 10; i++)
        begin(fixture, "alice", "secret");
    start(fixture);
    wait_answers(fixture, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(fixture->heard[i].status, VERIFY_OK);
    assert_int_equal(spy.calls, 1);
}

/* ---- bounds ---- */

static void one_attempt_of_an_account_is_hashed_at_a_time(void **state)
{
    struct fixture *fixture = *state;
    spy.account_stored = fixture->alice;
    hold_hashing(true);
    start(fixture);
    for (int i = 0; i < 6; i++)
        begin(fixture, "alice", "wrong");
    begin(fixture, "bob@second.test", "wrong");
    wait_running(2);
    hold_hashing(false);
    wait_answers(fixture, 7);
    assert_int_equal(spy.calls, 7);
    assert_int_equal(spy.of_account_most, 1);
}

static void attempts_behind_an_account_are_bounded_and_others_are_not_kept_out(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < ATTEMPTS_WAITING_MOST + 1; i++)
        begin(fixture, "alice", "wrong");
    assert_int_equal(fixture->count, 0);
    begin(fixture, "alice", "secret");
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
    begin(fixture, "bob@second.test", marked_password);
    assert_int_equal(fixture->count, 1);
    start(fixture);
    wait_answers(fixture, ATTEMPTS_WAITING_MOST + 3);
    assert_false(attempts_pending(fixture->attempts));
}

/* Who guesses at an account from one network does not keep its owner out, who comes from another.
 */
static void networks_take_turns_at_an_account(void **state)
{
    struct fixture *fixture = *state;
    int guesser = 0, owner = 0;
    for (int i = 0; i < ATTEMPTS_WAITING_MOST + 1; i++)
        begin_from(fixture, &guesser, "192.0.2.1", SPAN("alice"), SPAN("wrong"));
    assert_int_equal(fixture->count, 0);
    begin_from(fixture, &owner, "192.0.2.2", SPAN("alice"), SPAN("secret"));
    assert_int_equal(fixture->count, 1); /* the last guess made room */
    assert_ptr_equal(fixture->heard[0].origin, &guesser);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
    start(fixture);
    wait_answers(fixture, ATTEMPTS_WAITING_MOST + 2);
    assert_ptr_equal(fixture->heard[2].origin, &owner); /* behind the one under way */
    assert_int_equal(fixture->heard[2].status, VERIFY_OK);
}

/* Each of these has its turn before the second guess of any. */
static void an_attempt_waits_for_one_of_each_other_network(void **state)
{
    static const char *const clients[] = {"192.0.2.1", "192.0.2.1",   "192.0.2.1",   "192.0.2.2",
                                          "192.0.2.2", "2001:db8::1", "2001:db8::2", "192.0.2.3"};
    static const unsigned expected[] = {0, 3, 5, 7, 1, 4, 6, 2};
    struct fixture *fixture = *state;
    char origins[COUNT(clients)];
    for (size_t i = 0; i < COUNT(clients); i++)
        begin_from(fixture, &origins[i], clients[i], SPAN("alice"), SPAN("wrong"));
    start(fixture);
    wait_answers(fixture, COUNT(clients));
    for (size_t i = 0; i < COUNT(clients); i++)
        assert_ptr_equal(fixture->heard[i].origin, &origins[expected[i]]);
}

static void an_account_that_is_full_takes_no_more_of_networks_that_wait_as_long(void **state)
{
    struct fixture *fixture = *state;
    char client[32];
    for (int i = 0; i < ATTEMPTS_WAITING_MOST + 1; i++) {
        (void)snprintf(client, sizeof(client), "192.0.2.%d", i);
        begin_from(fixture, fixture, client, SPAN("alice"), SPAN("wrong"));
    }
    begin_from(fixture, fixture, "192.0.2.99", SPAN("alice"), SPAN("wrong"));
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
    assert_string_equal(fixture->heard[0].client, "192.0.2.99");
}

static void one_ipv6_network_is_one_client(void **state)
{
    struct fixture *fixture = *state;
    char user[32], client[64];
    for (int i = 0; i < ATTEMPTS_CLIENT_MOST; i++) {
        (void)snprintf(user, sizeof(user), "guess%d", i);
        (void)snprintf(client, sizeof(client), "2001:db8::%x", i + 1);
        begin_from(fixture, fixture, client, span_cstr(user), SPAN("wrong"));
    }
    assert_int_equal(fixture->count, 0);
    begin_from(fixture, fixture, "2001:db8::ffff:1", SPAN("alice"), SPAN("secret"));
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
    begin_from(fixture, fixture, "2001:db8:0:1::1", SPAN("alice"), SPAN("secret"));
    assert_int_equal(fixture->count, 1);
}

static void attempts_of_everybody_are_bounded(void **state)
{
    struct fixture *fixture = *state;
    char user[32], client[64];
    for (int i = 0; i < ATTEMPTS_MOST; i++) {
        (void)snprintf(user, sizeof(user), "guess%d", i);
        (void)snprintf(client, sizeof(client), "10.0.%d.%d", i >> 8, i & 255);
        begin_from(fixture, fixture, client, span_cstr(user), SPAN("wrong"));
    }
    assert_int_equal(fixture->count, 0);
    begin(fixture, "alice", "secret");
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
}

static void attempts_of_a_client_are_bounded_and_other_clients_are_not_kept_out(void **state)
{
    struct fixture *fixture = *state;
    char user[32];
    for (int i = 0; i < ATTEMPTS_CLIENT_MOST; i++) {
        (void)snprintf(user, sizeof(user), "guess%d", i);
        begin(fixture, user, "wrong");
    }
    assert_int_equal(fixture->count, 0);
    begin(fixture, "alice", "secret");
    assert_int_equal(fixture->count, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_TEMPORARY);
    begin_from(fixture, fixture, "192.0.2.2", SPAN("alice"), SPAN("secret"));
    assert_int_equal(fixture->count, 1);
    assert_true(attempts_pending(fixture->attempts));
}

/* ---- delays ---- */

static void a_failure_waits_and_nobody_waits_with_it(void **state)
{
    struct fixture *fixture = *state;
    attempts_free(fixture->attempts);
    make_attempts(fixture, 1, 15);
    start(fixture);
    int64_t before = loop_now(fixture->loop);
    begin(fixture, "alice", "wrong");
    begin(fixture, "nobody", "wrong");
    begin(fixture, "bob@second.test", marked_password);
    wait_answers(fixture, 1);
    assert_int_equal(fixture->heard[0].status, VERIFY_OK);
    assert_string_equal(fixture->heard[0].user, "bob@second.test");
    wait_answers(fixture, 3);
    assert_true(loop_now(fixture->loop) - before >= 1000);
    assert_int_equal(fixture->heard[1].status, VERIFY_FAILED);
    assert_int_equal(fixture->heard[2].status, VERIFY_FAILED);
}

static void a_remembered_login_is_not_held_up_by_the_delay_of_a_guess(void **state)
{
    struct fixture *fixture = *state;
    attempts_free(fixture->attempts);
    make_attempts(fixture, 3600, 3600);
    start(fixture);
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
    begin(fixture, "alice", "wrong");
    assert_int_equal(status_of(fixture, "alice", "secret"), VERIFY_OK);
    assert_true(attempts_pending(fixture->attempts));
}

/* ---- ends ---- */

static void a_peer_that_is_gone_amid_a_hash_gets_no_answer_and_others_do(void **state)
{
    struct fixture *fixture = *state;
    int gone = 0, other = 0;
    hold_hashing(true);
    start(fixture);
    begin_from(fixture, &gone, "192.0.2.1", SPAN("alice"), SPAN("secret"));
    begin_from(fixture, &gone, "192.0.2.1", SPAN("alice"), SPAN("wrong"));
    begin_from(fixture, &other, "192.0.2.1", SPAN("alice"), SPAN("secret"));
    wait_running(1);
    attempts_forget(fixture->attempts, &gone);
    hold_hashing(false);
    wait_answers(fixture, 1);
    assert_ptr_equal(fixture->heard[0].origin, &other);
    assert_false(attempts_pending(fixture->attempts));
}

static void attempts_may_end_while_they_are_hashed_and_wait(void **state)
{
    struct fixture *fixture = *state;
    start(fixture);
    for (int i = 0; i < 5; i++)
        begin(fixture, "alice", "secret");
    begin(fixture, "nobody", "secret");
    assert_int_equal(fixture->count, 0);
}

/* Once in each attempt's copy; each keyed digest wipes its own. Under the sanitizers no memory that
 * is given back may hold it either. */
static void passwords_are_wiped(void **state)
{
    struct fixture *fixture = *state;
    char longest[512];
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, marked_password, sizeof(marked_password) - 1);
    start(fixture);
    spy.looking = true;
    begin_from(fixture, fixture, "192.0.2.1", SPAN("alice"), span_of(longest, sizeof(longest)));
    wait_answers(fixture, 1);
    assert_int_equal(status_of(fixture, "alice", marked_password), VERIFY_FAILED);
    assert_true(spy.wiped >= 1);
    assert_int_equal(status_of(fixture, "bob@second.test", marked_password), VERIFY_OK);
    assert_int_equal(status_of(fixture, "bob@second.test", marked_password), VERIFY_OK);
    spy.looking = false;
    assert_true(spy.wiped >= 4);
    assert_int_equal(spy.freed_unwiped, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(an_answer_names_the_question_and_the_canonical_user),
        TEST(each_login_has_its_verdict),
        TEST(names_and_passwords_of_any_length_and_octets_are_answered),
        TEST(a_table_that_can_not_be_read_is_temporary_and_costs_no_hash),
        TEST(who_does_not_exist_or_is_locked_costs_a_dummy_hash),
        TEST(a_password_with_a_nul_costs_a_hash_like_any_other),
        TEST(a_remembered_login_costs_no_hash),
        TEST(a_wrong_password_is_never_remembered),
        TEST(a_changed_hash_forgets_the_login),
        TEST(a_deleted_or_locked_account_forgets_the_login),
        TEST(logins_that_waited_for_the_same_login_cost_no_hash_of_their_own),
        TEST(one_attempt_of_an_account_is_hashed_at_a_time),
        TEST(attempts_behind_an_account_are_bounded_and_others_are_not_kept_out),
        TEST(networks_take_turns_at_an_account),
        TEST(an_attempt_waits_for_one_of_each_other_network),
        TEST(an_account_that_is_full_takes_no_more_of_networks_that_wait_as_long),
        TEST(one_ipv6_network_is_one_client),
        TEST(attempts_of_everybody_are_bounded),
        TEST(attempts_of_a_client_are_bounded_and_other_clients_are_not_kept_out),
        TEST(a_failure_waits_and_nobody_waits_with_it),
        TEST(a_remembered_login_is_not_held_up_by_the_delay_of_a_guess),
        TEST(a_peer_that_is_gone_amid_a_hash_gets_no_answer_and_others_do),
        TEST(attempts_may_end_while_they_are_hashed_and_wait),
        TEST(passwords_are_wiped),
    };
    watch_memory();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
