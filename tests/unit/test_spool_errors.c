/*
 * Errors of the disk: one file's trouble is its own, what passes leaves nothing behind, and what
 * can not be read is never taken for damage.
 */
#include "spool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Calls on files of that suffix fail; NULL: none. */
static struct {
    const char *open_suffix;
    int open_error;
    const char *sync_suffix;
    bool sync_directory;
    int letters; /* the store's own descriptor of the letters that were opened last */
} fault;

static int faulty_openat(int directory, const char *path, int flags, mode_t mode)
{
    if (fault.open_suffix != NULL &&
        span_has_suffix(span_cstr(path), span_cstr(fault.open_suffix))) {
        errno = fault.open_error;
        return -1;
    }
    int fd = openat(directory, path, flags, mode);
    bool letters = span_has_suffix(span_cstr(path), SPAN(".free")) ||
                   span_has_suffix(span_cstr(path), SPAN(".seg"));
    if (letters && (flags & O_ACCMODE) == O_RDWR)
        fault.letters = fd;
    return fd;
}

static bool is_of(int fd, const char *suffix)
{
    char link[64];
    char path[RIG_PATH * 2];
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    assert_true(length > 0);
    return span_has_suffix(span_of(path, (size_t)length), span_cstr(suffix));
}

static int faulty_fdatasync(int fd)
{
    if (fault.sync_suffix != NULL && is_of(fd, fault.sync_suffix)) {
        errno = EIO;
        return -1;
    }
    return fdatasync(fd);
}

static int faulty_fsync(int fd)
{
    if (fault.sync_directory && is_of(fd, "/queue")) {
        errno = EIO;
        return -1;
    }
    return fsync(fd);
}

static struct spool_io io;

static int setup(void **state)
{
    memset(&fault, 0, sizeof fault);
    io = spool_io_system;
    io.openat = faulty_openat;
    io.fdatasync = faulty_fdatasync;
    io.fsync = faulty_fsync;
    *state = rig_new(&io);
    return 0;
}

static int teardown(void **state)
{
    memset(&fault, 0, sizeof fault);
    rig_free(*state);
    return 0;
}

static struct spool_segment *segment_of(struct rig *rig, uint64_t id)
{
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    assert_non_null(segment);
    return segment;
}

/* A letter in a sealed segment of its own, indexed. */
static uint64_t store_alone(struct rig *rig)
{
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 2, 100);
    rig_stop_writer(rig);
    rig_scan_durable(rig);
    spool_segment_seal(segment_of(rig, id));
    return id;
}

/* ---- state files ---- */

static void test_state_file_that_is_gone_is_nobody_elses_trouble(void **state)
{
    struct rig *rig = *state;
    uint64_t victim = store_alone(rig);
    uint64_t healthy = store_alone(rig);
    rig_set_state(rig, victim, LETTER_DEFERRED);
    rig_set_state(rig, healthy, LETTER_DEFERRED);
    assert_int_equal(unlink(rig_path(rig, spool_id_number(victim), ".state")), 0);
    fault.open_suffix = ".new";
    fault.open_error = ENOSPC;
    assert_false(spool_store_sync(rig->store));
    assert_int_equal(errno, ENOSPC);
    assert_false(spool_segment_is_synced(segment_of(rig, victim)));
    assert_true(spool_segment_is_synced(segment_of(rig, healthy)));
    fault.open_suffix = NULL;
    assert_true(spool_store_sync(rig->store));
    assert_true(spool_segment_is_synced(segment_of(rig, victim)));
}

static void test_state_file_that_is_gone_is_written_anew_whole(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 1500; i++) /* more than one run of entries */
        rig_submit(rig, 1, 20);
    rig_settle(rig);
    rig_stop_writer(rig);
    rig_scan_durable(rig);
    uint64_t number = spool_id_number(rig->letters[0]->letter.id);
    for (unsigned i = 0; i < 1499; i++)
        rig_set_state(rig, rig->letters[i]->letter.id, LETTER_DELIVERED);
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(unlink(rig_path(rig, number, ".state")), 0);
    rig_set_state(rig, rig->letters[1499]->letter.id, LETTER_DEFERRED);
    assert_true(spool_store_sync(rig->store));
    assert_false(rig_exists(rig_path(rig, number, ".new")));
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 1);
    assert_int_equal(rig->found[0].entry.state, LETTER_DEFERRED);
    assert_false(rig->found[0].with_record); /* its mark tells of all of it */
}

