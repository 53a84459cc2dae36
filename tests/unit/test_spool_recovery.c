/*
 * Recovery over what faults leave behind: flipped octets, truncations, lost and damaged state
 * files, foreign files, writers that live on.
 */
#include "spool_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int setup(void **state)
{
    *state = rig_new(NULL);
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    return 0;
}

/* Three letters in one batch, then one in a batch that proves them; the writer is gone. */
static void store_three_and_one(struct rig *rig)
{
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_submit(rig, 1, 150);
    rig_settle(rig);
    rig_store_letter(rig, 1, 150);
    rig_stop_writer(rig);
}

static uint64_t number_of(const struct rig *rig)
{
    return spool_id_number(rig->letters[0]->letter.id);
}

static uint64_t id_of(const struct rig *rig, unsigned index)
{
    return rig->letters[index]->letter.id;
}

/* ---- the ordinary ---- */

static void test_letters_never_indexed_are_found(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(rig->found[i].id, id_of(rig, i));
        assert_true(rig->found[i].with_record);
        assert_true(rig_letter_is_intact(rig, rig->letters[i]));
    }
}

static void test_indexed_letters_are_found_once_with_their_state(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    rig_scan_durable(rig);
    rig_set_state(rig, id_of(rig, 1), LETTER_DEFERRED);
    rig_set_state(rig, id_of(rig, 2), LETTER_DELIVERED);
    assert_true(spool_store_sync(rig->store));
    for (unsigned times = 0; times < 3; times++) {
        rig_restart_store(rig);
        assert_int_equal(rig->found_count, 3);
        assert_int_equal(rig_times_found(rig, id_of(rig, 0)), 1);
        assert_int_equal(rig->found[1].entry.state, LETTER_DEFERRED);
        assert_int_equal(rig_times_found(rig, id_of(rig, 2)), 0);
        assert_int_equal(rig_times_found(rig, id_of(rig, 3)), 1);
        assert_true(spool_store_sync(rig->store));
    }
}

static unsigned count_walked(const struct rig *rig)
{
    unsigned walked = 0;
    for (size_t i = 0; i < rig->found_count; i++)
        walked += rig->found[i].with_record ? 1 : 0;
    return walked;
}

static void test_no_recovery_walks_over_what_an_earlier_one_has_indexed(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    rig_restart_store(rig); /* walks over all, as nothing was indexed */
    assert_int_equal(count_walked(rig), 4);
    assert_true(spool_store_sync(rig->store));
    assert_true(spool_store_sync(rig->store)); /* its mark tells of the sync before */
    for (unsigned times = 0; times < 3; times++) {
        rig_restart_store(rig);
        assert_int_equal(rig->found_count, 4);
        assert_int_equal(count_walked(rig), 0);
        assert_true(spool_store_sync(rig->store));
    }
}

static void test_recovered_segments_with_nothing_to_do_are_released(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    rig_scan_durable(rig);
    for (unsigned i = 0; i < 4; i++)
        rig_set_state(rig, id_of(rig, i), LETTER_DELIVERED);
    assert_true(spool_store_sync(rig->store));
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 0);
    assert_int_equal(spool_store_segments(rig->store), 0);
    assert_int_equal(rig_count_files(rig, "queue", ".seg"), 0);
    assert_int_equal(rig_count_files(rig, "queue", ".state"), 0);
}

/* ---- living writers ---- */

static void test_segment_of_a_living_writer_stays_open(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t first = rig_store_letter(rig, 1, 100);
    uint64_t second = rig_store_letter(rig, 1, 100);
    rig_restart_store(rig);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(first));
    assert_non_null(segment);
    assert_false(spool_segment_is_sealed(segment));
    assert_int_equal(rig_times_found(rig, first), 1); /* proven by the second */
    assert_int_equal(rig_times_found(rig, second), 0);
    uint64_t third = rig_store_letter(rig, 1, 100);
    rig_scan_durable(rig);
    assert_int_equal(rig_times_found(rig, first), 1);
    assert_int_equal(rig_times_found(rig, second), 1);
    assert_int_equal(rig_times_found(rig, third), 1);
}

static void restart_with(struct rig *rig, const struct spool_held *held)
{
    struct span problem;
    spool_store_close(rig->store);
    rig->store = spool_store_open(rig->directory, &rig->arena, &problem);
    assert_non_null(rig->store);
    rig_recover(rig, held, 1);
}

