/*
 * The spool directory: numbers, pairs, states, and how space comes back.
 */
#include "spool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct {
    int sync_error;
    int open_error; /* of files that are made */
    unsigned punched;
    unsigned state_writes;
} fault;

static int faulty_sync(int fd)
{
    errno = fault.sync_error;
    return fault.sync_error != 0 ? -1 : fdatasync(fd);
}

static int faulty_openat(int directory, const char *path, int flags, mode_t mode)
{
    if (fault.open_error != 0 && (flags & O_CREAT) != 0 &&
        span_has_suffix(span_cstr(path), SPAN(".free"))) {
        errno = fault.open_error;
        return -1;
    }
    return openat(directory, path, flags, mode);
}

static ssize_t counting_write(int fd, const void *octets, size_t size, off_t offset)
{
    fault.state_writes++;
    return pwrite(fd, octets, size, offset);
}

static int counting_punch(int fd, off_t offset, off_t length)
{
    int result = spool_io_system.punch(fd, offset, length);
    if (result == 0)
        fault.punched += (unsigned)(length >> 20);
    return result;
}

static struct spool_io io;

static int setup(void **state)
{
    memset(&fault, 0, sizeof fault);
    io = spool_io_system;
    io.fdatasync = faulty_sync;
    io.openat = faulty_openat;
    io.pwrite = counting_write;
    io.punch = counting_punch;
    *state = rig_new(&io);
    return 0;
}

static int teardown(void **state)
{
    memset(&fault, 0, sizeof fault);
    rig_free(*state);
    return 0;
}

static struct spool_segment *new_segment(struct rig *rig, enum spool_kind kind)
{
    struct spool_segment *segment = spool_segment_new(rig->store, kind);
    assert_non_null(segment);
    return segment;
}

static uint64_t number_of(const struct spool_segment *segment)
{
    return spool_segment_block(segment)->number;
}

/* ---- the directory ---- */

static void test_second_store_on_one_directory_is_refused(void **state)
{
    struct rig *rig = *state;
    struct span problem = SPAN("");
    assert_null(spool_store_open(rig->directory, &rig->arena, &problem));
    assert_true(span_has_suffix(problem, SPAN("is in use by another qmgr")));
}

static void test_missing_directory_is_a_sentence(void **state)
{
    struct rig *rig = *state;
    struct span problem = SPAN("");
    assert_null(spool_store_open("/nonexistent/spool", &rig->arena, &problem));
    assert_true(problem.len > 20);
}

static void test_free_space_is_a_percentage(void **state)
{
    struct rig *rig = *state;
    assert_true(spool_store_free_percent(rig->store) <= 100);
}

/* ---- numbers ---- */

static void test_numbers_rise_and_are_never_used_twice(void **state)
{
    struct rig *rig = *state;
    uint64_t last = 0;
    for (unsigned i = 0; i < 40; i++) {
        struct spool_segment *segment = new_segment(rig, SPOOL_PRIVATE);
        assert_true(number_of(segment) > last);
        last = number_of(segment);
        if (i % 7 == 6) {
            spool_segment_seal(segment);
            rig_restart_store(rig);
        }
    }
}

static void test_numbers_go_on_after_the_spool_was_emptied(void **state)
{
    struct rig *rig = *state;
    uint64_t number = number_of(new_segment(rig, SPOOL_SHARED));
    char command[RIG_PATH * 2];
    (void)snprintf(command, sizeof command, "rm -f %s/queue/*.*", rig->directory);
    assert_int_equal(system(command), 0);
    rig_restart_store(rig);
    assert_true(number_of(new_segment(rig, SPOOL_SHARED)) > number);
}

static void test_damaged_next_does_not_bring_a_number_back(void **state)
{
    struct rig *rig = *state;
    struct spool_segment *segment = new_segment(rig, SPOOL_SHARED);
    uint64_t number = number_of(segment);
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s/queue/next", rig->directory);
    rig_write_at(path, 0, "!!!!", 4);
    rig_restart_store(rig);
    assert_true(number_of(new_segment(rig, SPOOL_SHARED)) > number);
}

/* As many digits as the file can have by accident. */
static void test_next_that_no_segment_can_have_counts_as_damaged(void **state)
{
    struct rig *rig = *state;
    uint64_t number = number_of(new_segment(rig, SPOOL_SHARED));
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s/queue/next", rig->directory);
    rig_write_at(path, 0, "ZZZZZZZZZZZZ\n", 13);
    rig_restart_store(rig);
    struct spool_segment *segment = new_segment(rig, SPOOL_SHARED);
    assert_true(number_of(segment) > number);
    assert_int_equal(spool_id_number(spool_id(number_of(segment), SPOOL_BLOCK)),
                     number_of(segment));
}

