/*
 * Reading one letter by its place: what is refused, and how.
 */
#include "spool_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

struct view_rig {
    struct rig *rig;
    struct segment_view view;
    struct arena arena;
    char path[RIG_PATH * 2];
    uint64_t offset;
};

static struct view_rig world;

static int setup(void **state)
{
    struct rig *rig = rig_new(NULL);
    rig_start_writer(rig, 0, 0);
    uint64_t id = rig_store_letter(rig, 60, 100000);
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    const struct spool_block *block = spool_segment_block(segment);
    world = (struct view_rig){.rig = rig, .offset = spool_id_offset(id)};
    world.view =
        (struct segment_view){spool_segment_open_reader(segment), block->number, block->salt};
    (void)snprintf(world.path, sizeof world.path, "%s", rig_path(rig, block->number, ".seg"));
    *state = &world;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    close(world.view.fd);
    arena_free(&world.arena);
    rig_free(world.rig);
    return 0;
}

static enum record_result read_sample(struct record *record)
{
    return record_read(&world.view, world.offset, &world.arena, record);
}

static void test_envelope_larger_than_the_first_read_is_whole(void **state)
{
    (void)state;
    struct record record;
    assert_int_equal(read_sample(&record), RECORD_OK);
    assert_true(record.header.envelope_len > 1024);
    assert_int_equal(record.envelope.recipient_count, 60);
    assert_true(span_equal(record.envelope.recipients[59].address, SPAN("r0.59@example.test")));
    assert_int_equal(record_check_body(&world.view, &record), RECORD_OK);
}

static void test_place_without_a_record_is_none(void **state)
{
    (void)state;
    struct record record;
    static const uint64_t places[] = {0, 4096 + 64, 1 << 20, 60 << 20};
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(record_read(&world.view, places[i], &world.arena, &record), RECORD_NONE);
}

static void test_record_of_another_segment_is_none(void **state)
{
    (void)state;
    struct record record;
    struct segment_view other = world.view;
    other.salt.octets[15] ^= 1;
    assert_int_equal(record_read(&other, world.offset, &world.arena, &record), RECORD_NONE);
    other = world.view;
    other.number++;
    assert_int_equal(record_read(&other, world.offset, &world.arena, &record), RECORD_NONE);
}

static void test_damaged_header_or_envelope_is_bad(void **state)
{
    (void)state;
    struct record record;
    static const uint64_t places[] = {0, 4, 48, 64, 68, 72, 120, 124, 128, 1100};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        rig_flip(world.path, world.offset + places[i]);
        assert_int_equal(read_sample(&record), RECORD_BAD);
        rig_flip(world.path, world.offset + places[i]);
    }
    assert_int_equal(read_sample(&record), RECORD_OK);
}

static void test_copy_of_a_record_elsewhere_is_bad(void **state)
{
    (void)state;
    struct record record;
    char octets[8192];
    assert_int_equal(pread(world.view.fd, octets, sizeof octets, (off_t)world.offset),
                     sizeof octets);
    rig_write_at(world.path, 512 * 1024, octets, sizeof octets);
    assert_int_equal(record_read(&world.view, 512 * 1024, &world.arena, &record), RECORD_BAD);
}

static void test_damaged_body_is_bad(void **state)
{
    (void)state;
    struct record record;
    assert_int_equal(read_sample(&record), RECORD_OK);
    rig_flip(world.path, record.body_offset + 99999);
    assert_int_equal(record_check_body(&world.view, &record), RECORD_BAD);
}

static void test_short_segment_is_bad_and_its_body_an_error(void **state)
{
    (void)state;
    struct record record;
    char octets[64];
    assert_int_equal(read_sample(&record), RECORD_OK);
    assert_int_equal(truncate(world.path, (off_t)record.body_offset + 50000), 0);
    assert_int_equal(record_check_body(&world.view, &record), RECORD_BAD);
    assert_int_equal(record_read_body(&world.view, &record, 0, octets, sizeof octets), 64);
    errno = 0;
    assert_int_equal(record_read_body(&world.view, &record, 49990, octets, sizeof octets), -1);
    assert_int_equal(errno, EIO);
    assert_int_equal(truncate(world.path, (off_t)world.offset + 500), 0);
    assert_int_equal(read_sample(&record), RECORD_BAD);
}

static void test_body_is_read_in_pieces_and_not_beyond_its_end(void **state)
{
    (void)state;
    struct record record;
    char octets[1000];
    const char *body = world.rig->letters[0]->body;
    assert_int_equal(read_sample(&record), RECORD_OK);
    assert_int_equal(record_read_body(&world.view, &record, 500, octets, sizeof octets), 1000);
    assert_memory_equal(octets, body + 500, 1000);
    assert_int_equal(record_read_body(&world.view, &record, 99990, octets, sizeof octets), 10);
    assert_memory_equal(octets, body + 99990, 10);
    assert_int_equal(record_read_body(&world.view, &record, 100000, octets, sizeof octets), 0);
    assert_int_equal(record_read_body(&world.view, &record, UINT64_MAX, octets, 1), 0);
}

static void test_unreadable_descriptor_is_an_error(void **state)
{
    (void)state;
    struct record record;
    struct segment_view closed = world.view;
    closed.fd = -1;
    assert_int_equal(record_read(&closed, world.offset, &world.arena, &record), RECORD_IO);
    assert_int_equal(errno, EBADF);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_envelope_larger_than_the_first_read_is_whole),
        TEST(test_place_without_a_record_is_none),
        TEST(test_record_of_another_segment_is_none),
        TEST(test_damaged_header_or_envelope_is_bad),
        TEST(test_copy_of_a_record_elsewhere_is_bad),
        TEST(test_damaged_body_is_bad),
        TEST(test_short_segment_is_bad_and_its_body_an_error),
        TEST(test_body_is_read_in_pieces_and_not_beyond_its_end),
        TEST(test_unreadable_descriptor_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
