/*
 * What the writer promises to smtpd, and what it does when the disk breaks its own promises. Faults
 * are injected by replacing single system calls; the table of faults is this file's only state.
 */
#include "spool_rig.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- faults ---- */

static struct {
    atomic_int sync_error;     /* the next sync fails with it */
    atomic_int syncs;          /* so many were made */
    atomic_int writes_pending; /* batches written since the last sync returned */
    atomic_int most_pending;
    int write_error;  /* every batch write fails with it */
    int stream_error; /* every other write */
    size_t write_at_most;
    int batches;
} fault;

static int faulty_sync(int fd)
{
    int error = atomic_exchange(&fault.sync_error, 0);
    atomic_fetch_add(&fault.syncs, 1);
    int result = fdatasync(fd);
    atomic_store(&fault.writes_pending, 0);
    if (error == 0)
        return result;
    errno = error;
    return -1;
}

static ssize_t faulty_writev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    fault.batches++;
    int pending = atomic_fetch_add(&fault.writes_pending, 1) + 1;
    if (pending > atomic_load(&fault.most_pending))
        atomic_store(&fault.most_pending, pending);
    if (fault.write_error != 0) {
        errno = fault.write_error;
        return -1;
    }
    if (fault.write_at_most == 0)
        return pwritev(fd, pieces, count, offset);
    size_t size = pieces[0].iov_len < fault.write_at_most ? pieces[0].iov_len : fault.write_at_most;
    return pwrite(fd, pieces[0].iov_base, size, offset);
}

static ssize_t faulty_write(int fd, const void *octets, size_t size, off_t offset)
{
    if (fault.stream_error != 0) {
        errno = fault.stream_error;
        return -1;
    }
    return pwrite(fd, octets, size, offset);
}

static struct spool_io faulty_io(void)
{
    struct spool_io io = spool_io_system;
    io.fdatasync = faulty_sync;
    io.pwritev = faulty_writev;
    io.pwrite = faulty_write;
    return io;
}

static struct spool_io io;

static int setup(void **state)
{
    memset(&fault, 0, sizeof fault);
    io = faulty_io();
    *state = rig_new(&io);
    return 0;
}

static int teardown(void **state)
{
    memset(&fault, 0, sizeof fault);
    rig_free(*state);
    return 0;
}

/* ---- batches ---- */

static void test_letter_reads_back_after_done(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    rig_store_letter(rig, 3, 5000);
    assert_true(rig_letter_is_intact(rig, rig->letters[0]));
}

static void test_letters_of_one_turn_share_one_write_and_one_sync(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    fault.syncs = 0;
    for (unsigned i = 0; i < 20; i++)
        rig_submit(rig, 1, 4096);
    rig_settle(rig);
    assert_int_equal(fault.batches, 1);
    assert_int_equal(fault.syncs, 1);
}

static void test_more_letters_than_pieces_go_in_further_batches(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 450; i++)
        rig_submit(rig, 1, 100);
    rig_settle(rig);
    assert_int_equal(fault.batches, 3);
    for (unsigned i = 0; i < 450; i++)
        assert_true(rig_letter_is_intact(rig, rig->letters[i]));
}

static void test_first_of_many_waits_for_the_rest(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 10; i++)
        rig_submit(rig, 1, 300);
    rig_settle(rig);
    rig_submit(rig, 1, 300);
    loop_turn(rig->loop, 0);
    assert_int_equal(fault.batches, 1);
    for (unsigned i = 0; i < 9; i++)
        rig_submit(rig, 1, 300);
    loop_turn(rig->loop, 0);
    assert_int_equal(fault.batches, 2);
    rig_settle(rig);
    assert_int_equal(fault.batches, 2);
}

static void test_who_comes_alone_after_many_is_written_all_the_same(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 10; i++)
        rig_submit(rig, 1, 300);
    rig_settle(rig);
    rig_store_letter(rig, 1, 300);
    assert_true(rig_letter_is_intact(rig, rig->letters[10]));
    assert_int_equal(fault.batches, 2);
}

