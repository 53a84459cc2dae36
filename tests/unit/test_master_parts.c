/*
 * The parts of master that can be tried without a child: what is read, bound, shared and logged.
 */
#include "master/configuration.h"
#include "master/journal.h"
#include "master/listeners.h"
#include "master/pages.h"
#include "tests/unit/local_address.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
    struct arena arena;
    struct span directory;
    struct buf complaints;
    struct conf conf;
};

static struct span beneath(struct fixture *fixture, const char *name)
{
    return arena_printf(&fixture->arena, "%s/%s", fixture->directory.data, name);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    char path[] = "/tmp/veredus-master-XXXXXX";
    assert_non_null(mkdtemp(path));
    fixture->directory = arena_copy(&fixture->arena, span_cstr(path));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    struct span command = arena_printf(&fixture->arena, "rm -rf '%s'", fixture->directory.data);
    assert_int_equal(system(command.data), 0);
    buf_free(&fixture->complaints);
    arena_free(&fixture->arena);
    mem_free(fixture);
    return 0;
}

static bool contains(struct span text, struct span part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (span_has_prefix(span_skip(text, i), part))
            return true;
    return false;
}

static void assert_complained(struct fixture *fixture, const char *about)
{
    if (!contains(buf_span(&fixture->complaints), span_cstr(about)))
        fail_msg("not said: %s", about);
}

static void write_file(struct span path, const char *text, mode_t mode)
{
    int fd = open(path.data, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

/* ---- configuration ---- */

static const char good_text[] = "hostname = \"mx.example.test\"\ndomains = {\"example.test\"}\n";

static bool load(struct fixture *fixture, struct configuration *configuration, const char *text,
                 mode_t mode)
{
    struct span path = beneath(fixture, "veredus.conf");
    write_file(path, text, mode);
    return configuration_load(configuration, path.data, complaint_note, &fixture->complaints);
}

static void the_text_handed_on_is_the_text_of_the_file(void **state)
{
    struct fixture *fixture = *state;
    struct configuration configuration;
    char text[256];
    assert_true(load(fixture, &configuration, good_text, 0600));
    assert_true(span_equal(configuration.conf->hostname, SPAN("mx.example.test")));
    ssize_t size = pread(configuration.text, text, sizeof(text), 0);
    assert_true(span_equal(span_of(text, (size_t)size), span_cstr(good_text)));
    configuration_free(&configuration);
}

static void the_text_handed_on_can_not_be_changed(void **state)
{
    struct fixture *fixture = *state;
    struct configuration configuration;
    assert_true(load(fixture, &configuration, good_text, 0600));
    assert_int_equal(pwrite(configuration.text, "x", 1, 0), -1);
    assert_int_equal(errno, EPERM);
    assert_int_equal(ftruncate(configuration.text, 0), -1);
    configuration_free(&configuration);
}

static void a_bad_configuration_is_refused_with_reasons(void **state)
{
    struct fixture *fixture = *state;
    struct configuration configuration;
    assert_false(load(fixture, &configuration, "no_such_setting = 1\n", 0600));
    assert_complained(fixture, "veredus.conf:1");
    assert_null(configuration.conf);
    assert_int_equal(configuration.text, -1);
}

static void a_configuration_that_others_may_write_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct configuration configuration;
    assert_false(load(fixture, &configuration, good_text, 0666));
    assert_complained(fixture, "others may write");
}

/* ---- listeners ---- */

static struct conf_listen listen_on(const char *name, enum conf_service service, unsigned port)
{
    struct conf_listen listen = {.name = span_cstr(name), .service = service, .line = 3};
    char text[32];
    (void)snprintf(text, sizeof(text), "127.0.0.1:%u", port);
    assert_true(net_parse_endpoint(span_cstr(text), &listen.address));
    return listen;
}

/* A port that is free now. */
static unsigned free_port(void)
{
    union net_address address;
    assert_true(net_parse_endpoint(SPAN("127.0.0.1:0"), &address));
    int fd = net_listen(&address, 1);
    assert_true(fd >= 0 && local_address(fd, &address));
    (void)close(fd);
    return net_port(&address);
}

static bool can_connect(unsigned port)
{
    struct conf_listen to = listen_on("", SERVICE_SMTP, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    bool good = connect(fd, &to.address.any, sizeof(to.address.v4)) == 0;
    (void)close(fd);
    return good;
}

static bool update(struct fixture *fixture, struct listeners *listeners, struct conf_listen *items,
                   size_t count)
{
    const struct conf_listens wanted = {items, count};
    return listeners_update(listeners, &wanted, complaint_note, &fixture->complaints);
}

static void listeners_are_bound_and_closed(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0};
    unsigned port = free_port();
    struct conf_listen wanted[] = {listen_on("mx", SERVICE_SMTP, port)};
    assert_true(update(fixture, &listeners, wanted, 1));
    assert_true(can_connect(port));
    assert_true(listeners_serve(&listeners, ROLE_SMTPD));
    assert_false(listeners_serve(&listeners, ROLE_SUBMISSION));
    assert_false(listeners_serve(&listeners, ROLE_POP3D));
    listeners_close(&listeners);
    assert_false(can_connect(port));
}

static void an_address_that_stays_keeps_its_socket(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0};
    unsigned stays = free_port(), goes = free_port(), comes = free_port();
    struct conf_listen before[] = {listen_on("a", SERVICE_SMTP, stays),
                                   listen_on("b", SERVICE_POP3, goes)};
    struct conf_listen after[] = {listen_on("c", SERVICE_POP3, comes),
                                  listen_on("renamed", SERVICE_SMTP, stays)};
    assert_true(update(fixture, &listeners, before, 2));
    int fd = listeners.items[0].fd;
    assert_true(update(fixture, &listeners, after, 2));
    assert_int_equal(listeners.items[1].fd, fd);
    assert_string_equal(listeners.items[1].name, "renamed");
    assert_true(can_connect(stays) && can_connect(comes));
    assert_false(can_connect(goes));
    listeners_close(&listeners);
}

