/*
 * An entry that waits has no domain, only a hash of it, and after a restart not even that: a
 * million of them come back without a million reads. So a run has two halves. The first is a walk
 * through memory, which is over in the time that a client waits for its answer; the second reads
 * what the first could not decide, in the background. What was read is remembered, so that the
 * next run has less to read.
 */
#include "qmgr/runs.h"

#include "qmgr/domain_hash.h"
#include "qmgr/fate.h"
#include "qmgr/readings.h"
#include "qmgr/retry.h"
#include "util/base/clock.h"
#include "util/base/log.h"

#include <stdlib.h>

enum { DOMAIN_MOST = 255 /* RFC 5321 §4.5.3.1.2; more is not decoded */ };

/* One name, from the question on. */
struct run {
    TAILQ_ENTRY(run) link;
    struct channel *asker; /* NULL: answered, or gone */
    uint32_t query;
    uint32_t hash;
    uint32_t at, end; /* numbers of entries: looked at next, and not any more */
    uint32_t begun;   /* retry_now() */
    uint32_t hastened;
    uint64_t matched, unread;
    bool subdomains;
    uint8_t domain_len;
    char domain[DOMAIN_MOST];
};

TAILQ_HEAD(run_list, run);

struct runs {
    struct qmgr *qmgr;
    struct run_list scanning, reading; /* the first of each is under way */
    size_t count;                      /* of both */
    struct timer scan_timer, read_timer;
    bool started, posted;
    int64_t posted_at;               /* of the batch under way */
    struct readings batch;           /* of the first in `reading` */
    uint64_t messages[RUNS_COUNTED]; /* what the first in `scanning` has found: queue_spread */
};

/* What an entry is to a run. */
enum meaning { ANOTHER, MEANT, UNREAD };

static struct span domain_of(const struct run *run)
{
    return span_of(run->domain, run->domain_len);
}

/* Held ones are the operator's. A hash says of a name beneath another only that it may be one. */
static enum meaning meaning_of(const struct run *run, const struct queue_entry *entry)
{
    if (entry->state == QUEUE_FREE || entry->state == QUEUE_HELD)
        return ANOTHER;
    if (entry->domain == DOMAIN_HASH_UNKNOWN)
        return UNREAD;
    if (run->subdomains)
        return domain_hash_may_be_under(entry->domain, run->hash) ? UNREAD : ANOTHER;
    return entry->domain == run->hash ? MEANT : ANOTHER;
}

/* Whatever is not waiting is being tried already. */
static bool may_be_hastened(const struct queue_entry *entry)
{
    return entry->state == QUEUE_DEFERRED && (entry->flags & QUEUE_HASTENED) == 0;
}

/* The last attempt is known from what it led to: when the next one is due. */
static void hasten(struct runs *runs, struct run *run, uint32_t number)
{
    const struct conf_limits *limits = &runs->qmgr->conf->limits;
    struct queue *queue = &runs->qmgr->queue;
    const struct queue_entry *entry = queue_entry(queue, number);
    if (!may_be_hastened(entry))
        return;
    uint32_t time = run->begun + run->hastened / RUNS_PER_SECOND;
    uint32_t delay = fate_delay(limits, entry->tries, queue_spread(entry));
    uint32_t gap = (uint32_t)limits->retry_first / RUNS_GAP_SHARE;
    if (entry->tries > 0 && entry->time > delay && entry->time - delay + gap > time)
        time = entry->time - delay + gap;
    if (queue_hasten(queue, number, time))
        run->hastened++;
}

/* ---- the answer ---- */