static void test_batch_is_written_only_after_the_sync_before(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    for (unsigned i = 0; i < 30; i++) {
        rig_submit(rig, 1, 300);
        loop_turn(rig->loop, 0);
    }
    rig_settle(rig);
    assert_int_equal(fault.most_pending, 1);
}

static void test_records_begin_on_64_and_batches_on_4096(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    rig_submit(rig, 1, 1000);
    rig_submit(rig, 1, 1000);
    rig_settle(rig);
    rig_store_letter(rig, 1, 10);
    uint64_t first = spool_id_offset(rig->letters[0]->letter.id);
    uint64_t second = spool_id_offset(rig->letters[1]->letter.id);
    assert_int_equal(first, SPOOL_BLOCK);
    assert_int_equal(second % SPOOL_ALIGN, 0);
    assert_true(second > first + 1000 && second < first + SPOOL_BLOCK);
    assert_int_equal(spool_id_offset(rig->letters[2]->letter.id), 2 * SPOOL_BLOCK);
}

static void test_durable_is_cumulative_and_ends_behind_the_last_record(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    rig_store_letter(rig, 1, 1000);
    rig_store_letter(rig, 1, 1000);
    assert_int_equal(rig->durable_count, 2);
    assert_true(rig->durable[1].end > rig->durable[0].end);
    rig_scan_durable(rig);
    assert_int_equal(rig->found_count, 2);
}

static void test_octets_of_a_former_life_do_not_stay_within_a_batch(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    uint64_t number = rig_store_letter(rig, 1, 10) >> 20;
    uint8_t octets[SPOOL_BLOCK];
    memset(octets, 0xAA, sizeof octets);
    rig_write_at(rig_path(rig, number, ".seg"), 2 * SPOOL_BLOCK, octets, sizeof octets);
    uint64_t offset = spool_id_offset(rig_store_letter(rig, 1, 10));
    FILE *file = fopen(rig_path(rig, number, ".seg"), "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_equal(fread(octets, 1, sizeof octets, file), sizeof octets);
    fclose(file);
    for (size_t i = 512; i < sizeof octets; i++)
        assert_int_equal(octets[i], 0);
}

/* ---- segments ---- */

static void test_full_segment_is_sealed_and_the_spare_goes_on(void **state)
{
    struct rig *rig = *state;
    rig->grant_size = 1 << 20;
    rig_start_writer(rig, 1, 0);
    for (unsigned i = 0; i < 21; i++) /* ten have room in a MiB */
        rig_store_letter(rig, 1, 100000);
    assert_int_equal(rig->sealed_count, 2);
    for (unsigned i = 0; i < 21; i++)
        assert_true(rig_letter_is_intact(rig, rig->letters[i]));
}

/* The padding of a batch may not reach the end of a size that is no multiple of a page, nor what is
 * written ahead. */
static void test_segment_never_grows_past_its_size(void **state)
{
    struct rig *rig = *state;
    struct stat facts;
    rig->grant_size = (1 << 20) + SPOOL_BLOCK - SPOOL_ALIGN;
    rig_start_writer(rig, 1, 0);
    for (unsigned i = 0; i < 1500; i++) {
        rig_submit(rig, 1, 1000 + i * 37 % 3000);
        if (i % 3 == 2)
            rig_settle(rig);
    }
    assert_true(rig->sealed_count >= 3);
    for (size_t i = 0; i < rig->sealed_count; i++) {
        assert_int_equal(stat(rig_path(rig, rig->sealed[i].number, ".seg"), &facts), 0);
        assert_true((uint64_t)facts.st_size <= rig->grant_size);
    }
}

static void test_letter_larger_than_any_segment_is_refused(void **state)
{
    struct rig *rig = *state;
    rig->grant_size = 1 << 20;
    rig_start_writer(rig, 0, 0);
    struct rig_letter *large = rig_submit(rig, 1, 2 << 20);
    rig_settle(rig);
    assert_int_equal(large->result, SPOOL_NO_SPACE);
    rig_store_letter(rig, 1, 100);
}

static void test_letters_wait_for_a_segment(void **state)
{
    struct rig *rig = *state;
    rig->give_nothing = true;
    rig_start_writer(rig, 1, 2);
    assert_int_equal(rig->wanted_shared, 2);
    assert_int_equal(rig->wanted_private, 2);
    struct rig_letter *letter = rig_submit(rig, 1, 100);
    loop_turn(rig->loop, 0);
    assert_false(letter->done);
    assert_true(spool_writer_busy(rig->writer));
    rig->give_nothing = false;
    spool_writer_repeat(rig->writer);
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_OK);
    assert_false(spool_writer_busy(rig->writer));
}