static void test_held_segment_is_read_to_its_durable_end(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 1, 100);
    uint64_t number = spool_id_number(id);
    const struct spool_block *block = spool_segment_block(spool_segment_find(rig->store, number));
    const struct spool_held held = {number, rig->durable[0].end, block->salt};
    rig_restart_store(rig); /* nothing is proven without the writer's word */
    assert_int_equal(rig->found_count, 0);
    restart_with(rig, &held);
    assert_int_equal(rig_times_found(rig, id), 1);
    assert_false(spool_segment_is_sealed(spool_segment_find(rig->store, held.number)));
}

static void test_word_without_the_salt_of_the_segment_is_not_believed(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t number = spool_id_number(rig_store_letter(rig, 1, 100));
    struct spool_held held = {number, rig->durable[0].end, {{0}}};
    restart_with(rig, &held);
    assert_int_equal(rig->found_count, 0);
    held.salt = spool_segment_block(spool_segment_find(rig->store, number))->salt;
    held.salt.octets[SPOOL_SALT - 1] ^= 1;
    restart_with(rig, &held);
    assert_int_equal(rig->found_count, 0);
}

static void count_open(void *arg, const struct spool_segment *segment)
{
    assert_false(spool_segment_is_sealed(segment));
    (*(unsigned *)arg)++;
}

static void test_tail_is_scanned_when_its_writer_is_gone(void **state)
{
    struct rig *rig = *state;
    unsigned open = 0;
    rig_start_writer(rig, 1, 1);
    uint64_t id = rig_store_letter(rig, 1, 100);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    assert_true(spool_segment_has_writer(segment));
    spool_store_each_open(rig->store, count_open, &open);
    assert_int_equal(open, 3);
    rig_stop_writer(rig);
    assert_false(spool_segment_has_writer(segment));
    assert_int_equal(spool_segment_scan_tail(segment, rig_visit, rig), SPOOL_SCAN_OK);
    assert_int_equal(rig_times_found(rig, id), 1);
    assert_true(spool_segment_is_sealed(segment));
    open = 0;
    spool_store_each_open(rig->store, count_open, &open);
    assert_int_equal(open, 2);
}

/* ---- damage ---- */

static void expect_neighbours(const struct rig *rig, unsigned victim)
{
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(rig_times_found(rig, id_of(rig, i)), i == victim ? 0 : 1);
}

/* Recovery reports each letter as new as long as nothing was synced: the fault is undone, the state
 * file too, and the next octet is tried. */
static void flip_every_octet_of(struct rig *rig, unsigned victim)
{
    char segment_path[RIG_PATH * 2];
    store_three_and_one(rig);
    (void)snprintf(segment_path, sizeof segment_path, "%s", rig_path(rig, number_of(rig), ".seg"));
    uint64_t from = spool_id_offset(id_of(rig, victim));
    uint64_t length = SPOOL_RECORD_HEADER + rig->letters[victim]->letter.envelope.len + 150;
    for (uint64_t at = from; at < from + length; at++) {
        rig_flip(segment_path, at);
        rig_restart_store(rig);
        expect_neighbours(rig, victim);
        assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
        rig_flip(segment_path, at);
    }
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
}

static void test_every_flipped_octet_of_a_first_record_is_set_aside(void **state)
{
    flip_every_octet_of(*state, 0);
}

static void test_every_flipped_octet_of_a_middle_record_is_set_aside(void **state)
{
    flip_every_octet_of(*state, 1);
}

static void test_every_flipped_octet_of_a_last_record_of_a_batch_is_set_aside(void **state)
{
    flip_every_octet_of(*state, 2);
}

static void test_damage_in_the_last_batch_is_cut_and_neighbours_stay(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 3; i++)
        rig_submit(rig, 1, 150);
    rig_settle(rig);
    rig_stop_writer(rig);
    rig_flip(rig_path(rig, number_of(rig), ".seg"), spool_id_offset(id_of(rig, 1)) + 300);
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, id_of(rig, 0)), 1);
    assert_int_equal(rig_times_found(rig, id_of(rig, 1)), 0);
    assert_int_equal(rig_times_found(rig, id_of(rig, 2)), 1);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

