/*
 * Deliveries are made from a real segment file into a real directory, and judged by what lies there
 * afterwards: in new/, in tmp/, and outside, where nothing may ever be.
 */
#include "local/deliver.h"
#include "local/maildir.h"
#include "util/base/crc32c.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { OFFSET = 4096, ARRIVAL = 1795248000 };

static const struct spool_salt salt = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

struct site {
    char path[64];
    int segment;
    struct deliverer deliverer;
};

/* What the disk does when it is asked to sync, in place of fsync(2). */
static struct {
    size_t begun;            /* files whose write-back was started */
    void (*meanwhile)(void); /* called once, at the next sync */
    char failing[128];       /* the path whose sync fails; empty: none */
} disk;

int fsync(int fd)
{
    char link[64], path[256] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    assert_true(readlink(link, path, sizeof path - 1) > 0);
    if (disk.failing[0] != '\0' && strcmp(path, disk.failing) == 0) {
        errno = EIO;
        return -1;
    }
    void (*meanwhile)(void) = disk.meanwhile;
    disk.meanwhile = NULL;
    if (meanwhile != NULL)
        meanwhile();
    return (int)syscall(SYS_fsync, fd);
}

int sync_file_range(int fd, off64_t from, off64_t count, unsigned flags)
{
    disk.begun++;
    return (int)syscall(SYS_sync_file_range, fd, from, count, flags);
}

static void write_record(int fd, struct span body, uint16_t flags)
{
    const struct envelope_recipient recipients[] = {
        {.address = SPAN_INIT("alice@example.test"), .transport = SPAN_INIT("local")},
        {.address = SPAN_INIT("bob@example.test"), .transport = SPAN_INIT("local")},
    };
    const struct envelope envelope = {
        .sender = SPAN_INIT("s@example.org"), .recipients = recipients, .recipient_count = 2};
    struct buf octets = {0};
    assert_true(envelope_encode(&envelope, &octets));
    struct record_header header = {.number = 7,
                                   .salt = salt,
                                   .offset = OFFSET,
                                   .batch_start = OFFSET,
                                   .body_len = body.len,
                                   .arrival_us = (uint64_t)ARRIVAL * 1000000,
                                   .flags = flags,
                                   .envelope_len = (uint32_t)buf_len(&octets),
                                   .recipients = 2,
                                   .crc_body = crc32c(0, body.data, body.len)};
    uint8_t head[SPOOL_RECORD_HEADER];
    record_header_encode(&header, buf_span(&octets), head);
    buf_add(&octets, body);
    assert_int_equal(pwrite(fd, head, sizeof head, OFFSET), sizeof head);
    assert_int_equal(
        pwrite(fd, buf_span(&octets).data, buf_len(&octets), OFFSET + SPOOL_RECORD_HEADER),
        buf_len(&octets));
    buf_free(&octets);
}

static struct site site_with_flags(struct span body, uint16_t flags)
{
    struct site site = {.path = "/tmp/veredus-local-XXXXXX"};
    assert_non_null(mkdtemp(site.path));
    site.deliverer.root = open(site.path, O_RDONLY | O_DIRECTORY);
    site.deliverer.hostname = SPAN("mx.example.test");
    site.segment = open(site.path, O_TMPFILE | O_RDWR, 0600);
    assert_true(site.segment >= 0);
    write_record(site.segment, body, flags);
    return site;
}

static struct site site_with(struct span body)
{
    return site_with_flags(body, 0);
}

static void site_end(struct site *site)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf -- '%s'", site->path);
    assert_int_equal(system(command), 0);
    close(site->segment);
    close(site->deliverer.root);
    deliverer_free(&site->deliverer);
}

static struct delivery delivery_to(const struct site *site, struct span mailbox, uint32_t recipient)
{
    return (struct delivery){.segment = {site->segment, 7, salt},
                             .offset = OFFSET,
                             .recipient = recipient,
                             .mailbox = mailbox};
}

/* The number of entries of `folder`, and the name of one of them. */
static size_t entries_of(const struct site *site, const char *folder, char name[256])
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", site->path, folder);
    DIR *directory = opendir(path);
    size_t count = 0;
    const struct dirent *entry;
    while (directory != NULL && (entry = readdir(directory)) != NULL)
        if (entry->d_name[0] != '.') {
            (void)snprintf(name, 256, "%s", entry->d_name);
            count++;
        }
    if (directory != NULL)
        closedir(directory);
    return count;
}

