/*
 * Why master maps it, too: `status` shows which accounts are stopped. What stands there was written
 * by processes that face the network; it is copied word by word, and shown as printable ASCII.
 */
#include "master/rates.h"

#include <stdio.h>
#include <unistd.h>

#include "util/base/clock.h"

static bool make(struct master_rates *rates)
{
    rates->fd = rates_create();
    if (rates->fd < 0)
        return false;
    rates->rates = rates_map(rates->fd);
    if (rates->rates == NULL)
        (void)close(rates->fd);
    return rates->rates != NULL;
}

int master_rates_fd(struct master_rates *rates)
{
    return rates->rates != NULL || make(rates) ? rates->fd : -1;
}

/* A walk through a few places. */
void master_rates_write(const struct master_rates *rates, struct buf *out)
{
    char name[RATES_NAME_MAX];

    for (size_t i = 0; rates->rates != NULL && i < RATES_STOPPED; i++) {
        struct span account = rates_stopped(rates->rates, i, clock_ms(), name);
        if (account.len == 0)
            continue;
        buf_add(out, SPAN("stopped-account "));
        buf_add(out, account);
        buf_add(out, SPAN("\n"));
    }
}

/* The memory lives on as long as some child has it mapped. */
void master_rates_free(struct master_rates *rates)
{
    if (rates->rates != NULL)
        (void)close(rates->fd);
    rates_unmap(rates->rates);
    *rates = (struct master_rates){0};
}