static void test_every_truncation_keeps_what_is_whole_and_nothing_in_part(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s", rig_path(rig, number_of(rig), ".seg"));
    uint64_t ends[4];
    for (unsigned i = 0; i < 4; i++)
        ends[i] = spool_id_offset(id_of(rig, i)) + SPOOL_RECORD_HEADER +
                  rig->letters[i]->letter.envelope.len + 150;
    for (uint64_t size = ends[3]; size >= ends[0] - 1; size--) {
        if (size == 2 * SPOOL_BLOCK)
            size = ends[2] + 1; /* between lies only padding */
        assert_int_equal(truncate(path, (off_t)size), 0);
        rig_restart_store(rig);
        for (unsigned i = 0; i < 4; i++)
            assert_int_equal(rig_times_found(rig, id_of(rig, i)), ends[i] <= size ? 1 : 0);
    }
}

static void test_truncation_below_a_sealed_end_raises_the_alarm(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    rig_restart_store(rig);
    assert_true(spool_store_sync(rig->store)); /* sealed, but the mark is one sync behind */
    assert_int_equal(truncate(rig_path(rig, number_of(rig), ".seg"), 2 * SPOOL_BLOCK + 200), 0);
    rig_restart_store(rig);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 1);
    assert_int_equal(rig_times_found(rig, id_of(rig, 0)), 1);
}

static void test_private_letter_without_its_end_is_cut(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *letter = rig_make_letter(rig, 1, 300000);
    struct spool_stream *stream = spool_stream_open(rig->writer, &letter->letter);
    assert_int_equal(spool_stream_write(stream, letter->letter.body), SPOOL_OK);
    spool_stream_commit(stream);
    rig_settle(rig);
    rig_stop_writer(rig);
    assert_int_equal(truncate(rig_path(rig, number_of(rig), ".seg"), 200000), 0);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 0);
}

/* ---- state files ---- */

static void store_four_synced(struct rig *rig)
{
    store_three_and_one(rig);
    rig_scan_durable(rig);
    rig_set_state(rig, id_of(rig, 0), LETTER_DELIVERED);
    rig_set_state(rig, id_of(rig, 2), LETTER_DEFERRED);
    spool_segment_seal(spool_segment_find(rig->store, number_of(rig)));
    assert_true(spool_store_sync(rig->store));
    assert_true(spool_store_sync(rig->store));
    assert_true(spool_store_sync(rig->store));
}

static void test_lost_state_file_means_that_all_are_delivered_again(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    assert_int_equal(unlink(rig_path(rig, number_of(rig), ".state")), 0);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
    rig_set_state(rig, id_of(rig, 0), LETTER_DELIVERED);
    assert_true(spool_store_sync(rig->store));
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 3);
}

static void test_each_flipped_octet_of_a_state_file_loses_no_letter(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    char path[RIG_PATH * 2];
    char copy[RIG_PATH * 2 + 8];
    (void)snprintf(path, sizeof path, "%s", rig_path(rig, number_of(rig), ".state"));
    (void)snprintf(copy, sizeof copy, "%s/copy", rig->directory);
    uint8_t octets[SPOOL_STATE_HEADER + 4 * SPOOL_STATE_ENTRY];
    int fd = open(path, O_RDONLY);
    assert_int_equal(read(fd, octets, sizeof octets), sizeof octets);
    close(fd);
    for (uint64_t at = 0; at < sizeof octets; at += at < 600 || at >= SPOOL_STATE_HEADER ? 1 : 17) {
        rig_flip(path, at);
        rig_restart_store(rig);
        for (unsigned i = 1; i < 4; i++)
            assert_int_equal(rig_times_found(rig, id_of(rig, i)), 1);
        assert_true(rig->found_count <= 4);
        assert_int_equal(unlink(path), 0);
        fd = open(path, O_WRONLY | O_CREAT, 0600);
        assert_int_equal(write(fd, octets, sizeof octets), sizeof octets);
        close(fd);
    }
}

static void test_state_file_cut_short_loses_no_letter(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s", rig_path(rig, number_of(rig), ".state"));
    for (off_t size = SPOOL_STATE_HEADER + 3 * SPOOL_STATE_ENTRY; size >= 0; size -= 16) {
        assert_int_equal(truncate(path, size), 0);
        rig_restart_store(rig);
        for (unsigned i = 1; i < 4; i++)
            assert_int_equal(rig_times_found(rig, id_of(rig, i)), 1);
        if (size > SPOOL_STATE_HEADER)
            continue;
        assert_true(size <= SPOOL_STATE_HEADER);
        size -= 1000;
    }
}

