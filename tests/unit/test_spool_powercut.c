/*
 * The power is cut after every step of a run that stores letters, settles them, gives segments back
 * and uses them again.
 *
 * A recorder stands between the spool and the kernel: it lets every call happen and notes it. From
 * the notes the disk is then made as it may be found after the cut: what was synced is there; each
 * later write to a file is there, missing, or there in some of its sectors; each name in a
 * directory is as at its last sync or as after any change since, independently of the others.
 * Recovery must find on every such disk each letter that was accepted before the cut and is not
 * settled, whole and once, and none in part.
 */
#include "spool_rig.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEPS = 8192, FILES = 256, SECTOR = 512, NAME = 32, SEEDS = 3 };

enum step_kind { STEP_WRITE, STEP_SYNC, STEP_NAME, STEP_UNNAME, STEP_SYNC_NAMES, STEP_PUNCH };

struct step {
    enum step_kind kind;
    unsigned file;
    char name[NAME];
    uint8_t *octets;
    size_t size;
    uint64_t offset;
};

/* What the owner of the spool had been told, or had synced, before a step. */
struct promise {
    size_t step;
    uint64_t id;
    unsigned letter;
    bool settled; /* else: accepted */
};

static struct {
    pthread_mutex_t lock;
    bool on;
    dev_t device;
    struct {
        ino_t inode;
        bool used;
    } files[FILES];
    unsigned file_count;
    struct step steps[STEPS];
    size_t count;
    struct promise promises[RIG_LETTERS];
    size_t promise_count;
} recorder = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* ---- the recorder ---- */

/* Numbers of files are never used again, inodes are: a file that lost its name is not looked up. */
static unsigned file_of(int fd)
{
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    for (unsigned i = 0; i < recorder.file_count; i++)
        if (recorder.files[i].used && recorder.files[i].inode == facts.st_ino)
            return i;
    assert_true(recorder.file_count < FILES);
    recorder.files[recorder.file_count].used = true;
    recorder.files[recorder.file_count].inode = facts.st_ino;
    return recorder.file_count++;
}

static struct step *add_step(enum step_kind kind, unsigned file)
{
    assert_true(recorder.count < STEPS);
    struct step *step = &recorder.steps[recorder.count++];
    *step = (struct step){.kind = kind, .file = file};
    return step;
}

static void note_write(int fd, const void *octets, size_t size, uint64_t offset)
{
    pthread_mutex_lock(&recorder.lock);
    struct step *step = add_step(STEP_WRITE, file_of(fd));
    step->octets = malloc(size);
    memcpy(step->octets, octets, size);
    step->size = size;
    step->offset = offset;
    pthread_mutex_unlock(&recorder.lock);
}

static void note_name(enum step_kind kind, unsigned file, const char *name)
{
    struct step *step = add_step(kind, file);
    assert_true(span_to_cstr(span_cstr(name), step->name, sizeof step->name));
}

static ssize_t record_pwrite(int fd, const void *octets, size_t size, off_t offset)
{
    ssize_t count = pwrite(fd, octets, size, offset);
    if (count > 0)
        note_write(fd, octets, (size_t)count, (uint64_t)offset);
    return count;
}

static ssize_t record_pwritev(int fd, const struct iovec *pieces, int count, off_t offset)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += pieces[i].iov_len;
    char *octets = malloc(size);
    size_t at = 0;
    for (int i = 0; i < count; at += pieces[i].iov_len, i++)
        memcpy(octets + at, pieces[i].iov_base, pieces[i].iov_len);
    ssize_t written = record_pwrite(fd, octets, size, offset);
    free(octets);
    return written;
}

/* The disk itself need not be waited for: what counts is the order. */
static int record_sync(int fd)
{
    struct stat facts;
    assert_int_equal(fstat(fd, &facts), 0);
    pthread_mutex_lock(&recorder.lock);
    bool names = S_ISDIR(facts.st_mode);
    (void)add_step(names ? STEP_SYNC_NAMES : STEP_SYNC, names ? 0 : file_of(fd));
    pthread_mutex_unlock(&recorder.lock);
    return 0;
}