static void test_want_is_not_repeated_without_a_change(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 1);
    unsigned calls = rig->want_calls;
    for (unsigned i = 0; i < 5; i++)
        rig_store_letter(rig, 1, 100);
    assert_int_equal(rig->want_calls, calls);
}

static void test_seal_hands_back_open_segment_and_spares(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 1);
    rig_store_letter(rig, 1, 100);
    spool_writer_seal(rig->writer);
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->sealed_count, 3);
    assert_int_equal(rig->sealed[0].end, rig->durable[0].end);
    assert_int_equal(rig->sealed[1].end, SPOOL_BLOCK);
}

/* An owner that lets go of the segment as soon as it hears of its letter. */
static void seal_when_done(void *arg, enum spool_result result, uint64_t id)
{
    struct rig_letter *letter = arg;
    (void)id;
    assert_int_equal(result, SPOOL_OK);
    letter->rig->done_count++;
    spool_writer_seal(letter->rig->writer);
}

static void rotate_when_done(void *arg, enum spool_result result, uint64_t id)
{
    struct rig_letter *letter = arg;
    (void)id;
    assert_int_equal(result, SPOOL_OK);
    letter->rig->done_count++;
    spool_writer_rotate(letter->rig->writer);
}

static void test_segment_may_be_let_go_of_when_a_letter_is_done(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    rig_make_letter(rig, 1, 100)->letter.done = rotate_when_done;
    spool_writer_submit(rig->writer, &rig->letters[0]->letter);
    rig_settle(rig);
    assert_int_equal(rig->sealed_count, 1);
    assert_true(rig->sealed[0].end > SPOOL_BLOCK);
    rig_make_letter(rig, 1, 100)->letter.done = seal_when_done;
    spool_writer_submit(rig->writer, &rig->letters[1]->letter);
    rig_settle(rig);
    assert_int_equal(rig->sealed_count, 2);
    assert_true(rig->sealed[1].number != rig->sealed[0].number);
    assert_int_equal(rig->durable_count, 0); /* "sealed" has said it */
}

static void test_repeat_tells_a_new_qmgr_what_is_durable(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    rig_store_letter(rig, 1, 100);
    spool_writer_repeat(rig->writer);
    assert_int_equal(rig->durable_count, 2);
    assert_int_equal(rig->durable[1].number, rig->durable[0].number);
    assert_int_equal(rig->durable[1].end, rig->durable[0].end);
}

/* ---- trace ---- */

static struct span trace_of_id(void *arg, uint64_t id)
{
    struct rig_letter *letter = arg;
    char text[SPOOL_ID_MAX];
    return arena_printf(&letter->rig->arena, "id %.*s\r\n", SPAN_ARG(spool_id_text(id, text)));
}