static void test_state_file_without_letters_is_removed(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    assert_int_equal(unlink(rig_path(rig, number_of(rig), ".seg")), 0);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 0);
    assert_int_equal(rig_count_files(rig, "queue", ".state"), 0);
}

static void test_damaged_block_is_made_up_for_by_the_state_file(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    rig_flip(rig_path(rig, number_of(rig), ".seg"), 30);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 3);
    assert_true(rig_letter_is_intact(rig, rig->letters[1]));
}

static void test_segment_without_any_sound_block_goes_to_corrupt(void **state)
{
    struct rig *rig = *state;
    store_four_synced(rig);
    rig_flip(rig_path(rig, number_of(rig), ".seg"), 30);
    rig_flip(rig_path(rig, number_of(rig), ".state"), 30);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 0);
    assert_int_equal(rig_count_files(rig, "corrupt", ".seg"), 1);
}

/* ---- foreign files ---- */

static void make_file(const struct rig *rig, const char *name)
{
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s/queue/%s", rig->directory, name);
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
}

static void test_foreign_files_are_left_alone(void **state)
{
    struct rig *rig = *state;
    char target[RIG_PATH * 2];
    store_three_and_one(rig);
    make_file(rig, "README");
    make_file(rig, "core.seg.old");
    make_file(rig, "0.seg");
    (void)snprintf(target, sizeof target, "%s/queue/3.seg", rig->directory);
    assert_int_equal(symlink("/etc/passwd", target), 0);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
    assert_true(rig_exists(target));
    assert_int_equal(rig_count_files(rig, "queue", "README"), 1);
    assert_int_equal(rig_count_files(rig, "queue", ".old"), 1);
}

/* Letters in a segment behind it would have no place that an id can name. */
static void test_file_whose_number_no_segment_can_have_is_foreign(void **state)
{
    static const char *const names[] = {"ZZZZZZZZZZZZ.seg", "J000000000.seg", "ZZZZZZZZZZZZ.state"};
    struct rig *rig = *state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        make_file(rig, names[i]);
    rig_restart_store(rig);
    assert_int_equal(rig_count_files(rig, "queue", ".seg"), 2);
    assert_int_equal(rig_count_files(rig, "queue", ".state"), 1);
    store_three_and_one(rig);
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

static void test_empty_segment_file_does_no_harm(void **state)
{
    struct rig *rig = *state;
    store_three_and_one(rig);
    make_file(rig, "4.seg");
    make_file(rig, "5.state");
    make_file(rig, "6.free");
    rig_restart_store(rig);
    assert_int_equal(rig->found_count, 4);
    assert_int_equal(spool_store_segments(rig->store), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_letters_never_indexed_are_found),
        TEST(test_indexed_letters_are_found_once_with_their_state),
        TEST(test_no_recovery_walks_over_what_an_earlier_one_has_indexed),
        TEST(test_recovered_segments_with_nothing_to_do_are_released),
        TEST(test_segment_of_a_living_writer_stays_open),
        TEST(test_held_segment_is_read_to_its_durable_end),
        TEST(test_word_without_the_salt_of_the_segment_is_not_believed),
        TEST(test_tail_is_scanned_when_its_writer_is_gone),
        TEST(test_every_flipped_octet_of_a_first_record_is_set_aside),
        TEST(test_every_flipped_octet_of_a_middle_record_is_set_aside),
        TEST(test_every_flipped_octet_of_a_last_record_of_a_batch_is_set_aside),
        TEST(test_damage_in_the_last_batch_is_cut_and_neighbours_stay),
        TEST(test_every_truncation_keeps_what_is_whole_and_nothing_in_part),
        TEST(test_truncation_below_a_sealed_end_raises_the_alarm),
        TEST(test_private_letter_without_its_end_is_cut),
        TEST(test_lost_state_file_means_that_all_are_delivered_again),
        TEST(test_each_flipped_octet_of_a_state_file_loses_no_letter),
        TEST(test_state_file_cut_short_loses_no_letter),
        TEST(test_state_file_without_letters_is_removed),
        TEST(test_damaged_block_is_made_up_for_by_the_state_file),
        TEST(test_segment_without_any_sound_block_goes_to_corrupt),
        TEST(test_foreign_files_are_left_alone),
        TEST(test_file_whose_number_no_segment_can_have_is_foreign),
        TEST(test_empty_segment_file_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
