/* The command line: what is refused, with which code, and what the hint says. */
#include "tests/unit/ctl_rig.h"

#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "ctl/verbs.h"

static void bad_usage_is_one_helpful_line(void **state)
{
    static const struct {
        const char *words[6];
        const char *hint;
    } rows[] = {
        {{NULL}, "a verb is missing"},
        {{"-c", NULL}, "-c wants"},
        {{"-c", "file", NULL}, "a verb is missing"},
        {{"-x", "run", NULL}, "no option -x"},
        {{"frob", NULL}, "no verb \"frob\""},
        {{"user", NULL}, "veredus help user"},
        {{"user", "frob", NULL}, "veredus help user"},
        {{"user", "add", NULL}, "veredus user add ADDRESS"},
        {{"user", "list", "more", NULL}, "veredus user list"},
        {{"status", "more", NULL}, "veredus status"},
        {{"table", "get", "users", NULL}, "veredus table get NAME KEY"},
        {{"config", "--frob", NULL}, "--all or --reference"},
        {{"help", "frob", NULL}, "no verb \"frob\""},
        {{"init", "dir", NULL}, "--hostname H --domain D"},
        {{"init", "dir", "--hostname", NULL}, "--hostname wants a value"},
        {{"init", "dir", "dir2", NULL}, "one argument too many"},
        {{"init", "dir", "--frob", "1", NULL}, "init knows no --frob"},
        {{"init", "dir", "--domain", "a..b", NULL}, "no domain name"},
        {{"init", "dir", "--port-base", "65000", NULL}, "from 0 to"},
    };
    struct ctl_rig *rig = *state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(rig_call(rig, NULL, rows[i].words), EX_USAGE);
        assert_holds(rig->err, rows[i].hint);
        assert_ptr_equal(strchr(rig->err, '\n'), rig->err + strlen(rig->err) - 1);
        assert_memory_equal(rig->err, "veredus: ", 9);
        assert_string_equal(rig->out, "");
    }
}

static void help_shows_every_verb(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, NULL, "help"), EX_OK);
    for (const struct ctl_verb *verb = ctl_verbs; verb->name; verb++) {
        assert_holds(rig->out, verb->name);
        assert_holds(rig->out, verb->help);
    }
    assert_int_equal(RIG_CALL(rig, NULL, "--help"), EX_OK);
    assert_holds(rig->out, "user passwd ADDRESS");
}

static void help_of_a_group_shows_its_verbs_alone(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, NULL, "help", "user"), EX_OK);
    assert_holds(rig->out, "user add ADDRESS");
    assert_holds(rig->out, "user list");
    assert_lacks(rig->out, "status");
    assert_int_equal(RIG_CALL(rig, NULL, "help", "user", "add"), EX_OK);
    assert_lacks(rig->out, "user list");
}

static void the_version_is_printed(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_CALL(rig, NULL, "version"), EX_OK);
    assert_string_equal(rig->out, "veredus " VEREDUS_VERSION "\n");
    assert_int_equal(RIG_CALL(rig, NULL, "--version"), EX_OK);
    assert_string_equal(rig->out, "veredus " VEREDUS_VERSION "\n");
}

static void every_verb_is_found_by_its_words(void **state)
{
    char *const add[] = {(char *)"user", (char *)"add", (char *)"status"};
    size_t used;
    (void)state;
    assert_string_equal(ctl_find_verb(add, 3, &used)->name, "user add");
    assert_int_equal(used, 2);
    assert_null(ctl_find_verb(add, 1, &used));
    assert_string_equal(ctl_find_verb(add + 2, 1, &used)->name, "status");
    assert_int_equal(used, 1);
}

static void a_missing_or_bad_configuration_is_78(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, NULL, "config"), EX_CONFIG);
    assert_holds(rig->err, rig->file);
    assert_int_equal(mkdir(rig->instance, 0700), 0);
    rig_write(rig, "veredus.conf", "hostname = \"mx.example.test\"\nfrob = 1\n");
    static const char *const verbs[] = {"config", "check", "status", "start", "stop", "reload"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        assert_int_equal(RIG_DO(rig, NULL, verbs[i]), EX_CONFIG);
        assert_holds(rig->err, "veredus.conf:2:");
    }
}

static void config_says_fine_or_prints_all_that_is_in_force(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(mkdir(rig->instance, 0700), 0);
    rig_write(rig, "veredus.conf", "hostname = \"mx.example.test\"\ndomains = {\"a.test\"}\n");
    assert_int_equal(RIG_DO(rig, NULL, "config"), EX_OK);
    assert_holds(rig->out, "veredus.conf is fine");
    assert_int_equal(RIG_DO(rig, NULL, "config", "--all"), EX_OK);
    assert_holds(rig->out, "mx.example.test");
    assert_holds(rig->out, "message_size");
}

static void the_reference_needs_no_configuration(void **state)
{
    struct ctl_rig *rig = *state;
    assert_int_equal(RIG_DO(rig, NULL, "config", "--reference"), EX_OK);
    assert_holds(rig->out, "trusted_networks");
}

int main(void)
{
#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)
    static const struct CMUnitTest tests[] = {
        WITH_RIG(bad_usage_is_one_helpful_line),
        WITH_RIG(help_shows_every_verb),
        WITH_RIG(help_of_a_group_shows_its_verbs_alone),
        WITH_RIG(the_version_is_printed),
        cmocka_unit_test(every_verb_is_found_by_its_words),
        WITH_RIG(a_missing_or_bad_configuration_is_78),
        WITH_RIG(config_says_fine_or_prints_all_that_is_in_force),
        WITH_RIG(the_reference_needs_no_configuration),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
