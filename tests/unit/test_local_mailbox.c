/*
 * A mailbox is filled with what may lie in one, good and bad, and read back through the list that
 * pop3d gets.
 */
#include "local/mailbox.h"
#include "local/maildir_name.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* fdopendir(3) of this program stands before that of the library and counts. */
static unsigned visits;

DIR *fdopendir(int fd)
{
    DIR *(*real)(int);
    void *symbol = dlsym(RTLD_NEXT, "fdopendir");
    memcpy(&real, &symbol, sizeof real);
    visits++;
    return real(fd);
}

struct site {
    char path[64];
    int root;
    struct maildir maildir;
};

static int site_begin(void **state)
{
    static struct site site;
    site = (struct site){.path = "/tmp/veredus-local-XXXXXX"};
    assert_non_null(mkdtemp(site.path));
    site.root = open(site.path, O_RDONLY | O_DIRECTORY);
    assert_int_equal(maildir_open(site.root, SPAN("d/alice"), &site.maildir), MAILDIR_OK);
    *state = &site;
    return 0;
}

static int site_end(void **state)
{
    struct site *site = *state;
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", site->path);
    maildir_close(&site->maildir);
    close(site->root);
    return system(command);
}

static void put(int directory, const char *name, struct span text)
{
    int fd = openat(directory, name, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(fd, text.data, text.len), text.len);
    close(fd);
}

/* A request about this one message. */
static int open_message(const struct site *site, struct span name)
{
    struct mailbox_request request = {.maildir = &site->maildir, .names = name};
    int fd = mailbox_open_message(&request, name);
    mailbox_request_end(&request);
    return fd;
}

static enum mailbox_status delete_messages(const struct site *site, struct span names,
                                           uint32_t *gone)
{
    struct mailbox_request request = {.maildir = &site->maildir, .names = names};
    enum mailbox_status status = mailbox_delete(&request, gone);
    mailbox_request_end(&request);
    return status;
}

static struct mailbox_list listed(const struct site *site)
{
    struct mailbox_list list;
    uint32_t count = 99;
    int fd = mailbox_scan(&site->maildir, &count);
    assert_true(fd >= 0);
    assert_true(mailbox_list_open(&list, fd));
    close(fd);
    assert_int_equal(list.count, count);
    return list;
}

static struct mailbox_entry entry_of(const struct mailbox_list *list, uint32_t index)
{
    struct mailbox_entry entry;
    assert_true(mailbox_list_entry(list, index, &entry));
    return entry;
}

static void assert_text(struct span got, const char *expected)
{
    assert_true(span_equal(got, span_cstr(expected)));
}

static void an_empty_mailbox_lists_nothing(void **state)
{
    struct mailbox_list list = listed(*state);
    struct mailbox_entry entry;
    assert_int_equal(list.count, 0);
    assert_int_equal(list.octets, 0);
    assert_false(mailbox_list_entry(&list, 0, &entry));
    mailbox_list_close(&list);
}

static void messages_come_in_order_of_arrival_across_both_folders(void **state)
{
    const struct site *site = *state;
    put(site->maildir.new_mail, "300.V1.h", SPAN("x\n"));
    put(site->maildir.cur, "99.V1.h:2,S", SPAN("x\n"));
    put(site->maildir.new_mail, "200.V2.h", SPAN("x\n"));
    put(site->maildir.cur, "200.V1.h:2,", SPAN("x\n"));
    struct mailbox_list list = listed(site);
    static const char *const expected[] = {"cur/99.V1.h:2,S", "cur/200.V1.h:2,", "new/200.V2.h",
                                           "new/300.V1.h"};
    assert_int_equal(list.count, 4);
    for (uint32_t i = 0; i < 4; i++)
        assert_text(entry_of(&list, i).name, expected[i]);
    assert_text(entry_of(&list, 0).uidl, "99.V1.h");
    mailbox_list_close(&list);
}