static int record_openat(int directory, const char *path, int flags, mode_t mode)
{
    struct stat facts;
    bool before = fstatat(directory, path, &facts, AT_SYMLINK_NOFOLLOW) == 0;
    int fd = openat(directory, path, flags, mode);
    if (fd >= 0 && !before) {
        pthread_mutex_lock(&recorder.lock);
        note_name(STEP_NAME, file_of(fd), path);
        pthread_mutex_unlock(&recorder.lock);
    }
    return fd;
}

static unsigned file_named(int directory, const char *path)
{
    int fd = openat(directory, path, O_RDONLY);
    assert_true(fd >= 0);
    unsigned file = file_of(fd);
    close(fd);
    return file;
}

static int record_renameat(int from, const char *old_path, int to, const char *new_path)
{
    struct stat facts;
    pthread_mutex_lock(&recorder.lock);
    unsigned file = file_named(from, old_path);
    if (fstatat(to, new_path, &facts, 0) == 0)
        recorder.files[file_named(to, new_path)].used = false;
    note_name(STEP_NAME, file, new_path);
    note_name(STEP_UNNAME, file, old_path);
    pthread_mutex_unlock(&recorder.lock);
    return renameat(from, old_path, to, new_path);
}

static int record_unlinkat(int directory, const char *path, int flags)
{
    struct stat facts;
    pthread_mutex_lock(&recorder.lock);
    if (fstatat(directory, path, &facts, 0) == 0) {
        unsigned file = file_named(directory, path);
        note_name(STEP_UNNAME, file, path);
        recorder.files[file].used = false;
    }
    pthread_mutex_unlock(&recorder.lock);
    return unlinkat(directory, path, flags);
}

static int record_punch(int fd, off_t offset, off_t length)
{
    pthread_mutex_lock(&recorder.lock);
    struct step *step = add_step(STEP_PUNCH, file_of(fd));
    step->offset = (uint64_t)offset;
    step->size = (size_t)length;
    pthread_mutex_unlock(&recorder.lock);
    return spool_io_system.punch(fd, offset, length);
}

static const struct spool_io recording = {
    .openat = record_openat,
    .mkdirat = mkdirat,
    .pwrite = record_pwrite,
    .pwritev = record_pwritev,
    .fdatasync = record_sync,
    .fsync = record_sync,
    .renameat = record_renameat,
    .unlinkat = record_unlinkat,
    .punch = record_punch,
};

static void promise(uint64_t id, unsigned letter, bool settled)
{
    pthread_mutex_lock(&recorder.lock);
    assert_true(recorder.promise_count < RIG_LETTERS);
    recorder.promises[recorder.promise_count++] =
        (struct promise){recorder.count, id, letter, settled};
    pthread_mutex_unlock(&recorder.lock);
}

static void forget_recording(void)
{
    for (size_t i = 0; i < recorder.count; i++)
        free(recorder.steps[i].octets);
    recorder.count = recorder.promise_count = 0;
    recorder.file_count = 0;
}

/* ---- the disk after the cut ---- */

static unsigned long long chance_state;

static unsigned chance(unsigned bound)
{
    chance_state = chance_state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(chance_state >> 33) % bound;
}

/* How unsynced changes fare: by turns none of them, all of them, or any of them. */
enum fate { FATE_LOST, FATE_ANY, FATE_KEPT };

static bool survives(enum fate fate)
{
    return fate == FATE_KEPT || (fate == FATE_ANY && chance(2) == 0);
}

static size_t last_sync(size_t cut, enum step_kind kind, unsigned file)
{
    for (size_t i = cut; i-- > 0;)
        if (recorder.steps[i].kind == kind && recorder.steps[i].file == file)
            return i;
    return 0;
}

/* Those sectors of a write that survive; a sector is never torn. */
static void apply_write(int fd, const struct step *step, enum fate fate)
{
    size_t size;
    for (size_t at = 0; at < step->size; at += size) {
        size = SECTOR - (step->offset + at) % SECTOR;
        size = size < step->size - at ? size : step->size - at;
        off_t offset = (off_t)(step->offset + at);
        if (survives(fate))
            assert_int_equal(pwrite(fd, step->octets + at, size, offset), (ssize_t)size);
    }
}