static void test_state_file_whose_sync_fails_is_replaced(void **state)
{
    struct rig *rig = *state;
    uint64_t id = store_alone(rig);
    struct stat before, after;
    rig_set_state(rig, id, LETTER_DEFERRED);
    assert_int_equal(stat(rig_path(rig, spool_id_number(id), ".state"), &before), 0);
    fault.sync_suffix = ".state";
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(stat(rig_path(rig, spool_id_number(id), ".state"), &after), 0);
    assert_int_not_equal(before.st_ino, after.st_ino);
    fault.sync_suffix = NULL;
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, id), 2);
    assert_int_equal(rig->found[0].entry.state, LETTER_DEFERRED);
}

static void test_new_state_file_counts_when_its_name_is_durable(void **state)
{
    struct rig *rig = *state;
    uint64_t id = store_alone(rig);
    rig_set_state(rig, id, LETTER_DEFERRED);
    assert_int_equal(unlink(rig_path(rig, spool_id_number(id), ".state")), 0);
    fault.sync_directory = true;
    assert_false(spool_store_sync(rig->store));
    assert_false(spool_store_sync(rig->store));
    assert_false(spool_segment_is_synced(segment_of(rig, id)));
    fault.sync_directory = false;
    assert_true(spool_store_sync(rig->store));
}

static void test_new_state_file_that_was_not_finished_is_removed_at_start(void **state)
{
    struct rig *rig = *state;
    uint64_t id = store_alone(rig);
    assert_true(spool_store_sync(rig->store));
    int fd = open(rig_path(rig, spool_id_number(id), ".new"), O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, id), 2);
    assert_int_equal(rig_count_files(rig, "queue", ".new"), 0);
}

/* ---- letters ---- */

/* The store's descriptor of the letters that were opened last can write only, until it is mended:
 * each pread(2) fails. */
static int break_reading(const struct rig *rig, uint64_t id)
{
    int whole = dup(fault.letters);
    int broken = open(rig_path(rig, spool_id_number(id), ".seg"), O_WRONLY);
    assert_true(whole >= 0 && broken >= 0);
    assert_int_equal(dup2(broken, fault.letters), fault.letters);
    close(broken);
    return whole;
}

static void mend_reading(int whole)
{
    assert_int_equal(dup2(whole, fault.letters), fault.letters);
    close(whole);
}

static void test_letters_that_can_not_be_read_now_are_indexed_later(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 3, 100);
    struct spool_segment *segment = segment_of(rig, id);
    uint64_t end = rig->durable[0].end;
    int whole = break_reading(rig, id);
    assert_int_equal(spool_segment_scan(segment, end, rig_visit, rig), SPOOL_SCAN_LATER);
    assert_int_equal(rig->found_count, 0);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
    mend_reading(whole);
    assert_int_equal(spool_segment_scan(segment, end, rig_visit, rig), SPOOL_SCAN_OK);
    assert_int_equal(rig_times_found(rig, id), 3);
}

static void test_tail_that_can_not_be_read_now_is_not_sealed(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 3, 100);
    struct spool_segment *segment = segment_of(rig, id);
    rig_stop_writer(rig);
    int whole = break_reading(rig, id);
    assert_int_equal(spool_segment_scan_tail(segment, rig_visit, rig), SPOOL_SCAN_LATER);
    assert_false(spool_segment_is_sealed(segment));
    mend_reading(whole);
    assert_int_equal(spool_segment_scan_tail(segment, rig_visit, rig), SPOOL_SCAN_OK);
    assert_true(spool_segment_is_sealed(segment));
    assert_int_equal(rig_times_found(rig, id), 3);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

static void test_copy_that_could_not_read_is_no_copy(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 1, 100);
    rig_scan_durable(rig);
    struct spool_segment *segment = segment_of(rig, id);
    int whole = break_reading(rig, id);
    assert_false(spool_segment_set_aside(segment, spool_id_offset(id)));
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
    mend_reading(whole);
    assert_true(spool_segment_set_aside(segment, spool_id_offset(id)));
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
}

/* A letter that is damaged while its copy can not be made: neither is it lost, nor what lies behind
 * it. */