static void sizes_are_those_with_crlf(void **state)
{
    const struct site *site = *state;
    static const struct {
        const char *name;
        struct span text;
        uint64_t octets;
    } rows[] = {
        {"1.a", SPAN_INIT(""), 0},
        {"2.a", SPAN_INIT("a\nb\n"), 6},
        {"3.a", SPAN_INIT("a\r\nb\r\n"), 6},
        {"4.a", SPAN_INIT("a\r\nb\n"), 6},
        {"5.a", SPAN_INIT("a\nb"), 6},
        {"6.a", SPAN_INIT(".\n..\n"), 7},
        {"7.a,S=3,W=5", SPAN_INIT("a\n\n"), 5},
        {"8.a,S=9,W=1", SPAN_INIT("a\n"), 3},
        {"9.a,W=99999999999999999999", SPAN_INIT("a\n"), 3},
        {"10.a,W=:2,S", SPAN_INIT("a\n"), 3},
    };
    enum { ROWS = sizeof rows / sizeof rows[0] };
    uint64_t total = 0;
    for (size_t i = 0; i < ROWS; i++) {
        put(site->maildir.cur, rows[i].name, rows[i].text);
        total += rows[i].octets;
    }
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, ROWS);
    assert_int_equal(list.octets, total);
    for (uint32_t i = 0; i < ROWS; i++)
        assert_int_equal(entry_of(&list, i).octets, rows[i].octets);
    mailbox_list_close(&list);
}

static void what_is_no_message_is_skipped(void **state)
{
    const struct site *site = *state;
    int cur = site->maildir.cur;
    put(cur, "1.good", SPAN("x\n"));
    put(cur, ".hidden", SPAN("x\n"));
    assert_int_equal(symlinkat("1.good", cur, "3.link"), 0);
    assert_int_equal(mkdirat(cur, "4.directory", 0700), 0);
    assert_int_equal(mkfifoat(cur, "5.fifo", 0600), 0);
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, 1);
    assert_text(entry_of(&list, 0).name, "cur/1.good");
    mailbox_list_close(&list);
    assert_int_equal(open_message(site, SPAN("cur/3.link")), -1);
    assert_int_equal(open_message(site, SPAN("cur/4.directory")), -1);
    assert_int_equal(open_message(site, SPAN("cur/5.fifo")), -1);
}

static void hard_links_to_files_of_ours_are_messages(void **state)
{
    const struct site *site = *state;
    static const char *const names[] = {"1.V1.h,S=2,W=3", "2.unstated"};
    for (size_t i = 0; i < 2; i++) {
        put(site->maildir.home, names[i], SPAN("x\n"));
        assert_int_equal(linkat(site->maildir.home, names[i], site->maildir.cur, names[i], 0), 0);
    }
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, 2);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(entry_of(&list, i).octets, 3);
        int fd = open_message(site, entry_of(&list, i).name);
        assert_true(fd >= 0);
        close(fd);
    }
    mailbox_list_close(&list);
}

static void a_hard_link_to_a_foreign_file_is_never_opened(void **state)
{
    const struct site *site = *state;
    if (geteuid() != 0) {
        print_message("only root can make a file somebody else's; run the tests as root\n");
        skip(); /* tests/run tries again by sudo */
    }
    static const char *const names[] = {"1.V1.h,S=2,W=3", "2.unstated"};
    for (size_t i = 0; i < 2; i++) {
        put(site->maildir.home, names[i], SPAN("x\n"));
        assert_int_equal(fchownat(site->maildir.home, names[i], 65534, 65534, 0), 0);
        assert_int_equal(linkat(site->maildir.home, names[i], site->maildir.cur, names[i], 0), 0);
    }
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, 1);
    assert_text(entry_of(&list, 0).name, "cur/1.V1.h,S=2,W=3");
    mailbox_list_close(&list);
    assert_int_equal(open_message(site, SPAN("cur/1.V1.h,S=2,W=3")), -1);
    assert_int_equal(open_message(site, SPAN("cur/2.unstated")), -1);
}

static void a_message_in_both_folders_is_listed_once(void **state)
{
    const struct site *site = *state;
    put(site->maildir.new_mail, "1.V1.h,W=3", SPAN("x\n"));
    put(site->maildir.cur, "1.V1.h,W=3:2,S", SPAN("x\n"));
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, 1);
    mailbox_list_close(&list);
}

