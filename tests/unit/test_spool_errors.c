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

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_state_file_that_is_gone_is_nobody_elses_trouble),
        TEST(test_state_file_that_is_gone_is_written_anew_whole),
        TEST(test_state_file_whose_sync_fails_is_replaced),
        TEST(test_new_state_file_counts_when_its_name_is_durable),
        TEST(test_new_state_file_that_was_not_finished_is_removed_at_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