static void test_trace_knows_the_id_and_goes_before_the_body(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    struct rig_letter *letter = rig_make_letter(rig, 1, 100);
    letter->letter.trace = trace_of_id;
    spool_writer_submit(rig->writer, &letter->letter);
    rig_settle(rig);

    uint64_t id = letter->letter.id;
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    struct record record;
    assert_int_equal(spool_segment_read(segment, spool_id_offset(id), &rig->arena, &record),
                     RECORD_OK);
    const struct spool_block *block = spool_segment_block(segment);
    const struct segment_view view = {spool_segment_open_reader(segment), block->number,
                                      block->salt};
    char body[256];
    struct span trace = trace_of_id(letter, id);
    assert_int_equal(record_check_body(&view, &record), RECORD_OK);
    ssize_t size = record_read_body(&view, &record, 0, body, sizeof body);
    assert_int_equal(size, trace.len + 100);
    assert_memory_equal(body, trace.data, trace.len);
    assert_memory_equal(body + trace.len, letter->body, 100);
    close(view.fd);
}

/* ---- faults ---- */

static void test_short_writes_give_identical_octets(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    fault.write_at_most = 7;
    rig_store_letter(rig, 2, 3000);
    assert_true(rig_letter_is_intact(rig, rig->letters[0]));
}

static void test_write_errors_become_results(void **state)
{
    static const struct {
        int error;
        enum spool_result result;
    } cases[] = {{ENOSPC, SPOOL_NO_SPACE},
                 {EDQUOT, SPOOL_NO_SPACE},
                 {EFBIG, SPOOL_NO_SPACE},
                 {EIO, SPOOL_IO},
                 {EROFS, SPOOL_IO}};
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        fault.write_error = cases[i].error;
        struct rig_letter *letter = rig_submit(rig, 1, 100);
        loop_turn(rig->loop, 0);
        fault.write_error = 0;
        rig_settle(rig);
        assert_int_equal(letter->result, cases[i].result);
        assert_int_equal(rig->sealed_count, i + 1);
    }
    rig_store_letter(rig, 1, 100);
}

static void test_failed_sync_seals_at_the_last_durable_end(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    uint64_t good = rig_store_letter(rig, 1, 100);
    fault.sync_error = EIO;
    struct rig_letter *failed = rig_submit(rig, 1, 100);
    rig_settle(rig);
    uint64_t later = rig_store_letter(rig, 1, 100);
    assert_int_equal(failed->result, SPOOL_IO);
    assert_int_equal(rig->sealed_count, 1);
    assert_int_equal(rig->sealed[0].number, spool_id_number(good));
    assert_int_equal(rig->sealed[0].end, rig->durable[0].end);
    assert_int_not_equal(spool_id_number(later), spool_id_number(good));
}

static void test_recovery_never_reports_a_batch_whose_sync_failed(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    uint64_t good = rig_store_letter(rig, 1, 100);
    fault.sync_error = EIO;
    struct rig_letter *failed = rig_submit(rig, 1, 100);
    rig_settle(rig);
    uint64_t later = rig_store_letter(rig, 1, 100);

    rig_scan_durable(rig);
    spool_segment_seal(spool_segment_find(rig->store, rig->sealed[0].number));
    assert_true(spool_store_sync(rig->store));
    rig_stop_writer(rig);
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, good), 1);
    assert_int_equal(rig_times_found(rig, failed->letter.id), 0);
    assert_int_equal(rig_times_found(rig, later), 1);
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

/* qmgr crashed as well, before it wrote down where the segment ends. */
static void test_recovery_without_the_writers_word_does_not_see_a_failed_batch(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    uint64_t good = rig_store_letter(rig, 1, 100);
    fault.sync_error = EIO;
    struct rig_letter *failed[3];
    for (unsigned i = 0; i < 3; i++)
        failed[i] = rig_submit(rig, 1, 100);
    rig_settle(rig);
    rig_stop_writer(rig);
    rig_restart_store(rig);
    assert_int_equal(rig_times_found(rig, good), 1);
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(failed[i]->result, SPOOL_IO);
        assert_int_equal(rig_times_found(rig, failed[i]->letter.id), 0);
    }
    assert_int_equal(rig_count_files(rig, "corrupt", ""), 0);
}

