/*
 * Each body is made from the letter's index, so that a letter that was mixed with another, or with
 * itself from an earlier run, does not read back.
 */
#include "spool_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/buf.h"

/* ---- the writer's calls ---- */

static void give(struct rig *rig, enum spool_kind kind)
{
    struct spool_segment *segment = spool_segment_new(rig->store, kind);
    assert_non_null(segment);
    const struct spool_block *block = spool_segment_block(segment);
    uint64_t size = kind == SPOOL_SHARED ? SPOOL_SEGMENT_MAX : UINT64_C(1) << 30;
    struct spool_grant grant = {
        .fd = spool_segment_open_writer(segment),
        .number = block->number,
        .salt = block->salt,
        .kind = kind,
        .size = rig->grant_size != 0 && kind == SPOOL_SHARED ? rig->grant_size : size,
    };
    assert_true(grant.fd >= 0);
    spool_writer_give(rig->writer, &grant);
}

static void on_want(void *arg, unsigned shared, unsigned private)
{
    struct rig *rig = arg;
    rig->want_calls++;
    rig->wanted_shared = shared;
    rig->wanted_private = private;
    for (unsigned i = 0; !rig->give_nothing && i < shared; i++)
        give(rig, SPOOL_SHARED);
    for (unsigned i = 0; !rig->give_nothing && i < private; i++)
        give(rig, SPOOL_PRIVATE);
}

static void on_durable(void *arg, uint64_t number, uint64_t end)
{
    struct rig *rig = arg;
    size_t i = rig->durable_count++ % RIG_LETTERS;
    rig->durable[i].number = number;
    rig->durable[i].end = end;
}

static void on_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct rig *rig = arg;
    size_t i = rig->sealed_count++ % RIG_LETTERS;
    rig->sealed[i].number = number;
    rig->sealed[i].end = end;
}

void rig_start_writer(struct rig *rig, unsigned spares, unsigned privates)
{
    const struct spool_writer_calls calls = {on_want, on_durable, on_sealed, rig};
    rig->writer = spool_writer_new_io(rig->loop, rig->io, &calls, spares, privates);
    loop_turn(rig->loop, 0);
}

void rig_stop_writer(struct rig *rig)
{
    if (rig->writer != NULL)
        spool_writer_free(rig->writer);
    rig->writer = NULL;
}

/* ---- the store ---- */

static void open_store(struct rig *rig)
{
    struct span problem;
    rig->store = spool_store_open_io(rig->directory, rig->io, &rig->arena, &problem);
    assert_non_null(rig->store);
}

