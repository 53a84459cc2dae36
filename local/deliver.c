/*
 * Why stages over the whole batch: a file system writes sixteen new files with little more work
 * than one when they are synced together, and a directory that got ten letters is synced once.
 * Thirteen thousand files a second against six thousand seven hundred, letter by letter (measured,
 * 4 KiB each).
 *
 * A file in tmp/ carries the process number behind its unique part: two processes that were given
 * the same job never write into the same file, and both rename to the same final name. The order
 * of system calls, and what a crash after each leaves behind:
 *
 *     open O_EXCL in tmp/, write   a partial file in tmp/, seen by nobody, removed when the job
 *     sync_file_range, fsync       comes again or after 36 hours
 *     rename to new/               the whole letter, perhaps not yet its name; the job comes again,
 *     fsync of new/                finds it or overwrites it with the same octets
 *
 * A job that comes again can not know how far the attempt before it came:
 *
 *     remove what is in tmp/       as if that attempt had never begun; should its process still
 *                                  live, its rename fails, and the letter is not shown twice
 *     look into new/ and cur/      the letter may be there by name, and the name not on the disk,
 *     fsync of new/, cur/ and the  nor that of a directory above it: found is delivered only
 *     directories above them       behind these
 */
#include "local/deliver.h"

#include "local/failure.h"
#include "local/letter.h"
#include "local/maildir.h"
#include "util/base/log.h"
#include "util/base/panic.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { LETTER_MODE = 0600 };

/* A mailbox that this batch delivers to. */
struct place {
    struct span path;
    struct maildir maildir;
    enum maildir_result result;
    int error; /* of MAILDIR_FAILED */
    bool has_seen_before;
    bool renamed_into; /* new/ is to be synced */
};

/* One delivery on its way through the stages; `open` until its fate is known. */
struct work {
    struct delivery *delivery;
    bool open;
    bool found; /* a file of its name is there already */
    struct place *place;
    struct record record;
    struct letter_size size;
    int file; /* -1: none */
    char unique[MAILDIR_NAME_SIZE];
    char tmp[MAILDIR_NAME_SIZE];
    char final[MAILDIR_NAME_SIZE];
};

/* Deliveries that go through the stages side by side, and the mailboxes they go to. */
struct batch {
    struct deliverer *deliverer;
    struct work *works;
    size_t count;
    struct place places[DELIVER_BATCH];
    size_t place_count;
};

/* The one place where a fate is written; the texts are static. */
static void settle(struct work *work, enum job_fate fate, const char *enhanced, const char *text)
{
    work->delivery->fate = fate;
    work->delivery->enhanced = enhanced;
    work->delivery->text = text;
    work->open = false;
}

/* The queue id in every line of a message: what happened to it is found by one word. */
static struct span id_of(const struct work *work, char out[SPOOL_ID_MAX])
{
    const struct delivery *delivery = work->delivery;
    return spool_id_text(spool_id(delivery->segment.number, delivery->offset), out);
}

/* Defers the delivery because of `error`, closes and removes what it left in tmp/. */
static void defer(struct work *work, const char *doing, int error)
{
    const struct failure *failure = failure_of(error);
    if (work->file >= 0) {
        (void)close(work->file);
        work->file = -1;
        (void)unlinkat(work->place->maildir.tmp, work->tmp, 0);
    }
    char id[SPOOL_ID_MAX];
    log_event(LOG_ERROR, "delivery-deferred", LOG_SPAN("id", id_of(work, id)),
              LOG_SPAN("mailbox", work->delivery->mailbox), LOG_STR("doing", doing),
              LOG_ERRNO(error));
    settle(work, JOB_DEFERRED, failure->enhanced, failure->text);
}

/* ---- reading the letter ---- */

/* No fate of the letter yet: qmgr looks at the record itself and decides. */
static void report_damage(struct work *work)
{
    char id[SPOOL_ID_MAX];
    log_event(LOG_ERROR, "record-damaged", LOG_SPAN("id", id_of(work, id)),
              LOG_UINT("recipient", work->delivery->recipient));
    settle(work, JOB_DAMAGED, "5.3.0", "damaged in the spool");
}

/* The checksum of the body is compared before an octet is delivered. */
static enum record_result read_whole(struct work *work, struct arena *arena)
{
    const struct delivery *delivery = work->delivery;
    enum record_result result =
        record_read(&delivery->segment, delivery->offset, arena, &work->record);
    return result == RECORD_OK ? record_check_body(&delivery->segment, &work->record) : result;
}

/* Jobs of one record share the descriptor of their segment. */
static bool same_record(const struct delivery *a, const struct delivery *b)
{
    return a->segment.fd == b->segment.fd && a->offset == b->offset;
}