static void test_failed_batch_that_can_not_be_taken_back_is_refused_all_the_same(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    loop_turn(rig->loop, 0);
    rig->give_nothing = true;
    fault.sync_error = EIO;
    fault.stream_error = EIO; /* of the overwriting */
    struct rig_letter *failed = rig_submit(rig, 1, 100);
    rig_settle(rig);
    fault.stream_error = 0;
    assert_int_equal(failed->result, SPOOL_IO);
    assert_int_equal(rig->sealed[0].end, SPOOL_BLOCK);
}

/* ---- rotation ---- */

static void test_rotation_seals_what_holds_letters_and_goes_on_in_the_spare(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    uint64_t before = rig_store_letter(rig, 1, 100);
    spool_writer_rotate(rig->writer);
    assert_int_equal(rig->sealed_count, 1);
    assert_int_equal(rig->sealed[0].number, spool_id_number(before));
    assert_int_equal(rig->sealed[0].end, rig->durable[0].end);
    uint64_t after = rig_store_letter(rig, 1, 100);
    assert_int_not_equal(spool_id_number(after), spool_id_number(before));
}

static void test_rotation_waits_for_the_batch_under_way(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    struct rig_letter *letter = rig_submit(rig, 1, 100);
    while (fault.batches == 0)
        loop_turn(rig->loop, 0);
    spool_writer_rotate(rig->writer);
    assert_int_equal(rig->sealed_count, letter->done ? 1 : 0);
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_OK);
    assert_int_equal(rig->sealed_count, 1);
    assert_int_equal(rig->sealed[0].end, rig->durable[0].end);
    rig_scan_durable(rig);
    assert_int_equal(rig_times_found(rig, letter->letter.id), 1);
}

static void test_rotation_keeps_a_segment_without_letters(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 1, 0);
    spool_writer_rotate(rig->writer);
    loop_turn(rig->loop, 0);
    assert_int_equal(rig->sealed_count, 0);
}

/* ---- streams ---- */

static struct spool_stream *stream_of(struct rig *rig, struct rig_letter *letter)
{
    struct span body = letter->letter.body;
    struct spool_stream *stream = spool_stream_open(rig->writer, &letter->letter);
    assert_non_null(stream);
    for (size_t at = 0; at < body.len; at += 65536) {
        size_t size = body.len - at < 65536 ? body.len - at : 65536;
        if (spool_stream_write(stream, span_of(body.data + at, size)) != SPOOL_OK)
            break;
    }
    return stream;
}

static void test_stream_commits_a_letter_of_any_size(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *letter = rig_make_letter(rig, 2, 3000001);
    spool_stream_commit(stream_of(rig, letter));
    assert_true(spool_writer_busy(rig->writer));
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_OK);
    assert_int_equal(rig->durable_count, 1);
    assert_int_equal(rig->sealed_count, 1);
    assert_int_equal(rig->sealed[0].end, rig->durable[0].end);
    assert_true(rig_letter_is_intact(rig, letter));
    rig_scan_durable(rig);
    assert_int_equal(rig_times_found(rig, letter->letter.id), 2);
}

static void test_stream_needs_a_private_segment(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    struct rig_letter *letter = rig_make_letter(rig, 1, 10);
    assert_null(spool_stream_open(rig->writer, &letter->letter));
    spool_writer_submit(rig->writer, &letter->letter);
    rig_settle(rig);
}

static void test_aborted_stream_leaves_nothing_and_its_segment_is_used_again(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *first = rig_make_letter(rig, 1, 200000);
    spool_stream_abort(stream_of(rig, first));
    rig->letter_count--;
    struct rig_letter *second = rig_make_letter(rig, 1, 1000);
    struct spool_stream *stream = stream_of(rig, second);
    assert_int_equal(spool_id_number(second->letter.id), spool_id_number(first->letter.id));
    spool_stream_commit(stream);
    rig_settle(rig);
    assert_true(rig_letter_is_intact(rig, second));
    assert_int_equal(rig->sealed_count, 1);
    buf_free(&first->envelope);
    mem_free(first->body);
    mem_free(first);
}