static void test_salts_differ(void **state)
{
    struct rig *rig = *state;
    struct spool_salt first = spool_segment_block(new_segment(rig, SPOOL_SHARED))->salt;
    struct spool_salt second = spool_segment_block(new_segment(rig, SPOOL_SHARED))->salt;
    assert_memory_not_equal(&first, &second, sizeof first);
}

static void test_segment_that_can_not_be_made_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    fault.open_error = ENOSPC;
    assert_null(spool_segment_new(rig->store, SPOOL_SHARED));
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(rig_count_files(rig, "queue", ".state"), 0);
    fault.open_error = 0;
    (void)new_segment(rig, SPOOL_SHARED);
}

static void test_new_segment_is_written_ahead(void **state)
{
    struct rig *rig = *state;
    struct stat facts;
    uint64_t number = number_of(new_segment(rig, SPOOL_SHARED));
    assert_int_equal(stat(rig_path(rig, number, ".seg"), &facts), 0);
    assert_true(facts.st_size >= 1 << 20);
    assert_true(facts.st_blocks * 512 >= 1 << 20);
}

static void test_writer_can_not_read_and_reader_can_not_write(void **state)
{
    struct rig *rig = *state;
    char octet = 0;
    struct spool_segment *segment = new_segment(rig, SPOOL_SHARED);
    int writer = spool_segment_open_writer(segment);
    int reader = spool_segment_open_reader(segment);
    assert_int_equal(pread(writer, &octet, 1, 0), -1);
    assert_int_equal(pwrite(reader, &octet, 1, 5000), -1);
    assert_int_equal(pwrite(writer, &octet, 1, 5000), 1);
    close(writer);
    close(reader);
}

static void test_segment_has_one_writer(void **state)
{
    struct rig *rig = *state;
    struct spool_segment *segment = new_segment(rig, SPOOL_SHARED);
    int writer = spool_segment_open_writer(segment);
    assert_true(writer >= 0);
    assert_int_equal(spool_segment_open_writer(segment), -1);
    close(writer);
}

/* ---- scanning ---- */

static void test_scan_reports_each_recipient_once(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 3, 100);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    uint64_t end = rig->durable[0].end;
    for (unsigned times = 0; times < 3; times++)
        assert_int_equal(spool_segment_scan(segment, end, rig_visit, rig), SPOOL_SCAN_OK);
    assert_int_equal(rig->found_count, 3);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(rig->found[i].entry.recipient, i);
        assert_int_equal(rig->found[i].entry.state, LETTER_WAITING);
        assert_int_equal(rig->found[i].slot, i);
    }
}

static void test_scan_reads_no_further_than_durable(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    rig_store_letter(rig, 1, 100);
    uint64_t second = rig_store_letter(rig, 1, 100);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(second));
    assert_int_equal(spool_segment_scan(segment, rig->durable[0].end, rig_visit, rig),
                     SPOOL_SCAN_OK);
    assert_int_equal(rig->found_count, 1);
    assert_int_equal(rig_times_found(rig, second), 0);
}

static void test_scan_sets_a_bad_record_aside_and_goes_on(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_submit(rig, 1, 100);
    rig_settle(rig);
    uint64_t bad = rig->letters[1]->letter.id;
    rig_flip(rig_path(rig, spool_id_number(bad), ".seg"), spool_id_offset(bad) + 3);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(bad));
    assert_int_equal(spool_segment_scan(segment, rig->durable[0].end, rig_visit, rig),
                     SPOOL_SCAN_DAMAGED);
    assert_int_equal(rig->found_count, 2);
    assert_int_equal(rig_times_found(rig, bad), 0);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
}

static void test_end_beyond_the_file_is_not_believed(void **state)
{
    struct rig *rig = *state;
    struct spool_segment *segment = new_segment(rig, SPOOL_PRIVATE);
    assert_int_equal(spool_segment_scan(segment, UINT64_C(1) << 50, rig_visit, rig),
                     SPOOL_SCAN_DAMAGED);
    assert_int_equal(rig->found_count, 0);
}

/* ---- states ---- */

