/* user and table: the two tables change together, texts keep their comments, modes stay narrow. */
#include "tests/unit/ctl_rig.h"

#include <crypt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "scram_rig.h"
#include "util/base/base64.h"
#include "util/sys/privileges.h"

static struct credentials entry_of(struct arena *arena, const char *value)
{
    struct credentials entry;
    assert_true(credentials_parse(arena, span_cstr(value), &entry));
    return entry;
}

static void assert_password(struct ctl_rig *rig, const char *user, const char *password)
{
    struct arena arena = {0};
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "passwords", user), EX_OK);
    rig->out[strcspn(rig->out, "\n")] = '\0';
    struct credentials entry = entry_of(&arena, rig->out);
    assert_true(span_has_prefix(entry.crypt, SPAN("$y$")));
    assert_string_equal(crypt(password, entry.crypt.data), entry.crypt.data);
    arena_free(&arena);
}

/* The keys are those of `prepared`. */
static void assert_keys(struct ctl_rig *rig, const char *user, const char *prepared)
{
    struct arena arena = {0};
    struct span salt;
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "passwords", user), EX_OK);
    rig->out[strcspn(rig->out, "\n")] = '\0';
    struct credentials entry = entry_of(&arena, rig->out);
    assert_true(entry.has_scram);
    assert_true(base64_decode(&arena, entry.scram.salt, &salt));
    assert_int_equal(salt.len, SCRAM_SALT_SIZE);
    assert_int_equal(entry.scram.iterations, SCRAM_ITERATIONS);
    struct scram_keys right = scram_rig_keys(&arena, prepared, salt, entry.scram.iterations);
    assert_true(span_equal(entry.scram.stored, right.stored));
    assert_true(span_equal(entry.scram.server, right.server));
    arena_free(&arena);
}

static void the_keys_of_scram_are_those_of_the_prepared_password(void **state)
{
    static const struct {
        const char *typed, *prepared;
    } rows[] = {
        {"word\n", "word"},
        {"two words\n", "two words"},
        {"gr\xc3\xbc\xc3\x9f\n", "gr\xc3\xbc\xc3\x9f"},
        {"\xc2\xaa\n", "a"},                          /* RFC 4013 §3: normalised */
        {"I\xc2\xadX\n", "IX"},                       /* and mapped to nothing */
        {"\xc2\xa0pass\xc2\xa0word\n", " pass word"}, /* and to a space */
    };
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(RIG_DO(rig, rows[i].typed, "user", "passwd", "alice@example.test"), EX_OK);
        assert_keys(rig, "alice@example.test", rows[i].prepared);
    }
}

static void a_password_that_scram_can_not_carry_has_no_keys_and_says_so(void **state)
{
    static const char *const passwords[] = {"\xff\xfe", "\xf0\x9f\x98\x80", "\xd8\xa7\x31"};
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof passwords / sizeof *passwords; i++) {
        assert_int_equal(RIG_DO(rig, passwords[i], "user", "passwd", "alice@example.test"), EX_OK);
        assert_holds(rig->err, "SCRAM can not carry");
        assert_null(strstr(rig_text(rig, "tables/passwords"), "scram-sha-256="));
        assert_password(rig, "alice@example.test", passwords[i]);
    }
}

static void an_added_user_is_in_both_compiled_tables(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "Bob@Example.test"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "bob@example.test"), EX_OK);
    assert_string_equal(rig->out, "\n");
    assert_password(rig, "bob@example.test", "word");
    assert_password(rig, "alice@example.test", "secret");
    assert_int_equal(RIG_DO(rig, NULL, "user", "list"), EX_OK);
    assert_string_equal(rig->out, "alice@example.test\nbob@example.test\n");
}

static void the_last_line_needs_no_end(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, "no line feed", "user", "add", "bob@example.test"), EX_OK);
    assert_password(rig, "bob@example.test", "no line feed");
}