static void test_damage_that_can_not_be_set_aside_now_is_judged_later(void **state)
{
    struct rig *rig = *state;
    char id[SPOOL_ID_MAX];
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_submit(rig, 1, 100);
    rig_settle(rig);
    uint64_t bad = rig->letters[1]->letter.id;
    struct spool_segment *segment = segment_of(rig, bad);
    rig_flip(rig_path(rig, spool_id_number(bad), ".seg"), spool_id_offset(bad) + 3);
    struct span name = spool_id_text(bad, id);
    id[name.len] = '\0';
    fault.open_suffix = id;
    fault.open_error = EMFILE;
    uint64_t end = rig->durable[0].end;
    assert_int_equal(spool_segment_scan(segment, end, rig_visit, rig), SPOOL_SCAN_LATER);
    assert_int_equal(rig->found_count, 1);
    fault.open_suffix = NULL;
    assert_int_equal(spool_segment_scan(segment, end, rig_visit, rig), SPOOL_SCAN_DAMAGED);
    assert_int_equal(rig->found_count, 2);
    assert_int_equal(rig_times_found(rig, bad), 0);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
}

/* ---- the start ---- */

static void restart_store_damaged(struct rig *rig, uint64_t bad)
{
    char id[SPOOL_ID_MAX];
    struct span name = spool_id_text(bad, id);
    id[name.len] = '\0';
    fault.open_suffix = id;
    fault.open_error = ENOSPC;
    rig_restart_store(rig);
    fault.open_suffix = NULL;
}

/* What recovery has to leave for later stays open, and comes once: entries that are on the disk
 * were reported then, and the others are reported by the scan. */
static void test_what_recovery_must_leave_comes_later_and_once(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_store_letter(rig, 1, 100);
    rig_stop_writer(rig);
    rig_restart_store(rig); /* one sync: entries are on the disk, the mark is behind them */
    assert_true(spool_store_sync(rig->store));
    assert_int_equal(rig->found_count, 3);
    uint64_t bad = rig->letters[1]->letter.id;
    rig_flip(rig_path(rig, spool_id_number(bad), ".seg"), spool_id_offset(bad) + 3);
    restart_store_damaged(rig, bad);
    assert_int_equal(rig->found_count, 3);
    struct spool_segment *segment = segment_of(rig, bad);
    assert_false(spool_segment_is_sealed(segment));
    assert_true(spool_store_sync(rig->store));
    restart_store_damaged(rig, bad); /* the mark still says where it ends */
    segment = segment_of(rig, bad);
    rig_forget_found(rig);
    assert_int_equal(spool_segment_scan_tail(segment, rig_visit, rig), SPOOL_SCAN_DAMAGED);
    assert_int_equal(rig->found_count, 0);
    assert_true(spool_segment_is_sealed(segment));
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
}

static bool recovers_with(struct rig *rig, const char *suffix, int error)
{
    spool_store_close(rig->store);
    struct span problem;
    rig->store = spool_store_open_io(rig->directory, rig->io, &rig->arena, &problem);
    assert_non_null(rig->store);
    rig_forget_found(rig);
    fault.open_suffix = suffix;
    fault.open_error = error;
    bool good = spool_store_recover(rig->store, NULL, 0, rig_visit, rig);
    if (!good)
        assert_int_equal(errno, error);
    fault.open_suffix = NULL;
    return good;
}

static void test_file_that_can_not_be_opened_ends_recovery(void **state)
{
    static const int errors[] = {EMFILE, EACCES, EIO};
    struct rig *rig = *state;
    uint64_t id = store_alone(rig);
    rig_set_state(rig, id, LETTER_DEFERRED);
    assert_true(spool_store_sync(rig->store));
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        assert_false(recovers_with(rig, ".seg", errors[i]));
        assert_false(recovers_with(rig, ".state", errors[i]));
    }
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, id), 2);
    assert_int_equal(rig->found[0].entry.state, LETTER_DEFERRED);
}

static void test_segment_that_vanished_does_not_end_recovery(void **state)
{
    struct rig *rig = *state;
    (void)store_alone(rig);
    assert_true(spool_store_sync(rig->store));
    assert_true(recovers_with(rig, ".seg", ENOENT));
    assert_int_equal(rig->found_count, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_state_file_that_is_gone_is_nobody_elses_trouble),
        TEST(test_state_file_that_is_gone_is_written_anew_whole),
        TEST(test_state_file_whose_sync_fails_is_replaced),
        TEST(test_new_state_file_counts_when_its_name_is_durable),
        TEST(test_new_state_file_that_was_not_finished_is_removed_at_start),
        TEST(test_letters_that_can_not_be_read_now_are_indexed_later),
        TEST(test_tail_that_can_not_be_read_now_is_not_sealed),
        TEST(test_copy_that_could_not_read_is_no_copy),
        TEST(test_damage_that_can_not_be_set_aside_now_is_judged_later),
        TEST(test_what_recovery_must_leave_comes_later_and_once),
        TEST(test_file_that_can_not_be_opened_ends_recovery),
        TEST(test_segment_that_vanished_does_not_end_recovery),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