static void test_failed_sync_keeps_states_dirty_and_gives_nothing_back(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 1, 100);
    spool_writer_seal(rig->writer);
    rig_scan_durable(rig);
    spool_segment_seal(spool_segment_find(rig->store, spool_id_number(id)));
    rig_set_state(rig, id, LETTER_DELIVERED);
    fault.sync_error = EIO;
    assert_false(spool_store_sync(rig->store));
    assert_int_equal(errno, EIO);
    assert_true(rig_exists(rig_path(rig, spool_id_number(id), ".seg")));
    fault.sync_error = 0;
    assert_true(spool_store_sync(rig->store));
    assert_false(rig_exists(rig_path(rig, spool_id_number(id), ".seg")));
}

static void test_many_changes_go_out_in_few_writes(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 500; i++)
        rig_submit(rig, 2, 50);
    rig_settle(rig);
    rig_scan_durable(rig);
    fault.state_writes = 0;
    assert_true(spool_store_sync(rig->store));
    assert_true(fault.state_writes <= 2); /* a run of 1000 entries, and the mark */
    fault.state_writes = 0;
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(fault.state_writes, 0);
}

/* ---- space ---- */

static uint64_t finish_one_segment(struct rig *rig)
{
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 1, 3000);
    spool_writer_seal(rig->writer);
    rig_stop_writer(rig);
    rig_scan_durable(rig);
    spool_segment_seal(spool_segment_find(rig->store, spool_id_number(id)));
    rig_set_state(rig, id, LETTER_BOUNCED);
    return id;
}

static void test_finished_segment_is_recycled_under_a_new_number_and_salt(void **state)
{
    struct rig *rig = *state;
    struct stat before, after;
    uint64_t id = finish_one_segment(rig);
    uint64_t number = spool_id_number(id);
    struct spool_salt salt = spool_segment_block(spool_segment_find(rig->store, number))->salt;
    assert_int_equal(stat(rig_path(rig, number, ".seg"), &before), 0);
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(spool_store_segments(rig->store), 0);
    assert_int_equal(rig_count_files(rig, "queue", ".free"), 1);
    struct spool_segment *segment = new_segment(rig, SPOOL_SHARED);
    assert_int_equal(stat(rig_path(rig, number_of(segment), ".seg"), &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_not_equal(number_of(segment), number);
    assert_memory_not_equal(&spool_segment_block(segment)->salt, &salt, sizeof salt);
    assert_int_equal(spool_segment_scan_tail(segment, rig_visit, rig), SPOOL_SCAN_OK);
    assert_int_equal(rig_times_found(rig, spool_id(number_of(segment), SPOOL_BLOCK)), 0);
}

static void test_segment_that_somebody_reads_is_not_recycled(void **state)
{
    struct rig *rig = *state;
    uint64_t number = spool_id_number(finish_one_segment(rig));
    int reader = spool_segment_open_reader(spool_segment_find(rig->store, number));
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(rig_count_files(rig, "queue", ".free"), 0);
    assert_int_equal(rig_count_files(rig, "queue", ".seg"), 0);
    close(reader);
}

static void test_spares_are_bounded(void **state)
{
    struct rig *rig = *state;
    struct spool_segment *segments[7];
    for (unsigned i = 0; i < 7; i++)
        segments[i] = new_segment(rig, SPOOL_SHARED);
    for (unsigned i = 0; i < 7; i++)
        spool_segment_seal(segments[i]);
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(rig_count_files(rig, "queue", ".free"), 4);
    assert_int_equal(rig_count_files(rig, "queue", ".seg"), 0);
    assert_int_equal(rig_count_files(rig, "queue", ".state"), 0);
}

static void test_open_segment_is_not_given_back(void **state)
{
    struct rig *rig = *state;
    uint64_t number = number_of(new_segment(rig, SPOOL_SHARED));
    assert_true(spool_store_sync(rig->store));
    assert_non_null(spool_segment_find(rig->store, number));
}

/* Octets of the file that are not in holes. st_blocks would tell of blocks that the file system has
 * yet to give back. */
static uint64_t count_data(const char *path)
{
    uint64_t count = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    off_t hole = 0, data;
    while ((data = lseek(fd, hole, SEEK_DATA)) >= 0) {
        hole = lseek(fd, data, SEEK_HOLE);
        assert_true(hole > data);
        count += (uint64_t)(hole - data);
    }
    close(fd);
    return count;
}

static void test_holes_are_punched_around_stragglers(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 60; i++)
        rig_store_letter(rig, 1, 200000);
    uint64_t number = spool_id_number(rig->letters[0]->letter.id);
    rig_scan_durable(rig);
    spool_segment_seal(spool_segment_find(rig->store, number));
    for (unsigned i = 0; i < 60; i++)
        if (i != 20)
            rig_set_state(rig, rig->letters[i]->letter.id, LETTER_DELIVERED);
    uint64_t before = count_data(rig_path(rig, number, ".seg"));
    for (unsigned i = 0; i < 3; i++)
        assert_true(spool_store_sync(rig->store));
    assert_true(fault.punched >= 8);
    assert_true(count_data(rig_path(rig, number, ".seg")) + (8 << 20) <= before);
    assert_true(rig_letter_is_intact(rig, rig->letters[20]));
    rig_stop_writer(rig);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 1);
    assert_int_equal(rig_times_found(rig, rig->letters[20]->letter.id), 1);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

static void test_letter_set_aside_is_copied_octet_by_octet(void **state)
{
    struct rig *rig = *state;
    struct stat facts;
    char path[RIG_PATH * 2];
    char id[SPOOL_ID_MAX];
    rig_start_writer(rig, 0, 0);
    uint64_t bad = rig_store_letter(rig, 1, 100);
    rig_scan_durable(rig);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(bad));
    assert_true(spool_segment_set_aside(segment, spool_id_offset(bad)));
    (void)snprintf(path, sizeof path, "%s/corrupt/%.*s", rig->directory,
                   SPAN_ARG(spool_id_text(bad, id)));
    assert_int_equal(stat(path, &facts), 0);
    assert_true(facts.st_size >= SPOOL_RECORD_HEADER + 100 && facts.st_size % 64 == 0);

    ino_t inode = facts.st_ino;
    struct timespec written = facts.st_mtim;
    assert_true(spool_segment_set_aside(segment, spool_id_offset(bad))); /* nothing new */
    assert_int_equal(stat(path, &facts), 0);
    assert_int_equal(facts.st_ino, inode);
    assert_memory_equal(&facts.st_mtim, &written, sizeof written);
}