static void an_update_that_fails_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0}, other = {0};
    unsigned old = free_port(), fresh = free_port(), taken = free_port();
    struct conf_listen before[] = {listen_on("old", SERVICE_SMTP, old)};
    struct conf_listen theirs[] = {listen_on("theirs", SERVICE_SMTP, taken)};
    struct conf_listen after[] = {listen_on("fresh", SERVICE_SMTP, fresh),
                                  listen_on("taken", SERVICE_SMTP, taken)};
    assert_true(update(fixture, &other, theirs, 1));
    assert_true(update(fixture, &listeners, before, 1));
    assert_false(update(fixture, &listeners, after, 2));
    assert_complained(fixture, "\"taken\" (line 3)");
    assert_int_equal(listeners.count, 1);
    assert_true(can_connect(old));
    assert_false(can_connect(fresh));
    listeners_close(&listeners);
    listeners_close(&other);
}

static void one_address_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listeners listeners = {0};
    unsigned port = free_port();
    struct conf_listen wanted[] = {listen_on("a", SERVICE_SMTP, port),
                                   listen_on("b", SERVICE_POP3, port)};
    assert_false(update(fixture, &listeners, wanted, 2));
    assert_complained(fixture, "\"b\"");
    assert_false(can_connect(port));
}

/* ---- pages ---- */

static void a_slot_keeps_its_page(void **state)
{
    (void)state;
    struct pages *pages = mem_new(sizeof(*pages));
    assert_null(pages_made(pages, ROLE_SMTPD, 3));
    const struct page_slot *slot = pages_slot(pages, ROLE_SMTPD, 3);
    assert_non_null(slot);
    page_add(slot->page, PAGE_MESSAGES_IN, 5);
    assert_ptr_equal(pages_slot(pages, ROLE_SMTPD, 3), slot);
    assert_ptr_equal(pages_made(pages, ROLE_SMTPD, 3), slot);
    assert_int_equal(page_get(slot->page, PAGE_MESSAGES_IN), 5);
    pages_free(pages);
    mem_free(pages);
}