static int by_number(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

/* Recipients of one message are one message. */
static uint32_t count_messages(struct runs *runs, size_t found)
{
    uint32_t count = 0;
    qsort(runs->messages, found, sizeof runs->messages[0], by_number);
    for (size_t i = 0; i < found; i++)
        count += i == 0 || runs->messages[i] != runs->messages[i - 1];
    return count;
}

/* As much as is true (RFC 1985 §5.1): a number only where every entry is known. */
static struct queue_run_answer answer_of(struct runs *runs, const struct run *run)
{
    struct queue_run_answer answer = {.query = run->query, .status = QUEUE_RUN_STARTED};
    if (run->matched == 0 && run->unread == 0)
        answer.status = QUEUE_RUN_NOTHING;
    else if (run->unread == 0 && run->matched <= RUNS_COUNTED)
        answer.status = QUEUE_RUN_COUNTED;
    else if (run->matched > 0)
        answer.status = QUEUE_RUN_PENDING;
    if (answer.status == QUEUE_RUN_COUNTED)
        answer.count = count_messages(runs, (size_t)run->matched);
    return answer;
}

/* An smtpd that does not read hears nothing: its client is told that it took too long. */
static void tell(struct channel *asker, const struct queue_run_answer *answer)
{
    if (!channel_send(asker, &ipc_queue_run_answer, answer, NULL))
        log_event(LOG_WARN, "queue-run-not-told", LOG_UINT("status", answer->status));
}

/* ---- the first half: memory ---- */

static void look_at(struct runs *runs, struct run *run, uint32_t number)
{
    const struct queue_entry *entry = queue_entry(&runs->qmgr->queue, number);
    enum meaning meaning = meaning_of(run, entry);
    if (meaning == UNREAD)
        run->unread++;
    if (meaning != MEANT)
        return;
    if (run->matched < RUNS_COUNTED)
        runs->messages[run->matched] = queue_spread(entry);
    run->matched++;
    hasten(runs, run, number);
}

/* The end of a slice: at RUNS_SLICE entries from here, or where the run ends. */
static uint32_t slice_end(const struct run *run)
{
    return run->end - run->at > RUNS_SLICE ? run->at + RUNS_SLICE : run->end;
}

static void run_free(struct runs *runs, struct run_list *list, struct run *run)
{
    TAILQ_REMOVE(list, run, link);
    runs->count--;
    mem_free(run);
}

/* What is left is read, or the run is over. */
static void end_scan(struct runs *runs, struct run *run)
{
    struct queue_run_answer answer = answer_of(runs, run);
    if (run->asker != NULL)
        tell(run->asker, &answer);
    run->asker = NULL;
    log_event(LOG_INFO, "queue-run", LOG_SPAN("domain", domain_of(run)),
              LOG_UINT("subdomains", run->subdomains), LOG_UINT("pending", run->matched),
              LOG_UINT("unread", run->unread));
    timer_set(&runs->scan_timer, RUNS_PAUSE_MS);
    if (run->unread == 0) {
        run_free(runs, &runs->scanning, run);
        return;
    }
    run->at = 0;
    TAILQ_REMOVE(&runs->scanning, run, link);
    TAILQ_INSERT_TAIL(&runs->reading, run, link);
    if (!runs->posted && !timer_is_set(&runs->read_timer))
        timer_set(&runs->read_timer, 0);
}

/* Numbers are given from below: what comes while the run is on its way is new, and tried anyway. */
static void begin_scan(struct runs *runs, struct run *run)
{
    if (run->end != 0)
        return;
    run->end = runs->qmgr->queue.used;
    run->begun = retry_now();
}

/* Of the timer: a slice of the first run. */
static void scan(void *arg)
{
    struct runs *runs = arg;
    struct run *run = TAILQ_FIRST(&runs->scanning);
    if (run == NULL || runs->qmgr->daemon->draining)
        return;
    begin_scan(runs, run);
    for (uint32_t end = slice_end(run); run->at < end; run->at++)
        look_at(runs, run, run->at);
    retry_wake(runs->qmgr->retries);
    if (run->at < run->end)
        timer_set(&runs->scan_timer, 1);
    else
        end_scan(runs, run);
}

/* ---- the second half: the disk ---- */

/* True while the entry is the one that was read: it waited on meanwhile. */
static bool is_still(const struct qmgr *qmgr, const struct reading *reading)
{
    if (!may_be_hastened(queue_entry(&qmgr->queue, reading->entry)))
        return false;
    struct reading now = readings_of(qmgr, reading->entry);
    return now.number == reading->number && now.offset == reading->offset &&
           now.recipient == reading->recipient;
}

/* A record that can not be read is left to the retry, which tells of it. */
static void learn(struct runs *runs, struct run *run, const struct reading *reading,
                  const struct message *message)
{
    struct qmgr *qmgr = runs->qmgr;
    if (message == NULL || reading->recipient >= message->recipient_count ||
        !is_still(qmgr, reading))
        return;
    struct span domain = domain_of_address(message->recipients[reading->recipient].address);
    queue_entry(&qmgr->queue, reading->entry)->domain = domain_hash(domain);
    if (run->subdomains ? domain_is_under(domain, domain_of(run))
                        : span_equal_nocase(domain, domain_of(run)))
        hasten(runs, run, reading->entry);
}

/* The helper is left alone for as long as the batch took: others want the disk, too. */
static void records_read(void *arg, struct helper_task *base)
{
    struct runs *runs = arg;
    struct task_read *task = (struct task_read *)base;
    struct run *run = TAILQ_FIRST(&runs->reading);
    size_t at = 0;
    for (size_t i = 0; i < runs->batch.count; i++) {
        const struct reading *reading = &runs->batch.items[i];
        learn(runs, run, reading, readings_item(task, &at, reading)->message);
    }
    for (size_t i = 0; i < task->count; i++)
        message_free(task->items[i].message);
    task_free(base);
    runs->batch.count = 0;
    runs->posted = false;
    retry_wake(runs->qmgr->retries);
    timer_set(&runs->read_timer, clock_ms() - runs->posted_at + 1);
}

/* What became known since the first half needs no read. */
static void gather(struct runs *runs, struct run *run)
{
    struct readings *batch = &runs->batch;
    for (uint32_t end = slice_end(run); run->at < end && batch->count < READ_ITEMS; run->at++) {
        const struct queue_entry *entry = queue_entry(&runs->qmgr->queue, run->at);
        enum meaning meaning = meaning_of(run, entry);
        if (meaning == UNREAD && may_be_hastened(entry))
            batch->items[batch->count++] = readings_of(runs->qmgr, run->at);
        else if (meaning == MEANT)
            hasten(runs, run, run->at);
    }
}

/* Of the timer: a batch of the first run. */
static void read_some(void *arg)
{
    struct runs *runs = arg;
    struct run *run = TAILQ_FIRST(&runs->reading);
    if (run == NULL || runs->qmgr->daemon->draining)
        return;
    gather(runs, run);
    if (runs->batch.count > 0) {
        runs->posted = true;
        runs->posted_at = clock_ms();
        readings_post(&runs->batch, runs->qmgr, records_read, runs);
        return;
    }
    if (run->at == run->end) {
        retry_wake(runs->qmgr->retries);
        run_free(runs, &runs->reading, run);
    }
    timer_set(&runs->read_timer, 1);
}

/* ---- the question ---- */

/* True when the name is asked for already. */
static bool is_under_way(const struct run_list *list, const struct queue_run *ask)
{
    const struct run *run;
    TAILQ_FOREACH (run, list, link)
        if (run->subdomains == (ask->subdomains != 0) &&
            span_equal_nocase(domain_of(run), ask->domain))
            return true;
    return false;
}

static void add(struct runs *runs, struct channel *asker, const struct queue_run *ask)
{
    struct run *run = mem_new(sizeof *run);
    *run = (struct run){.asker = asker,
                        .query = ask->query,
                        .hash = domain_hash(ask->domain),
                        .subdomains = ask->subdomains != 0,
                        .domain_len = (uint8_t)ask->domain.len};
    if (ask->domain.len > 0)
        memcpy(run->domain, ask->domain.data, ask->domain.len);
    TAILQ_INSERT_TAIL(&runs->scanning, run, link);
    runs->count++;
    if (!timer_is_set(&runs->scan_timer))
        timer_set(&runs->scan_timer, 0);
}

void runs_ask(struct runs *runs, struct channel *asker, const struct queue_run *ask)
{
    struct queue_run_answer answer = {.query = ask->query, .status = QUEUE_RUN_STARTED};
    bool known = is_under_way(&runs->scanning, ask) || is_under_way(&runs->reading, ask);
    bool busy = !runs->started || runs->qmgr->daemon->draining || runs->count >= RUNS_MOST;
    if (!known && !busy) {
        add(runs, asker, ask);
        return;
    }
    if (!known)
        answer.status = QUEUE_RUN_REFUSED;
    tell(asker, &answer);
}

/* Those in `reading` have answered. */
void runs_forget(struct runs *runs, const struct channel *asker)
{
    struct run *run;
    TAILQ_FOREACH (run, &runs->scanning, link)
        if (run->asker == asker)
            run->asker = NULL;
}

void runs_start(struct runs *runs)
{
    runs->started = true;
}

struct runs *runs_new(struct qmgr *qmgr)
{
    struct runs *runs = mem_new(sizeof *runs);
    runs->qmgr = qmgr;
    TAILQ_INIT(&runs->scanning);
    TAILQ_INIT(&runs->reading);
    timer_init(&runs->scan_timer, qmgr->loop, scan, runs);
    timer_init(&runs->read_timer, qmgr->loop, read_some, runs);
    return runs;
}

void runs_free(struct runs *runs)
{
    timer_cancel(&runs->scan_timer);
    timer_cancel(&runs->read_timer);
    while (!TAILQ_EMPTY(&runs->scanning))
        run_free(runs, &runs->scanning, TAILQ_FIRST(&runs->scanning));
    while (!TAILQ_EMPTY(&runs->reading))
        run_free(runs, &runs->reading, TAILQ_FIRST(&runs->reading));
    mem_free(runs);
}