static void a_name_that_is_no_uidl_is_hashed(void **state)
{
    const struct site *site = *state;
    char name[120];
    memset(name, 'a', sizeof name);
    memcpy(name, "2.", 2);
    name[sizeof name - 1] = '\0';
    put(site->maildir.cur, "1.with space", SPAN("x\n"));
    put(site->maildir.cur, name, SPAN("x\n"));
    struct mailbox_list list = listed(site);
    for (uint32_t i = 0; i < 2; i++) {
        struct span uidl = entry_of(&list, i).uidl;
        assert_int_equal(uidl.len, 40);
        for (size_t at = 0; at < uidl.len; at++)
            assert_non_null(memchr("0123456789abcdef", uidl.data[at], 16));
    }
    assert_false(span_equal(entry_of(&list, 0).uidl, entry_of(&list, 1).uidl));
    mailbox_list_close(&list);
}

static void a_message_is_found_after_another_program_moved_it(void **state)
{
    const struct site *site = *state;
    put(site->maildir.new_mail, "1.V1.h,W=3", SPAN("x\n"));
    assert_int_equal(
        renameat(site->maildir.new_mail, "1.V1.h,W=3", site->maildir.cur, "1.V1.h,W=3:2,S"), 0);
    int fd = open_message(site, SPAN("new/1.V1.h,W=3"));
    assert_true(fd >= 0);
    close(fd);
}

static void a_message_that_is_moved_twice_amid_a_request_is_found(void **state)
{
    const struct site *site = *state;
    uint32_t gone = 0;
    put(site->maildir.cur, "1.a:2,S", SPAN("x\n"));
    struct mailbox_request request = {.maildir = &site->maildir, .names = SPAN("new/1.a\0")};
    int fd = mailbox_open_message(&request, SPAN("new/1.a"));
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(renameat(site->maildir.cur, "1.a:2,S", site->maildir.cur, "1.a:2,RS"), 0);
    assert_int_equal(mailbox_delete(&request, &gone), MAILBOX_OK);
    assert_int_equal(gone, 1);
    assert_int_equal(faccessat(site->maildir.cur, "1.a:2,RS", F_OK, 0), -1);
    mailbox_request_end(&request);
}

/* Reading the folders for each of them would take minutes. */
static void thousands_of_moved_messages_are_deleted_by_one_reading(void **state)
{
    enum { COUNT = 4000 };
    const struct site *site = *state;
    struct buf names = {0};
    uint32_t gone = 0;
    unsigned before = visits;
    for (unsigned i = 0; i < COUNT; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "new/%u.a", i);
        buf_add(&names, span_of(name, strlen(name) + 1));
        (void)snprintf(name, sizeof name, "%u.a:2,S", i);
        put(site->maildir.cur, name, SPAN(""));
    }
    assert_int_equal(delete_messages(site, buf_span(&names), &gone), MAILBOX_OK);
    assert_int_equal(gone, COUNT);
    assert_int_equal(visits - before, 2); /* new/ and cur/ */
    buf_free(&names);
}