static void apply_file(int fd, unsigned file, size_t cut, enum fate fate)
{
    size_t synced = last_sync(cut, STEP_SYNC, file);
    for (size_t i = 0; i < cut; i++) {
        const struct step *step = &recorder.steps[i];
        if (step->file != file)
            continue;
        bool whole = i < synced || (fate == FATE_ANY && chance(4) == 0);
        if (step->kind == STEP_WRITE)
            apply_write(fd, step, whole ? FATE_KEPT : fate);
        if (step->kind == STEP_PUNCH && (i < synced || survives(fate)))
            (void)spool_io_system.punch(fd, (off_t)step->offset, (off_t)step->size);
    }
}

/* What a name stands for after the cut: FILES for nothing. */
static unsigned file_after(const char *name, size_t cut, enum fate fate)
{
    size_t synced = last_sync(cut, STEP_SYNC_NAMES, 0);
    unsigned file = FILES;
    for (size_t i = 0; i < cut; i++) {
        const struct step *step = &recorder.steps[i];
        if ((step->kind != STEP_NAME && step->kind != STEP_UNNAME) || strcmp(step->name, name) != 0)
            continue;
        if (i > synced && !survives(fate))
            break;
        file = step->kind == STEP_NAME ? step->file : FILES;
    }
    return file;
}

static bool is_first_mention(size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (recorder.steps[i].kind == STEP_NAME &&
            strcmp(recorder.steps[i].name, recorder.steps[index].name) == 0)
            return false;
    return true;
}

static void make_disk(const struct rig *after, size_t cut, enum fate fate)
{
    for (size_t i = 0; i < cut; i++) {
        const struct step *step = &recorder.steps[i];
        if (step->kind != STEP_NAME || !is_first_mention(i))
            continue;
        unsigned file = file_after(step->name, cut, fate);
        if (file == FILES)
            continue;
        char path[RIG_PATH * 2];
        (void)snprintf(path, sizeof path, "%s/queue/%s", after->directory, step->name);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_true(fd >= 0);
        apply_file(fd, file, cut, fate);
        close(fd);
    }
}

/* ---- what must hold ---- */

static const struct promise *promise_for(uint64_t id, bool settled)
{
    for (size_t i = 0; i < recorder.promise_count; i++)
        if (recorder.promises[i].id == id && recorder.promises[i].settled == settled)
            return &recorder.promises[i];
    return NULL;
}

static const struct rig_letter *letter_of(const struct rig *before, uint64_t id)
{
    for (unsigned i = 0; i < before->letter_count; i++)
        if (before->letters[i]->letter.id == id)
            return before->letters[i];
    return NULL;
}

static void check_disk(const struct rig *before, struct rig *after, size_t cut)
{
    for (size_t i = 0; i < recorder.promise_count; i++) {
        const struct promise *accepted = &recorder.promises[i];
        if (accepted->settled || accepted->step > cut)
            continue;
        const struct promise *settled = promise_for(accepted->id, true);
        unsigned recipients = before->letters[accepted->letter]->letter.recipients;
        unsigned times = rig_times_found(after, accepted->id);
        if (settled != NULL && settled->step <= cut)
            assert_int_equal(times, 0);
        else if (settled == NULL)
            assert_int_equal(times, recipients);
        else
            assert_true(times <= recipients);
    }
    for (size_t i = 0; i < after->found_count; i++) {
        const struct rig_letter *letter = letter_of(before, after->found[i].id);
        assert_non_null(letter);
        assert_true(rig_letter_is_intact(after, letter));
    }
    assert_int_equal(rig_count_files(after, "corrupt", ""), 0);
}

static void cut_power_at(const struct rig *before, size_t cut, unsigned seed)
{
    static const enum fate fates[SEEDS] = {FATE_LOST, FATE_KEPT, FATE_ANY};
    chance_state = cut * 1000 + seed;
    struct rig *after = rig_new(NULL);
    spool_store_close(after->store);
    make_disk(after, cut, fates[seed < SEEDS ? seed : FATE_ANY]);
    struct span problem;
    after->store = spool_store_open(after->directory, &after->arena, &problem);
    assert_non_null(after->store);
    rig_recover(after, NULL, 0);
    check_disk(before, after, cut);
    /* And once more, after what recovery made of it. */
    assert_true(spool_store_sync(after->store));
    rig_restart_store(after);
    check_disk(before, after, cut);
    rig_free(after);
}

