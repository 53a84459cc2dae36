/*
 * How fast letters become durable: `spool DIRECTORY [SECONDS [IN_FLIGHT [OCTETS]]]`.
 *
 * One writer on its loop, as in smtpd, with a new letter for each that is done; the store beside it
 * in the same thread gives segments and takes them back, as qmgr would, with every letter settled.
 */
#include <stdio.h>
#include <stdlib.h>

#include "util/base/buf.h"
#include "util/base/clock.h"
#include "util/base/panic.h"
#include "util/spool/store.h"
#include "util/spool/writer.h"

enum { IN_FLIGHT_MAX = 1024, SYNC_EVERY_MS = 100 };

struct bench {
    struct loop *loop;
    struct spool_store *store;
    struct spool_writer *writer;
    struct letter letters[IN_FLIGHT_MAX];
    uint64_t done;
    int64_t until;
    struct timer sync;
};

static void on_found(void *arg, const struct spool_found *found)
{
    (void)arg;
    struct state_entry entry = found->entry;
    entry.state = LETTER_DELIVERED;
    spool_segment_set(found->segment, found->slot, &entry);
}

static void give(struct bench *bench, enum spool_kind kind)
{
    struct spool_segment *segment = spool_segment_new(bench->store, kind);
    require(segment != NULL);
    const struct spool_block *block = spool_segment_block(segment);
    const struct spool_grant grant = {spool_segment_open_writer(segment), block->number,
                                      block->salt, kind, SPOOL_SEGMENT_MAX};
    spool_writer_give(bench->writer, &grant);
}

static void on_want(void *arg, unsigned shared, unsigned private)
{
    struct bench *bench = arg;
    (void)private;
    for (unsigned i = 0; i < shared; i++)
        give(bench, SPOOL_SHARED);
}

static void on_durable(void *arg, uint64_t number, uint64_t end)
{
    struct bench *bench = arg;
    struct spool_segment *segment = spool_segment_find(bench->store, number);
    require(segment != NULL && spool_segment_scan(segment, end, on_found, bench) == SPOOL_SCAN_OK);
}

static void on_sealed(void *arg, uint64_t number, uint64_t end)
{
    struct bench *bench = arg;
    (void)end;
    struct spool_segment *segment = spool_segment_find(bench->store, number);
    require(segment != NULL);
    spool_segment_seal(segment);
}

static void on_sync(void *arg)
{
    struct bench *bench = arg;
    require(spool_store_sync(bench->store));
    timer_set(&bench->sync, SYNC_EVERY_MS);
}

struct slot {
    struct bench *bench;
    struct letter *letter;
};

static void submit_again(void *arg, enum spool_result result, uint64_t id)
{
    struct slot *slot = arg;
    require(result == SPOOL_OK && id != 0);
    slot->bench->done++;
    if (clock_ms() < slot->bench->until)
        spool_writer_submit(slot->bench->writer, slot->letter);
}

static long argument(int count, char **values, int index, long otherwise)
{
    return index < count ? strtol(values[index], NULL, 10) : otherwise;
}

static void begin(struct bench *bench, struct slot *slots, size_t in_flight, struct span body)
{
    static struct buf envelope;
    const struct envelope_recipient recipient = {.address = SPAN("bob@example.test")};
    const struct envelope facts = {
        .sender = SPAN("alice@example.test"), .recipients = &recipient, .recipient_count = 1};
    require(envelope_encode(&facts, &envelope));
    for (size_t i = 0; i < in_flight; i++) {
        slots[i] = (struct slot){bench, &bench->letters[i]};
        bench->letters[i] = (struct letter){.envelope = buf_span(&envelope),
                                            .body = body,
                                            .recipients = 1,
                                            .done = submit_again,
                                            .arg = &slots[i]};
        spool_writer_submit(bench->writer, &bench->letters[i]);
    }
}

int main(int argc, char **argv)
{
    static struct slot slots[IN_FLIGHT_MAX];
    struct arena arena = {0};
    struct span problem = SPAN("");
    require(argc > 1);
    long seconds = argument(argc, argv, 2, 5);
    size_t in_flight = (size_t)argument(argc, argv, 3, 20);
    size_t octets = (size_t)argument(argc, argv, 4, 4096);
    require(in_flight <= IN_FLIGHT_MAX);

    struct bench *bench = mem_new(sizeof *bench);
    bench->loop = loop_new();
    bench->store = spool_store_open(argv[1], &arena, &problem);
    if (bench->store == NULL || !spool_store_recover(bench->store, NULL, 0, on_found, bench)) {
        fprintf(stderr, "%.*s\n", SPAN_ARG(problem));
        return 1;
    }
    const struct spool_writer_calls calls = {on_want, on_durable, on_sealed, bench};
    bench->writer = spool_writer_new(bench->loop, &calls, 1, 0);
    timer_init(&bench->sync, bench->loop, on_sync, bench);
    timer_set(&bench->sync, SYNC_EVERY_MS);

    int64_t start = clock_ms();
    bench->until = start + seconds * 1000;
    begin(bench, slots, in_flight, span_of(arena_zalloc(&arena, octets), octets));
    while (clock_ms() < bench->until || spool_writer_busy(bench->writer))
        loop_turn(bench->loop, 100);
    double took = (double)(clock_ms() - start) / 1000;
    printf("%.0f letters/s of %zu octets, %zu in flight\n", (double)bench->done / took, octets,
           in_flight);
    spool_writer_free(bench->writer);
    spool_store_close(bench->store);
    return 0;
}