static void assert_letter(const struct site *site, const char *folder, struct span expected)
{
    char name[256] = "", path[600], text[512];
    assert_int_equal(entries_of(site, folder, name), 1);
    (void)snprintf(path, sizeof path, "%s/%s/%s", site->path, folder, name);
    int fd = open(path, O_RDONLY);
    ssize_t got = read(fd, text, sizeof text);
    close(fd);
    assert_int_equal(got, expected.len);
    assert_memory_equal(text, expected.data, expected.len);
}

static void letters_of_a_batch_have_lf_lines_and_their_own_recipient(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("Subject: x\r\n\r\n.dot\r\n"));
    struct delivery batch[] = {delivery_to(&site, SPAN("example.test/alice"), 0),
                               delivery_to(&site, SPAN("example.test/bob"), 1)};
    deliver_batch(&site.deliverer, batch, 2);
    assert_int_equal(batch[0].fate, JOB_DELIVERED);
    assert_int_equal(batch[1].fate, JOB_DELIVERED);
    assert_letter(&site, "example.test/alice/new",
                  SPAN("Return-Path: <s@example.org>\nDelivered-To: alice@example.test\n"
                       "Subject: x\n\n.dot\n"));
    assert_letter(&site, "example.test/bob/new",
                  SPAN("Return-Path: <s@example.org>\nDelivered-To: bob@example.test\n"
                       "Subject: x\n\n.dot\n"));
    site_end(&site);
}

/* A batch of large ones may take a slow disk longer than master waits for a sign of life. */
static void a_batch_shows_between_its_letters_that_the_process_lives(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("Subject: x\r\n\r\nx\r\n"));
    struct delivery batch[] = {delivery_to(&site, SPAN("example.test/alice"), 0),
                               delivery_to(&site, SPAN("example.test/bob"), 1)};
    int fd = page_create();
    assert_true(fd >= 0);
    site.deliverer.page = page_map(fd, true);
    assert_non_null(site.deliverer.page);
    close(fd);
    deliver_batch(&site.deliverer, batch, 2);
    /* Behind the reading, the writing and the sync of each, at least. */
    assert_true(page_beats(site.deliverer.page) >= 6);
    page_unmap(site.deliverer.page);
    site_end(&site);
}

static void the_name_states_both_sizes(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("A: b\r\n\r\nc\r\n"));
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    char name[256] = "";
    assert_int_equal(entries_of(&site, "example.test/alice/new", name), 1);
    assert_true(maildir_name_is_ours(span_cstr(name)));
    /* 29 + 33 octets of the two lines in front, 8 of the message; 5 lines */
    assert_non_null(strstr(name, ".mx.example.test,S=70,W=75"));
    site_end(&site);
}

/* RFC 3030 §3: what looks like a line end in it may be none. */
static void a_binary_letter_is_written_octet_by_octet(void **state)
{
    (void)state;
    struct site site =
        site_with_flags(SPAN("A: b\r\n\r\n\n\r\r\n\r"), RECORD_FLAG_8BIT | RECORD_FLAG_BINARY);
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    assert_letter(&site, "example.test/alice/new",
                  SPAN("Return-Path: <s@example.org>\r\n"
                       "Delivered-To: alice@example.test\r\n"
                       "A: b\r\n\r\n\n\r\r\n\r"));
    site_end(&site);
}

static void assert_both_begun(void)
{
    assert_int_equal(disk.begun, 2);
}

static void the_disk_has_all_letters_to_write_before_the_first_is_waited_for(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct maildir maildir;
    assert_int_equal(maildir_open(site.deliverer.root, SPAN("d/alice"), &maildir), MAILDIR_OK);
    maildir_close(&maildir);
    struct delivery batch[] = {delivery_to(&site, SPAN("d/alice"), 0),
                               delivery_to(&site, SPAN("d/alice"), 1)};
    disk.begun = 0;
    disk.meanwhile = assert_both_begun;
    deliver_batch(&site.deliverer, batch, 2);
    assert_null(disk.meanwhile);
    assert_int_equal(batch[1].fate, JOB_DELIVERED);
    site_end(&site);
}