static void what_can_not_be_added_changes_nothing(void **state)
{
    static const struct {
        const char *address, *input, *hint;
    } rows[] = {
        {"alice@example.test", "word\n", "exists already"},
        {"ALICE@example.test", "word\n", "exists already"},
        {"bob@other.test", "word\n", "not in `domains`"},
        {"bob", "word\n", "no address"},
        {"bo/b@example.test", "word\n", "can not be a user"},
        {"bob@example.test", "", "empty"},
        {"bob@example.test", "\n", "empty"},
        {"bob@example.test", "\r\n", "empty"},
        {"bob@example.test", "a\tb\n", "control characters"},
    };
    struct ctl_rig *rig = *state;
    char before[RIG_TEXT];
    strcpy(before, rig_text(rig, "tables/passwords"));
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(RIG_DO(rig, rows[i].input, "user", "add", rows[i].address), EX_DATAERR);
        assert_holds(rig->err, rows[i].hint);
        assert_string_equal(rig_text(rig, "tables/passwords"), before);
    }
}

static void a_password_is_never_cut(void **state)
{
    struct ctl_rig *rig = *state;
    char longest[256 + 2];
    memset(longest, 'p', 256);
    strcpy(longest + 256, "\n");
    assert_int_equal(RIG_DO(rig, longest, "user", "passwd", "alice@example.test"), EX_DATAERR);
    assert_holds(rig->err, "longer than 255");
    strcpy(longest + 255, "\n");
    assert_int_equal(RIG_DO(rig, longest, "user", "passwd", "alice@example.test"), EX_OK);
    longest[255] = '\0';
    assert_password(rig, "alice@example.test", longest);
}

static void passwd_changes_the_password_of_who_exists(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, "new\n", "user", "passwd", "alice@example.test"), EX_OK);
    assert_password(rig, "alice@example.test", "new");
    assert_int_equal(RIG_DO(rig, "new\n", "user", "passwd", "bob@example.test"), EX_DATAERR);
    assert_holds(rig->err, "no user bob@example.test");
}

static void delete_keeps_the_mailbox_and_says_so(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, NULL, "user", "delete", "alice@example.test"), EX_OK);
    assert_holds(rig->out, "the mailbox was kept");
    assert_int_equal(access(rig_path(rig, "mail/example.test/alice/new"), F_OK), 0);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "alice@example.test"),
                     EXIT_FAILURE);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "passwords", "alice@example.test"),
                     EXIT_FAILURE);
    assert_int_equal(RIG_DO(rig, NULL, "user", "delete", "alice@example.test"), EX_DATAERR);
}

static void comments_and_other_lines_stay(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/users",
              "# staff\nalice@example.test\n\n# machines\nbackup@example.test\n");
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "bob@example.test"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "user", "delete", "alice@example.test"), EX_OK);
    assert_string_equal(rig_text(rig, "tables/users"),
                        "# staff\n\n# machines\nbackup@example.test\nbob@example.test\n");
}

static void passwords_stay_readable_by_their_owner_alone(void **state)
{
    static const char *const names[] = {"tables/passwords", "tables/passwords.db"};
    struct ctl_rig *rig = *state;
    struct stat st;
    assert_int_equal(chmod(rig_path(rig, names[0]), 0644), 0);
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "bob@example.test"), EX_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(rig_path(rig, names[i]), &st), 0);
        assert_int_equal(st.st_mode & 07777, 0600);
    }
    assert_int_not_equal(access(rig_path(rig, "tables/passwords.new"), F_OK), 0);
}

/* All tables, texts and compiled ones, are gone, as before the first user of all. */
static void remove_tables(struct ctl_rig *rig)
{
    static const char *const names[] = {"users", "aliases", "senders", "access", "passwords"};
    char name[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)snprintf(name, sizeof name, "tables/%s", names[i]);
        assert_int_equal(unlink(rig_path(rig, name)), 0);
        (void)snprintf(name, sizeof name, "tables/%s.db", names[i]);
        assert_int_equal(unlink(rig_path(rig, name)), 0);
    }
}

static void the_first_user_of_all_makes_the_tables(void **state)
{
    struct ctl_rig *rig = *state;
    remove_tables(rig);
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "bob@example.test"), EX_OK);
    assert_password(rig, "bob@example.test", "word");
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "aliases", "nobody"), EXIT_FAILURE);
    assert_holds(rig_text(rig, "tables/users"), "# ADDRESS [MAILBOX]");
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
}

static void table_build_makes_the_tables_that_are_missing(void **state)
{
    struct ctl_rig *rig = *state;
    remove_tables(rig);
    assert_int_equal(RIG_DO(rig, NULL, "table", "build"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "check"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "user", "list"), EX_OK);
    assert_string_equal(rig->out, "");
}