static void test_letter_that_can_not_be_set_aside_keeps_its_segment(void **state)
{
    struct rig *rig = *state;
    char path[RIG_PATH * 2];
    char id[SPOOL_ID_MAX];
    rig_start_writer(rig, 0, 0);
    uint64_t bad = rig_store_letter(rig, 1, 100);
    rig_scan_durable(rig);
    (void)snprintf(path, sizeof path, "%s/corrupt/%.*s", rig->directory,
                   SPAN_ARG(spool_id_text(bad, id)));
    assert_int_equal(mkdir(path, 0700), 0); /* in the way of the copy */
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(bad));
    assert_false(spool_segment_set_aside(segment, spool_id_offset(bad)));
    rig_set_state(rig, bad, LETTER_BOUNCED);
    spool_segment_seal(segment);
    assert_true(spool_store_sync(rig->store));
    assert_non_null(spool_segment_find(rig->store, spool_id_number(bad)));
    assert_int_equal(rmdir(path), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_second_store_on_one_directory_is_refused),
        TEST(test_missing_directory_is_a_sentence),
        TEST(test_free_space_is_a_percentage),
        TEST(test_numbers_rise_and_are_never_used_twice),
        TEST(test_numbers_go_on_after_the_spool_was_emptied),
        TEST(test_damaged_next_does_not_bring_a_number_back),
        TEST(test_next_that_no_segment_can_have_counts_as_damaged),
        TEST(test_salts_differ),
        TEST(test_segment_that_can_not_be_made_leaves_nothing),
        TEST(test_new_segment_is_written_ahead),
        TEST(test_writer_can_not_read_and_reader_can_not_write),
        TEST(test_segment_has_one_writer),
        TEST(test_scan_reports_each_recipient_once),
        TEST(test_scan_reads_no_further_than_durable),
        TEST(test_scan_sets_a_bad_record_aside_and_goes_on),
        TEST(test_end_beyond_the_file_is_not_believed),
        TEST(test_failed_sync_keeps_states_dirty_and_gives_nothing_back),
        TEST(test_many_changes_go_out_in_few_writes),
        TEST(test_finished_segment_is_recycled_under_a_new_number_and_salt),
        TEST(test_segment_that_somebody_reads_is_not_recycled),
        TEST(test_spares_are_bounded),
        TEST(test_open_segment_is_not_given_back),
        TEST(test_holes_are_punched_around_stragglers),
        TEST(test_letter_set_aside_is_copied_octet_by_octet),
        TEST(test_letter_that_can_not_be_set_aside_keeps_its_segment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