static void nothing_remains_in_tmp(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    char name[256];
    assert_int_equal(entries_of(&site, "example.test/alice/tmp", name), 0);
    site_end(&site);
}

static void a_repeated_job_finds_its_letter_even_when_it_was_read(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    char name[256], from[600], to[600];
    assert_int_equal(entries_of(&site, "example.test/alice/new", name), 1);
    (void)snprintf(from, sizeof from, "%s/example.test/alice/new/%s", site.path, name);
    (void)snprintf(to, sizeof to, "%s/example.test/alice/cur/%s:2,S", site.path, name);
    assert_int_equal(rename(from, to), 0);

    one = delivery_to(&site, SPAN("example.test/alice"), 0);
    one.seen_before = true;
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DELIVERED);
    assert_string_equal(one.text, "already there");
    assert_int_equal(entries_of(&site, "example.test/alice/new", name), 0);
    site_end(&site);
}

static void a_repeated_job_removes_what_a_crash_left_in_tmp(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct maildir maildir;
    assert_int_equal(maildir_open(site.deliverer.root, SPAN("example.test/alice"), &maildir),
                     MAILDIR_OK);
    struct letter_place place = {salt, 7, OFFSET, (uint64_t)ARRIVAL * 1000000, 0};
    char unique[MAILDIR_NAME_SIZE], left[MAILDIR_NAME_SIZE + 8];
    maildir_name_unique(&place, site.deliverer.hostname, unique);
    (void)snprintf(left, sizeof left, "%s,P=1", unique);
    close(openat(maildir.tmp, left, O_CREAT | O_WRONLY, 0600));
    maildir_close(&maildir);

    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    one.seen_before = true;
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DELIVERED);
    assert_int_equal(entries_of(&site, "example.test/alice/tmp", left), 0);
    assert_int_equal(entries_of(&site, "example.test/alice/new", left), 1);
    site_end(&site);
}

static void
a_letter_that_is_there_counts_only_when_all_directories_above_it_are_synced(void **state)
{
    (void)state;
    static const char *const directories[] = {"", "/example.test", "/example.test/alice",
                                              "/example.test/alice/new", "/example.test/alice/cur"};
    struct site site = site_with(SPAN("x\r\n"));
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    for (size_t i = 0; i < sizeof directories / sizeof directories[0]; i++) {
        (void)snprintf(disk.failing, sizeof disk.failing, "%s%s", site.path, directories[i]);
        one = delivery_to(&site, SPAN("example.test/alice"), 0);
        one.seen_before = true;
        deliver_batch(&site.deliverer, &one, 1);
        assert_int_equal(one.fate, JOB_DEFERRED);
        assert_string_equal(one.enhanced, "4.3.0");
    }
    disk.failing[0] = '\0';
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DELIVERED);
    assert_string_equal(one.text, "already there");
    char name[256];
    assert_int_equal(entries_of(&site, "example.test/alice/new", name), 1);
    site_end(&site);
}

static void a_letter_whose_directory_was_not_synced_is_found_by_the_next_attempt(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct delivery one = delivery_to(&site, SPAN("d/alice"), 0);
    (void)snprintf(disk.failing, sizeof disk.failing, "%s/d/alice/new", site.path);
    deliver_batch(&site.deliverer, &one, 1);
    disk.failing[0] = '\0';
    assert_int_equal(one.fate, JOB_DEFERRED);
    one.seen_before = true;
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DELIVERED);
    assert_string_equal(one.text, "already there");
    site_end(&site);
}

/* The job of another process, which got it while this one is busy with it. */
static struct site *shared;