static void cut_power_everywhere(const struct rig *before, unsigned seeds)
{
    for (size_t cut = 1; cut <= recorder.count; cut++)
        for (unsigned seed = 0; seed < seeds; seed++)
            cut_power_at(before, cut, seed < SEEDS ? seed : seed + SEEDS);
}

/* ---- the runs ---- */

static int setup(void **state)
{
    forget_recording();
    *state = rig_new(&recording);
    return 0;
}

static int teardown(void **state)
{
    rig_free(*state);
    forget_recording();
    return 0;
}

static void store_some(struct rig *rig, unsigned count, size_t size)
{
    unsigned first = rig->letter_count;
    for (unsigned i = 0; i < count; i++)
        rig_submit(rig, 1 + i % 2, size + i);
    rig_settle(rig);
    for (unsigned i = first; i < rig->letter_count; i++)
        promise(rig->letters[i]->letter.id, i, false);
}

/* From now on a letter may be gone; when the sync is over it must be. */
static void settle_some(struct rig *rig, unsigned from, unsigned to)
{
    size_t first = recorder.promise_count;
    for (unsigned i = from; i < to; i++) {
        rig_set_state(rig, rig->letters[i]->letter.id, LETTER_DELIVERED);
        promise(rig->letters[i]->letter.id, i, true);
    }
    assert_true(spool_store_sync(rig->store));
    for (size_t i = first; i < recorder.promise_count; i++)
        recorder.promises[i].step = recorder.count;
}

static void test_letters_survive_a_cut_at_any_step_of_their_batches(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    store_some(rig, 3, 700);
    store_some(rig, 1, 5000);
    store_some(rig, 4, 100);
    cut_power_everywhere(rig, 12);
}

static void test_settled_letters_are_not_found_after_their_sync(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 0);
    store_some(rig, 4, 300);
    rig_scan_durable(rig);
    settle_some(rig, 0, 2);
    store_some(rig, 2, 300);
    rig_scan_durable(rig);
    settle_some(rig, 3, 5);
    assert_true(spool_store_sync(rig->store));
    cut_power_everywhere(rig, 8);
}

static void test_segments_given_back_and_used_again_keep_every_promise(void **state)
{
    struct rig *rig = *state;
    rig->grant_size = 32768;
    rig_start_writer(rig, 0, 0);
    for (unsigned round = 0; round < 4; round++) {
        unsigned first = rig->letter_count;
        store_some(rig, 2, 9000);
        rig_scan_durable(rig);
        for (size_t i = 0; i < rig->sealed_count; i++) {
            struct spool_segment *segment = spool_segment_find(rig->store, rig->sealed[i].number);
            if (segment != NULL)
                spool_segment_seal(segment);
        }
        settle_some(rig, first, first + 1 + round % 2);
        settle_some(rig, first, rig->letter_count);
    }
    assert_true(rig_count_files(rig, "queue", ".free") + rig->sealed_count > 1);
    cut_power_everywhere(rig, 4);
}

static void test_streamed_letters_are_whole_or_not_there(void **state)
{
    struct rig *rig = *state;
    rig_start_writer(rig, 0, 1);
    for (unsigned i = 0; i < 2; i++) {
        struct rig_letter *letter = rig_make_letter(rig, 1, 9000 + i);
        struct spool_stream *stream = spool_stream_open(rig->writer, &letter->letter);
        assert_non_null(stream);
        assert_int_equal(spool_stream_write(stream, span_of(letter->body, 6000)), SPOOL_OK);
        assert_int_equal(spool_stream_write(stream, span_of(letter->body + 6000, 3000 + i)),
                         SPOOL_OK);
        spool_stream_commit(stream);
        rig_settle(rig);
        promise(letter->letter.id, i, false);
    }
    cut_power_everywhere(rig, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_letters_survive_a_cut_at_any_step_of_their_batches),
        TEST(test_settled_letters_are_not_found_after_their_sync),
        TEST(test_segments_given_back_and_used_again_keep_every_promise),
        TEST(test_streamed_letters_are_whole_or_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