static void names_that_lead_elsewhere_open_nothing(void **state)
{
    const struct site *site = *state;
    put(site->maildir.home, "secret", SPAN("x\n"));
    static const struct span bad[] = {
        SPAN_INIT("secret"),          SPAN_INIT("new/../secret"),
        SPAN_INIT("cur/.."),          SPAN_INIT("cur/"),
        SPAN_INIT("tmp/1.a"),         SPAN_INIT("/etc/passwd"),
        SPAN_INIT("cur//etc/passwd"), SPAN_INIT(""),
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(open_message(site, bad[i]), -1);
}

static void deletions_find_moved_messages_and_count_vanished_ones(void **state)
{
    const struct site *site = *state;
    uint32_t gone = 0;
    put(site->maildir.new_mail, "1.a", SPAN("x\n"));
    put(site->maildir.cur, "2.b:2,RS", SPAN("x\n"));
    put(site->maildir.cur, "4.d", SPAN("x\n"));
    struct span names = SPAN("new/1.a\0cur/2.b:2,S\0cur/3.vanished\0");
    assert_int_equal(delete_messages(site, names, &gone), MAILBOX_OK);
    assert_int_equal(gone, 3);
    struct mailbox_list list = listed(site);
    assert_int_equal(list.count, 1);
    assert_text(entry_of(&list, 0).name, "cur/4.d");
    mailbox_list_close(&list);
}

static void a_deletion_that_fails_makes_it_partial(void **state)
{
    const struct site *site = *state;
    uint32_t gone = 0;
    put(site->maildir.cur, "1.a", SPAN("x\n"));
    assert_int_equal(mkdirat(site->maildir.cur, "2.b", 0700), 0);
    assert_int_equal(delete_messages(site, SPAN("cur/1.a\0cur/2.b\0"), &gone), MAILBOX_PARTIAL);
    assert_int_equal(gone, 1);
}

static void the_lock_is_had_once_and_proves_itself(void **state)
{
    const struct site *site = *state;
    struct maildir other;
    int lock = -1, second = -1;
    assert_int_equal(mailbox_lock(&site->maildir, &lock), MAILBOX_OK);
    assert_int_equal(mailbox_lock(&site->maildir, &second), MAILBOX_IN_USE);
    assert_true(mailbox_is_locked_by(&site->maildir, lock));

    int forged = openat(site->maildir.home, "veredus-pop3.lock", O_RDONLY);
    assert_false(mailbox_is_locked_by(&site->maildir, forged));
    close(forged);
    assert_int_equal(maildir_open(site->root, SPAN("d/bob"), &other), MAILDIR_OK);
    assert_int_equal(mailbox_lock(&other, &second), MAILBOX_OK);
    assert_false(mailbox_is_locked_by(&site->maildir, second));
    close(second);
    maildir_close(&other);

    close(lock);
    assert_int_equal(mailbox_lock(&site->maildir, &lock), MAILBOX_OK);
    close(lock);
}

static void a_lock_file_that_is_a_link_is_denied(void **state)
{
    const struct site *site = *state;
    int lock = -1;
    assert_int_equal(symlinkat("/etc/passwd", site->maildir.home, "veredus-pop3.lock"), 0);
    assert_int_equal(mailbox_lock(&site->maildir, &lock), MAILBOX_DENIED);
}

static void a_list_that_is_not_sealed_is_refused(void **state)
{
    const struct site *site = *state;
    struct mailbox_list list;
    put(site->maildir.home, "file", SPAN("VDSLIST1................"));
    int fd = openat(site->maildir.home, "file", O_RDONLY);
    assert_false(mailbox_list_open(&list, fd));
    close(fd);
}

/* Room for the folder and for nothing else: a client takes what is not listed for gone. */
static void a_list_for_which_descriptors_are_missing_is_no_list(void **state)
{
    const struct site *site = *state;
    struct rlimit before, few;
    uint32_t count;
    put(site->maildir.new_mail, "1.size-is-not-stated", SPAN("Subject: x\n\nx\n"));
    int next = dup(STDIN_FILENO);
    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){.rlim_cur = (rlim_t)next + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    int fd = mailbox_scan(&site->maildir, &count);
    int error = errno;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fd, -1);
    assert_int_equal(error, EMFILE);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, site_begin, site_end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_mailbox_lists_nothing),
        TEST(messages_come_in_order_of_arrival_across_both_folders),
        TEST(sizes_are_those_with_crlf),
        TEST(what_is_no_message_is_skipped),
        TEST(hard_links_to_files_of_ours_are_messages),
        TEST(a_hard_link_to_a_foreign_file_is_never_opened),
        TEST(a_list_for_which_descriptors_are_missing_is_no_list),
        TEST(a_message_in_both_folders_is_listed_once),
        TEST(a_name_that_is_no_uidl_is_hashed),
        TEST(a_message_is_found_after_another_program_moved_it),
        TEST(names_that_lead_elsewhere_open_nothing),
        TEST(deletions_find_moved_messages_and_count_vanished_ones),
        TEST(a_deletion_that_fails_makes_it_partial),
        TEST(the_lock_is_had_once_and_proves_itself),
        TEST(a_lock_file_that_is_a_link_is_denied),
        TEST(a_list_that_is_not_sealed_is_refused),
        TEST(a_message_that_is_moved_twice_amid_a_request_is_found),
        TEST(thousands_of_moved_messages_are_deleted_by_one_reading),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