static void test_stream_beyond_its_grant_fails_without_space(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *letter = rig_make_letter(rig, 1, 100);
    struct spool_stream *stream = stream_of(rig, letter);
    size_t most = SIZE_MAX / 2;
    assert_int_equal(spool_stream_write(stream, span_of(letter->body, most)), SPOOL_NO_SPACE);
    spool_stream_commit(stream);
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_NO_SPACE);
    assert_int_equal(rig->sealed[0].end, SPOOL_BLOCK);
}

static void test_stream_whose_sync_fails_is_not_accepted(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *letter = rig_make_letter(rig, 1, 100000);
    struct spool_stream *stream = stream_of(rig, letter);
    fault.sync_error = EIO;
    spool_stream_commit(stream);
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_IO);
    assert_int_equal(rig->durable_count, 0);
    assert_int_equal(rig->sealed[0].end, SPOOL_BLOCK);
    rig_stop_writer(rig);
    rig_restart_store(rig); /* without the word that it was sealed */
    assert_int_equal(rig_times_found(rig, letter->letter.id), 0);
}

static void test_stream_that_can_not_be_written_is_never_used_again(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    struct rig_letter *letter = rig_make_letter(rig, 1, 100);
    fault.stream_error = ENOSPC;
    struct spool_stream *stream = stream_of(rig, letter);
    fault.stream_error = 0;
    assert_int_equal(spool_stream_write(stream, SPAN("x")), SPOOL_NO_SPACE);
    spool_stream_abort(stream);
    assert_int_equal(rig->sealed_count, 1);
    spool_writer_submit(rig->writer, &letter->letter);
    rig_settle(rig);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_letter_reads_back_after_done),
        TEST(test_letters_of_one_turn_share_one_write_and_one_sync),
        TEST(test_more_letters_than_pieces_go_in_further_batches),
        TEST(test_first_of_many_waits_for_the_rest),
        TEST(test_who_comes_alone_after_many_is_written_all_the_same),
        TEST(test_batch_is_written_only_after_the_sync_before),
        TEST(test_records_begin_on_64_and_batches_on_4096),
        TEST(test_durable_is_cumulative_and_ends_behind_the_last_record),
        TEST(test_octets_of_a_former_life_do_not_stay_within_a_batch),
        TEST(test_full_segment_is_sealed_and_the_spare_goes_on),
        TEST(test_segment_never_grows_past_its_size),
        TEST(test_letter_larger_than_any_segment_is_refused),
        TEST(test_letters_wait_for_a_segment),
        TEST(test_want_is_not_repeated_without_a_change),
        TEST(test_seal_hands_back_open_segment_and_spares),
        TEST(test_segment_may_be_let_go_of_when_a_letter_is_done),
        TEST(test_repeat_tells_a_new_qmgr_what_is_durable),
        TEST(test_trace_knows_the_id_and_goes_before_the_body),
        TEST(test_short_writes_give_identical_octets),
        TEST(test_write_errors_become_results),
        TEST(test_failed_sync_seals_at_the_last_durable_end),
        TEST(test_recovery_never_reports_a_batch_whose_sync_failed),
        TEST(test_recovery_without_the_writers_word_does_not_see_a_failed_batch),
        TEST(test_failed_batch_that_can_not_be_taken_back_is_refused_all_the_same),
        TEST(test_rotation_seals_what_holds_letters_and_goes_on_in_the_spare),
        TEST(test_rotation_waits_for_the_batch_under_way),
        TEST(test_rotation_keeps_a_segment_without_letters),
        TEST(test_stream_commits_a_letter_of_any_size),
        TEST(test_stream_needs_a_private_segment),
        TEST(test_aborted_stream_leaves_nothing_and_its_segment_is_used_again),
        TEST(test_stream_beyond_its_grant_fails_without_space),
        TEST(test_stream_whose_sync_fails_is_not_accepted),
        TEST(test_stream_that_can_not_be_written_is_never_used_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