static void the_readonly_descriptor_can_not_be_mapped_for_writing(void **state)
{
    (void)state;
    struct pages *pages = mem_new(sizeof(*pages));
    const struct page_slot *slot = pages_slot(pages, ROLE_QMGR, 0);
    assert_non_null(slot);
    assert_null(page_map(slot->readonly, true));
    struct page *reader = page_map(slot->readonly, false);
    page_set(slot->page, PAGE_PRESSURE, PRESSURE_SLOW);
    assert_int_equal(page_get(reader, PAGE_PRESSURE), PRESSURE_SLOW);
    page_unmap(reader);
    pages_free(pages);
    mem_free(pages);
}

static void values_are_added_up_over_all_pages(void **state)
{
    (void)state;
    struct pages *pages = mem_new(sizeof(*pages));
    assert_int_equal(pages_sum(pages, PAGE_LOGINS), 0);
    page_add(pages_slot(pages, ROLE_POP3D, 0)->page, PAGE_LOGINS, 2);
    page_add(pages_slot(pages, ROLE_POP3D, ROLE_INDEXES - 1)->page, PAGE_LOGINS, 3);
    page_add(pages_slot(pages, ROLE_AUTH, 0)->page, PAGE_LOGINS, 4);
    assert_int_equal(pages_sum(pages, PAGE_LOGINS), 9);
    pages_free(pages);
    mem_free(pages);
}

/* ---- the log ---- */

/* Led to a file, and back: what was logged between is there. */
static void expect_log_in_file(struct fixture *fixture, struct journal *journal)
{
    struct stat status;
    fixture->conf.log_level = LOG_ERROR;
    fixture->conf.log_target = LOG_TARGET_FILE;
    fixture->conf.log_file = beneath(fixture, "log");
    bool opened = journal_open(journal, &fixture->conf, complaint_note, NULL);
    log_event(LOG_ERROR, "written", LOG_STR("to", "the file"));
    fixture->conf.log_target = LOG_TARGET_STDERR;
    bool restored = journal_open(journal, &fixture->conf, complaint_note, NULL);
    (void)close(journal->original);
    assert_true(opened && restored);
    assert_int_equal(stat(fixture->conf.log_file.data, &status), 0);
    assert_true(status.st_size > 20);
}

static void the_log_follows_the_configuration(void **state)
{
    struct journal journal;
    journal_init(&journal);
    expect_log_in_file(*state, &journal);
}

/* What master says behind a reload that leads its log away from syslog, one that was refused
 * included. */
static void the_log_comes_back_from_syslog(void **state)
{
    struct fixture *fixture = *state;
    struct journal journal;
    journal_init(&journal);
    fixture->conf.log_target = LOG_TARGET_SYSLOG;
    assert_true(journal_open(&journal, &fixture->conf, complaint_note, NULL));
    expect_log_in_file(fixture, &journal);
}

static void a_log_that_can_not_be_opened_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct journal journal;
    fixture->conf.log_target = LOG_TARGET_FILE;
    fixture->conf.log_file = beneath(fixture, "no/such/directory/log");
    journal_init(&journal);
    assert_false(journal_open(&journal, &fixture->conf, complaint_note, &fixture->complaints));
    (void)close(journal.original);
    assert_complained(fixture, "can not be opened");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_text_handed_on_is_the_text_of_the_file),
        TEST(the_text_handed_on_can_not_be_changed),
        TEST(a_bad_configuration_is_refused_with_reasons),
        TEST(a_configuration_that_others_may_write_is_refused),
        TEST(listeners_are_bound_and_closed),
        TEST(an_address_that_stays_keeps_its_socket),
        TEST(an_update_that_fails_changes_nothing),
        TEST(one_address_twice_is_refused),
        TEST(a_slot_keeps_its_page),
        TEST(the_readonly_descriptor_can_not_be_mapped_for_writing),
        TEST(values_are_added_up_over_all_pages),
        TEST(the_log_follows_the_configuration),
        TEST(the_log_comes_back_from_syslog),
        TEST(a_log_that_can_not_be_opened_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
