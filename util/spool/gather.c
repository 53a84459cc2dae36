/*
 * A sync costs the processor the same for one letter as for many: some 0.2 ms. Clients that were
 * answered together come again together, one of them first; a batch that goes out with that one
 * makes the others wait for its sync, and from then on every second batch is a small one. So the
 * first waits a moment for the rest. How many there are, the batches before tell: where clients
 * come one by one, batches are small and nobody waits; where fewer come than usual, two batches
 * later that is known. doc/decisions.md has the measurements.
 */
#include "util/spool/gather.h"

static void on_timer(void *arg)
{
    struct gather *gather = arg;
    gather->waited = true;
    gather->over(gather->arg);
}

void gather_init(struct gather *gather, struct loop *loop, void (*over)(void *arg), void *arg)
{
    *gather = (struct gather){.over = over, .arg = arg};
    timer_init(&gather->timer, loop, on_timer, gather);
}

/* Of the last two the larger: large and small ones may still take turns. */
bool gather_waits(struct gather *gather, size_t count)
{
    size_t usual = gather->usual[0] > gather->usual[1] ? gather->usual[0] : gather->usual[1];
    if (gather->waited || usual < GATHER_LEAST || count >= usual)
        return false;
    if (!timer_is_set(&gather->timer))
        timer_set(&gather->timer, GATHER_MS);
    return true;
}

void gather_end(struct gather *gather, size_t count)
{
    timer_cancel(&gather->timer);
    gather->waited = false;
    gather->usual[1] = gather->usual[0];
    gather->usual[0] = count;
}

void gather_stop(struct gather *gather)
{
    timer_cancel(&gather->timer);
}