struct rig *rig_new(const struct spool_io *io)
{
    struct rig *rig = mem_new(sizeof *rig);
    rig->io = io != NULL ? io : &spool_io_system;
    (void)snprintf(rig->directory, RIG_PATH, "/tmp/test_spool.XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    rig->loop = loop_new();
    open_store(rig);
    rig_recover(rig, NULL, 0);
    return rig;
}

static void remove_tree(const char *directory)
{
    char command[RIG_PATH + 16];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

void rig_free(struct rig *rig)
{
    rig_stop_writer(rig);
    if (rig->store != NULL)
        spool_store_close(rig->store);
    loop_free(rig->loop);
    for (unsigned i = 0; i < rig->letter_count; i++) {
        buf_free(&rig->letters[i]->envelope);
        mem_free(rig->letters[i]->body);
        mem_free(rig->letters[i]);
    }
    remove_tree(rig->directory);
    arena_free(&rig->arena);
    mem_free(rig);
}

void rig_recover(struct rig *rig, const struct spool_held *held, size_t count)
{
    rig_forget_found(rig);
    assert_true(spool_store_recover(rig->store, held, count, rig_visit, rig));
}

void rig_restart_store(struct rig *rig)
{
    spool_store_close(rig->store);
    open_store(rig);
    rig_recover(rig, NULL, 0);
}

/* ---- letters ---- */

static void on_done(void *arg, enum spool_result result, uint64_t id)
{
    struct rig_letter *letter = arg;
    assert_false(letter->done);
    if (result == SPOOL_OK)
        assert_int_equal(letter->letter.id, id);
    letter->done = true;
    letter->result = result;
    letter->rig->done_count++;
}

static void make_body(struct rig_letter *letter, size_t size)
{
    letter->body = mem_new(size + 1);
    unsigned state = letter->index * 2654435761u + 1;
    for (size_t i = 0; i < size; i++) {
        state = state * 1664525u + 1013904223u;
        letter->body[i] = (char)(state >> 24);
    }
}

static void make_envelope(struct rig_letter *letter, unsigned recipients)
{
    struct arena arena = {0};
    struct envelope_recipient *list = arena_zalloc(&arena, recipients * sizeof *list);
    for (unsigned i = 0; i < recipients; i++)
        list[i].address = arena_printf(&arena, "r%u.%u@example.test", letter->index, i);
    struct envelope envelope = {
        .sender = arena_printf(&arena, "s%u@example.test", letter->index),
        .recipients = list,
        .recipient_count = recipients,
    };
    assert_true(envelope_encode(&envelope, &letter->envelope));
    arena_free(&arena);
}

struct rig_letter *rig_make_letter(struct rig *rig, unsigned recipients, size_t size)
{
    struct rig_letter *letter = mem_new(sizeof *letter);
    assert_true(rig->letter_count < RIG_LETTERS);
    letter->index = rig->letter_count;
    letter->rig = rig;
    rig->letters[rig->letter_count++] = letter;
    make_envelope(letter, recipients);
    make_body(letter, size);
    letter->letter = (struct letter){
        .envelope = buf_span(&letter->envelope),
        .body = span_of(letter->body, size),
        .arrival_us = 1000 + letter->index,
        .recipients = recipients,
        .done = on_done,
        .arg = letter,
    };
    return letter;
}

struct rig_letter *rig_submit(struct rig *rig, unsigned recipients, size_t size)
{
    struct rig_letter *letter = rig_make_letter(rig, recipients, size);
    spool_writer_submit(rig->writer, &letter->letter);
    return letter;
}

void rig_settle(struct rig *rig)
{
    for (unsigned turn = 0; rig->done_count < rig->letter_count && turn < 10000; turn++)
        loop_turn(rig->loop, 1000);
    assert_int_equal(rig->done_count, rig->letter_count);
    loop_turn(rig->loop, 0);
}

uint64_t rig_store_letter(struct rig *rig, unsigned recipients, size_t size)
{
    struct rig_letter *letter = rig_submit(rig, recipients, size);
    rig_settle(rig);
    assert_int_equal(letter->result, SPOOL_OK);
    return letter->letter.id;
}

bool rig_letter_is_intact(struct rig *rig, const struct rig_letter *letter)
{
    struct arena arena = {0};
    struct record record;
    uint64_t id = letter->letter.id;
    size_t size = letter->letter.body.len;
    struct spool_segment *segment = spool_segment_find(rig->store, spool_id_number(id));
    bool good = segment != NULL &&
                spool_segment_read(segment, spool_id_offset(id), &arena, &record) == RECORD_OK;
    int fd = good ? spool_segment_open_reader(segment) : -1;
    if (good) {
        const struct spool_block *block = spool_segment_block(segment);
        const struct segment_view view = {fd, block->number, block->salt};
        char *body = mem_new(size + 1);
        good = record.header.body_len == size &&
               record.header.recipients == letter->letter.recipients &&
               record_check_body(&view, &record) == RECORD_OK &&
               record_read_body(&view, &record, 0, body, size) == (ssize_t)size &&
               memcmp(body, letter->body, size) == 0;
        mem_free(body);
        close(fd);
    }
    arena_free(&arena);
    return good;
}

/* ---- what was found ---- */

void rig_visit(void *arg, const struct spool_found *found)
{
    struct rig *rig = arg;
    assert_true(rig->found_count < RIG_LETTERS);
    uint64_t number = spool_segment_block(found->segment)->number;
    rig->found[rig->found_count++] = (struct rig_found){
        .id = spool_id(number, (uint64_t)found->entry.place * SPOOL_ALIGN),
        .number = number,
        .slot = found->slot,
        .entry = found->entry,
        .with_record = found->record != NULL,
    };
}

void rig_forget_found(struct rig *rig)
{
    rig->found_count = 0;
}

unsigned rig_times_found(const struct rig *rig, uint64_t id)
{
    unsigned times = 0;
    for (size_t i = 0; i < rig->found_count; i++)
        times += rig->found[i].id == id ? 1 : 0;
    return times;
}

void rig_scan_durable(struct rig *rig)
{
    for (size_t i = 0; i < rig->durable_count; i++) {
        struct spool_segment *segment = spool_segment_find(rig->store, rig->durable[i].number);
        if (segment != NULL)
            assert_int_equal(spool_segment_scan(segment, rig->durable[i].end, rig_visit, rig),
                             SPOOL_SCAN_OK);
    }
    rig->durable_count = 0;
}

void rig_set_state(struct rig *rig, uint64_t id, enum letter_state state)
{
    for (size_t i = 0; i < rig->found_count; i++) {
        struct rig_found *found = &rig->found[i];
        if (found->id != id)
            continue;
        struct spool_segment *segment = spool_segment_find(rig->store, found->number);
        assert_non_null(segment);
        found->entry.state = (uint8_t)state;
        spool_segment_set(segment, found->slot, &found->entry);
    }
}

/* ---- files ---- */

const char *rig_path(const struct rig *rig, uint64_t number, const char *suffix)
{
    static char path[RIG_PATH * 2];
    char text[SPOOL_ID_MAX];
    struct span digits = spool_id_text(number, text);
    (void)snprintf(path, sizeof path, "%s/queue/%.*s%s", rig->directory, SPAN_ARG(digits), suffix);
    return path;
}

bool rig_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

size_t rig_count_files(const struct rig *rig, const char *folder, const char *suffix)
{
    char path[RIG_PATH * 2];
    (void)snprintf(path, sizeof path, "%s/%s", rig->directory, folder);
    DIR *stream = opendir(path);
    assert_non_null(stream);
    size_t count = 0;
    const struct dirent *item;
    while ((item = readdir(stream)) != NULL)
        if (item->d_name[0] != '.' && span_has_suffix(span_cstr(item->d_name), span_cstr(suffix)))
            count++;
    closedir(stream);
    return count;
}

void rig_write_at(const char *path, uint64_t offset, const void *octets, size_t size)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, octets, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

void rig_flip(const char *path, uint64_t offset)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t octet;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &octet, 1, (off_t)offset), 1);
    octet ^= 0x10;
    assert_int_equal(pwrite(fd, &octet, 1, (off_t)offset), 1);
    close(fd);
}