static void deliver_in_another_process(void)
{
    pid_t child = fork();
    if (child == 0) {
        struct delivery again = delivery_to(shared, SPAN("d/alice"), 0);
        again.seen_before = true;
        /* What the batch of the parent holds is the parent's. */
        struct deliverer deliverer = {.root = shared->deliverer.root,
                                      .hostname = shared->deliverer.hostname};
        deliver_batch(&deliverer, &again, 1);
        deliverer_free(&deliverer);
        _exit(again.fate == JOB_DELIVERED ? 0 : 1);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    /* The letter is read and removed before the first process goes on. */
    char name[256] = "", path[600];
    assert_int_equal(entries_of(shared, "d/alice/new", name), 1);
    (void)snprintf(path, sizeof path, "%s/d/alice/new/%s", shared->path, name);
    assert_int_equal(unlink(path), 0);
}

static void of_two_processes_with_one_job_the_earlier_shows_nothing(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct maildir maildir;
    assert_int_equal(maildir_open(site.deliverer.root, SPAN("d/alice"), &maildir), MAILDIR_OK);
    maildir_close(&maildir);
    shared = &site;
    disk.meanwhile = deliver_in_another_process;
    struct delivery one = delivery_to(&site, SPAN("d/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DEFERRED);
    char name[256];
    assert_int_equal(entries_of(&site, "d/alice/new", name), 0);
    assert_int_equal(entries_of(&site, "d/alice/tmp", name), 0);
    site_end(&site);
}

static void a_damaged_letter_is_reported_and_not_shown(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("hello\r\n"));
    off_t end = lseek(site.segment, 0, SEEK_END);
    assert_int_equal(pwrite(site.segment, "X", 1, end - 3), 1);
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DAMAGED);
    assert_string_equal(one.enhanced, "5.3.0");
    assert_string_equal(one.text, "damaged in the spool");
    char name[256];
    assert_int_equal(entries_of(&site, "example.test/alice/new", name), 0);
    site_end(&site);
}

static void a_symlink_in_the_path_defers_it_alone_and_nothing_is_written_outside(void **state)
{
    (void)state;
    static const char *const places[] = {"example.test/alice", "example.test/alice/new"};
    for (size_t i = 0; i < 2; i++) {
        struct site site = site_with(SPAN("x\r\n"));
        char path[256], outside[128];
        assert_int_equal(mkdirat(site.deliverer.root, "example.test", 0700), 0);
        assert_int_equal(mkdirat(site.deliverer.root, "outside", 0700), 0);
        (void)snprintf(path, sizeof path, "%s/%s", site.path, places[i]);
        (void)snprintf(outside, sizeof outside, "%s/outside", site.path);
        if (i == 1)
            assert_int_equal(mkdirat(site.deliverer.root, places[0], 0700), 0);
        assert_int_equal(symlink(outside, path), 0);

        struct delivery batch[] = {delivery_to(&site, SPAN("example.test/alice"), 0),
                                   delivery_to(&site, SPAN("example.test/bob"), 1)};
        deliver_batch(&site.deliverer, batch, 2);
        assert_int_equal(batch[0].fate, JOB_DEFERRED);
        assert_string_equal(batch[0].enhanced, "4.2.0");
        assert_int_equal(batch[1].fate, JOB_DELIVERED);
        assert_int_equal(entries_of(&site, "outside", path), 0);
        site_end(&site);
    }
}

/* What the batch writes to the log. */
static void log_of_delivery(struct site *site, struct delivery *delivery, char *text, size_t size)
{
    int kept = dup(STDERR_FILENO);
    int log = memfd_create("log", MFD_CLOEXEC);
    assert_true(dup2(log, STDERR_FILENO) >= 0);
    deliver_batch(&site->deliverer, delivery, 1);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    ssize_t got = pread(log, text, size - 1, 0);
    assert_true(got > 0);
    text[got] = '\0';
    close(log);
    close(kept);
}

static void every_line_about_a_letter_carries_its_id(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        const char *failing; /* the directory that can not be synced */
        uint32_t recipient;
        bool link;
    } rows[] = {
        {"event=delivery-deferred", "/d/alice/new", 0, false},
        {"event=mailbox-not-ours", "", 0, true},
        {"event=record-damaged", "", 2, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct site site = site_with(SPAN("x\r\n"));
        char text[1024];
        struct delivery one = delivery_to(&site, SPAN("d/alice"), rows[i].recipient);
        if (rows[i].link)
            assert_int_equal(symlinkat("elsewhere", site.deliverer.root, "d"), 0);
        if (rows[i].failing[0] != '\0')
            (void)snprintf(disk.failing, sizeof disk.failing, "%s%s", site.path, rows[i].failing);
        log_of_delivery(&site, &one, text, sizeof text);
        disk.failing[0] = '\0';
        assert_non_null(strstr(text, rows[i].event));
        assert_non_null(strstr(text, " id=70020"));
        site_end(&site);
    }
}

static void a_recipient_that_the_record_lacks_counts_as_damage(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct delivery one = delivery_to(&site, SPAN("example.test/alice"), 2);
    deliver_batch(&site.deliverer, &one, 1);
    assert_int_equal(one.fate, JOB_DAMAGED);
    site_end(&site);
}

static void stale_files_of_ours_are_cleaned_and_others_left(void **state)
{
    (void)state;
    struct site site = site_with(SPAN("x\r\n"));
    struct maildir maildir;
    assert_int_equal(maildir_open(site.deliverer.root, SPAN("d/alice"), &maildir), MAILDIR_OK);
    static const char *const names[] = {"1.M000001V0123456789abcdef0123.host,P=1", "1.M2P3.host"};
    const struct timespec old[2] = {{.tv_sec = 1}, {.tv_sec = 1}};
    for (size_t i = 0; i < 2; i++) {
        close(openat(maildir.tmp, names[i], O_CREAT | O_WRONLY, 0600));
        assert_int_equal(utimensat(maildir.tmp, names[i], old, 0), 0);
    }
    maildir_close(&maildir);
    struct delivery one = delivery_to(&site, SPAN("d/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    char name[256] = "";
    assert_int_equal(entries_of(&site, "d/alice/tmp", name), 1);
    assert_string_equal(name, names[1]);
    site_end(&site);
}

static void a_long_letter_keeps_every_line_end_at_block_edges(void **state)
{
    (void)state;
    enum { LINES = 40000 };
    struct buf body = {0};
    for (int i = 0; i < LINES; i++)
        buf_add(&body, i % 3 ? SPAN("ab\r\n") : SPAN("abc\r\n"));
    size_t wire = buf_len(&body);
    struct site site = site_with(buf_span(&body));
    struct delivery one = delivery_to(&site, SPAN("d/alice"), 0);
    deliver_batch(&site.deliverer, &one, 1);
    char name[256] = "";
    assert_int_equal(entries_of(&site, "d/alice/new", name), 1);
    uint64_t stated = 0;
    assert_true(maildir_name_wire_size(span_cstr(name), &stated));
    assert_int_equal(stated, wire + sizeof "Return-Path: <s@example.org>\r\n" - 1 +
                                 sizeof "Delivered-To: alice@example.test\r\n" - 1);
    buf_free(&body);
    site_end(&site);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(letters_of_a_batch_have_lf_lines_and_their_own_recipient),
        cmocka_unit_test(a_batch_shows_between_its_letters_that_the_process_lives),
        cmocka_unit_test(the_name_states_both_sizes),
        cmocka_unit_test(a_binary_letter_is_written_octet_by_octet),
        cmocka_unit_test(the_disk_has_all_letters_to_write_before_the_first_is_waited_for),
        cmocka_unit_test(nothing_remains_in_tmp),
        cmocka_unit_test(a_repeated_job_finds_its_letter_even_when_it_was_read),
        cmocka_unit_test(a_repeated_job_removes_what_a_crash_left_in_tmp),
        cmocka_unit_test(
            a_letter_that_is_there_counts_only_when_all_directories_above_it_are_synced),
        cmocka_unit_test(a_letter_whose_directory_was_not_synced_is_found_by_the_next_attempt),
        cmocka_unit_test(of_two_processes_with_one_job_the_earlier_shows_nothing),
        cmocka_unit_test(a_damaged_letter_is_reported_and_not_shown),
        cmocka_unit_test(a_symlink_in_the_path_defers_it_alone_and_nothing_is_written_outside),
        cmocka_unit_test(every_line_about_a_letter_carries_its_id),
        cmocka_unit_test(a_recipient_that_the_record_lacks_counts_as_damage),
        cmocka_unit_test(stale_files_of_ours_are_cleaned_and_others_left),
        cmocka_unit_test(a_long_letter_keeps_every_line_end_at_block_edges),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