static void passwords_go_to_auths_user_when_users_are_separate(void **state)
{
    static const char *const names[] = {"tables/passwords", "tables/passwords.db"};
    struct ctl_rig *rig = *state;
    struct privileges nobody;
    struct stat st;
    assert_true(privileges_of("nobody", &nobody));
    rig_write(rig, "veredus.conf",
              "hostname = mx.example.test\ndomains = {example.test}\n"
              "table_directory = tables\nauth_user = nobody\n");
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "bob@example.test"), EX_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stat(rig_path(rig, names[i]), &st), 0);
        assert_int_equal(st.st_uid, geteuid() == 0 ? nobody.uid : geteuid());
    }
    assert_int_equal(stat(rig_path(rig, "tables/users.db"), &st), 0);
    assert_int_equal(st.st_uid, geteuid());
}

static void a_text_that_was_lost_is_an_error(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(unlink(rig_path(rig, "tables/users")), 0);
    assert_int_equal(RIG_DO(rig, "word\n", "user", "add", "bob@example.test"), EX_IOERR);
    assert_holds(rig->err, "tables/users is gone");
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "alice@example.test"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "user", "list"), EX_IOERR);
}

static void table_build_compiles_what_is_named_or_all(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/aliases", "sales alice\n");
    rig_write(rig, "tables/users", "carol@example.test box/carol\n");
    assert_int_equal(RIG_DO(rig, NULL, "table", "build", "aliases"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "aliases", "sales"), EX_OK);
    assert_string_equal(rig->out, "alice\n");
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "carol@example.test"),
                     EXIT_FAILURE);
    assert_int_equal(RIG_DO(rig, NULL, "table", "build"), EX_OK);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "carol@example.test"), EX_OK);
    assert_string_equal(rig->out, "box/carol\n");
}

static void table_build_names_the_bad_line_and_keeps_the_old(void **state)
{
    struct ctl_rig *rig = *state;
    rig_write(rig, "tables/aliases", "sales alice\nsales bob\n");
    assert_int_equal(RIG_DO(rig, NULL, "table", "build"), EX_DATAERR);
    assert_holds(rig->err, "tables/aliases:2:");
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "aliases", "postmaster"), EX_OK);
    assert_string_equal(rig->out, "alice@example.test\n");
}

static void a_table_that_does_not_exist_is_bad_usage(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, NULL, "table", "build", "users", "frob"), EX_USAGE);
    assert_holds(rig->err, "no table \"frob\"");
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "frob", "key"), EX_USAGE);
}

static void a_table_that_is_not_compiled_is_no_empty_one(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(unlink(rig_path(rig, "tables/users.db")), 0);
    assert_int_equal(RIG_DO(rig, NULL, "table", "get", "users", "alice@example.test"), EX_IOERR);
    assert_holds(rig->err, "can not be read");
}

int main(void)
{
#define WITH_INSTANCE(test)                                                                        \
    cmocka_unit_test_setup_teardown(test, rig_setup_with_instance, rig_teardown)
    static const struct CMUnitTest tests[] = {
        WITH_INSTANCE(an_added_user_is_in_both_compiled_tables),
        WITH_INSTANCE(the_last_line_needs_no_end),
        WITH_INSTANCE(what_can_not_be_added_changes_nothing),
        WITH_INSTANCE(a_password_is_never_cut),
        WITH_INSTANCE(passwd_changes_the_password_of_who_exists),
        WITH_INSTANCE(the_keys_of_scram_are_those_of_the_prepared_password),
        WITH_INSTANCE(a_password_that_scram_can_not_carry_has_no_keys_and_says_so),
        WITH_INSTANCE(delete_keeps_the_mailbox_and_says_so),
        WITH_INSTANCE(comments_and_other_lines_stay),
        WITH_INSTANCE(passwords_stay_readable_by_their_owner_alone),
        WITH_INSTANCE(the_first_user_of_all_makes_the_tables),
        WITH_INSTANCE(table_build_makes_the_tables_that_are_missing),
        WITH_INSTANCE(passwords_go_to_auths_user_when_users_are_separate),
        WITH_INSTANCE(a_text_that_was_lost_is_an_error),
        WITH_INSTANCE(table_build_compiles_what_is_named_or_all),
        WITH_INSTANCE(table_build_names_the_bad_line_and_keeps_the_old),
        WITH_INSTANCE(a_table_that_does_not_exist_is_bad_usage),
        WITH_INSTANCE(a_table_that_is_not_compiled_is_no_empty_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