static void read_letter(struct batch *batch, struct work *work)
{
    /* A message to many here comes as neighbours: read and checked once. */
    const struct work *before = work > batch->works ? work - 1 : NULL;
    enum record_result result = RECORD_OK;
    if (before != NULL && before->open && same_record(before->delivery, work->delivery))
        work->record = before->record;
    else
        result = read_whole(work, &batch->deliverer->arena);

    if (result == RECORD_IO)
        defer(work, "reading the spool", errno);
    else if (result != RECORD_OK ||
             work->delivery->recipient >= work->record.envelope.recipient_count)
        report_damage(work);
}

/* ---- finding the mailbox ---- */

/* Opened once a batch, however many letters go there; the table has a row for each delivery at
 * most. */
static struct place *place_of(struct batch *batch, struct span path)
{
    for (size_t i = 0; i < batch->place_count; i++)
        if (span_equal(batch->places[i].path, path))
            return &batch->places[i];

    struct place *place = &batch->places[batch->place_count++];
    *place = (struct place){.path = path};
    place->result = maildir_open(batch->deliverer->root, path, &place->maildir);
    place->error = errno;
    return place;
}

/* The name is made here: it depends on the record alone, not on this delivery. */
static void find_mailbox(struct batch *batch, struct work *work)
{
    struct place *place = place_of(batch, work->delivery->mailbox);
    work->place = place;
    if (place->result == MAILDIR_UNTRUSTED) {
        char id[SPOOL_ID_MAX];
        log_event(LOG_ERROR, "mailbox-not-ours", LOG_SPAN("id", id_of(work, id)),
                  LOG_SPAN("mailbox", place->path),
                  LOG_STR("reason", "a symlink, a foreign owner or no directory"));
        settle(work, JOB_DEFERRED, "4.2.0", "the mailbox can not be used");
        return;
    }
    if (place->result == MAILDIR_FAILED) {
        defer(work, "opening the mailbox", place->error);
        return;
    }

    const struct record_header *header = &work->record.header;
    struct letter_place letter = {header->salt, header->number, work->delivery->offset,
                                  header->arrival_us, work->delivery->recipient};
    maildir_name_unique(&letter, batch->deliverer->hostname, work->unique);
    int length = snprintf(work->tmp, sizeof work->tmp, "%s,P=%ld", work->unique, (long)getpid());
    require(length > 0 && (size_t)length < sizeof work->tmp);
    place->has_seen_before |= work->delivery->seen_before;
}

/* ---- what was delivered already ---- */

/* What a visit needs. */
struct look {
    struct batch *batch;
    const struct place *place;
};

/* Only jobs that may have been delivered before are compared: new ones can not be there. */
static struct work *work_named(const struct look *look, const char *name)
{
    struct span unique = maildir_name_unique_part(span_cstr(name));
    for (size_t i = 0; i < look->batch->count; i++) {
        struct work *work = &look->batch->works[i];
        if (work->open && work->place == look->place && work->delivery->seen_before &&
            span_equal(unique, span_cstr(work->unique)))
            return work;
    }
    return NULL;
}

/* There under its final name: whether that name would outlast a power cut is not known yet. */
static bool visit_delivered(void *arg, const char *name, unsigned char type)
{
    (void)type;
    struct work *work = work_named(arg, name);
    if (work != NULL)
        work->found = true;
    return true;
}

/* Whoever wrote it is dead as a rule. A deliverer that outlives its qmgr is not: it must lose its
 * file all the same, or it would show the letter again after a reader had taken ours away. Its
 * rename fails then, and nobody waits for its answer. */
static bool visit_leftover(void *arg, const char *name, unsigned char type)
{
    (void)type;
    const struct look *look = arg;
    if (work_named(look, name) != NULL)
        (void)unlinkat(look->place->maildir.tmp, name, 0);
    return true;
}

/* A mailbox that can not be read defers all its deliveries: a second copy would be worse than a
 * late one. */
static void defer_all_at(struct batch *batch, const struct place *place, const char *doing,
                         int error)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->works[i].open && batch->works[i].place == place)
            defer(&batch->works[i], doing, error);
}

/* Only behind the sync of all directories that lead to it. */
static void accept_found(struct batch *batch, const struct place *place)
{
    for (size_t i = 0; i < batch->count; i++)
        if (batch->works[i].found && batch->works[i].place == place)
            settle(&batch->works[i], JOB_DELIVERED, "2.0.0", "already there");
}

/* Leftovers in tmp/ go first: what its writer renames meanwhile is seen in new/. The directories
 * are synced also when nothing is found: the attempt before may have died right after it made one
 * of them. */
static void look_for_delivered(struct batch *batch, const struct place *place)
{
    struct look look = {batch, place};
    int error = maildir_each(place->maildir.tmp, visit_leftover, &look);
    if (error == 0)
        error = maildir_each(place->maildir.new_mail, visit_delivered, &look);
    if (error == 0)
        error = maildir_each(place->maildir.cur, visit_delivered, &look);
    if (error == 0)
        error = maildir_sync(batch->deliverer->root, place->path, &place->maildir);
    if (error == 0)
        accept_found(batch, place);
    else
        defer_all_at(batch, place, "looking for earlier deliveries", error);
}

/* Before anything is written, so that no work is done twice. */
static void look_into_mailboxes(struct batch *batch)
{
    for (size_t i = 0; i < batch->place_count; i++) {
        struct place *place = &batch->places[i];
        if (place->result != MAILDIR_OK)
            continue;
        if (place->has_seen_before)
            look_for_delivered(batch, place);
        stale_clean(&batch->deliverer->cleaned, place->path, &place->maildir);
    }
}

/* ---- the four stages ---- */

static int create(const struct work *work)
{
    int directory = work->place->maildir.tmp;
    int flags = O_WRONLY | O_CREAT | O_EXCL;
    int fd = maildir_open_at(directory, work->tmp, flags, LETTER_MODE);
    /* Our own process number: what lies there is from before a restart, or from a batch that could
     * not even remove it. */
    if (fd < 0 && errno == EEXIST && unlinkat(directory, work->tmp, 0) == 0)
        fd = maildir_open_at(directory, work->tmp, flags, LETTER_MODE);
    return fd;
}

/* Nothing is synced yet: all files first. */
static void write_letter(struct batch *batch, struct work *work)
{
    struct letter letter = {.segment = &work->delivery->segment,
                            .record = &work->record,
                            .recipient = work->delivery->recipient,
                            .scratch = &batch->deliverer->scratch};
    work->file = create(work);
    if (work->file < 0 || !letter_write(&letter, work->file, &work->size))
        defer(work, "writing the letter", errno);
    else
        /* Only a hint: the disk writes the first letters while the last are still converted. What
         * fails here is seen by the sync. */
        (void)sync_file_range(work->file, 0, 0, SYNC_FILE_RANGE_WRITE);
}

/* fsync(2), not fdatasync(2): the file is new, and its name in tmp/ counts for nothing. */
static void sync_letter(struct batch *batch, struct work *work)
{
    (void)batch;
    if (fsync(work->file) != 0)
        defer(work, "syncing the letter", errno);
}

/* rename(2) is atomic: a reader sees the whole letter or none. */
static void show_letter(struct batch *batch, struct work *work)
{
    (void)batch;
    const struct maildir *maildir = &work->place->maildir;
    maildir_name_final(work->unique, work->size.disk, work->size.wire, work->final);
    if (renameat(maildir->tmp, work->tmp, maildir->new_mail, work->final) != 0) {
        defer(work, "moving the letter to new", errno);
        return;
    }
    (void)close(work->file);
    work->file = -1;
    work->place->renamed_into = true;
}

/* Once each; a failure defers all that were renamed into it: their files are found when the
 * jobs come again. */
static void sync_directories(struct batch *batch)
{
    for (size_t i = 0; i < batch->place_count; i++) {
        struct place *place = &batch->places[i];
        if (place->renamed_into && fsync(place->maildir.new_mail) != 0)
            defer_all_at(batch, place, "syncing the directory", errno);
    }
}

/* A stage never sees what an earlier one settled. */
static void each_open(struct batch *batch, void (*stage)(struct batch *batch, struct work *work))
{
    for (size_t i = 0; i < batch->count; i++) {
        if (!batch->works[i].open)
            continue;
        stage(batch, &batch->works[i]);
        /* A batch of large letters may take a slow disk minutes. */
        if (batch->deliverer->page != NULL)
            page_beat(batch->deliverer->page);
    }
}

/* Only behind the sync of the directory. */
static void accept_delivered(struct batch *batch, struct work *work)
{
    (void)batch;
    settle(work, JOB_DELIVERED, "2.0.0", "delivered to mailbox");
}

/* The order of the stages is the drawing above. */
void deliver_batch(struct deliverer *deliverer, struct delivery *deliveries, size_t count)
{
    require(count > 0 && count <= DELIVER_BATCH);
    struct batch batch = {.deliverer = deliverer, .count = count};
    batch.works = arena_zalloc(&deliverer->arena, count * sizeof *batch.works);
    for (size_t i = 0; i < count; i++) {
        batch.works[i].delivery = &deliveries[i];
        batch.works[i].open = true;
        batch.works[i].file = -1;
    }

    each_open(&batch, read_letter);
    each_open(&batch, find_mailbox);
    look_into_mailboxes(&batch);
    each_open(&batch, write_letter);
    each_open(&batch, sync_letter);
    each_open(&batch, show_letter);
    sync_directories(&batch);
    each_open(&batch, accept_delivered);

    for (size_t i = 0; i < batch.place_count; i++)
        maildir_close(&batch.places[i].maildir);
    arena_reset(&deliverer->arena);
}

void deliverer_free(struct deliverer *deliverer)
{
    arena_free(&deliverer->arena);
    buf_free(&deliverer->scratch);
}
