/*
 * One row for each rate says by whom it is counted and which setting limits it; the functions of
 * the header differ in the reply alone. Failed logins are counted when they failed and judged
 * before the next: a client is never told of a right password that it came too late.
 */
#include "util/daemon/rate_limits.h"

#include "util/base/clock.h"
#include "util/base/log.h"

/* A rate as the configuration knows it. */
struct row {
    const char *setting;
    size_t offset; /* of the limit in struct conf_limits */
    bool of_account;
    bool stops; /* an account that exceeds it is shown as stopped */
};

#define LIMIT(name) .setting = #name, .offset = offsetof(struct conf_limits, name)
static const struct row rows[RATE_COUNT] = {
    [RATE_CONNECTIONS] = {LIMIT(connections_rate)},
    [RATE_MESSAGES] = {LIMIT(messages_rate)},
    [RATE_RECIPIENTS] = {LIMIT(recipients_rate)},
    [RATE_ACCOUNT_MESSAGES] = {LIMIT(messages_per_account), .of_account = true, .stops = true},
    [RATE_ACCOUNT_RECIPIENTS] = {LIMIT(recipients_per_account), .of_account = true, .stops = true},
    [RATE_FAILURES] = {LIMIT(auth_failures)},
    [RATE_ACCOUNT_FAILURES] = {LIMIT(auth_failures_per_account), .of_account = true},
};
#undef LIMIT

/* The offset is one of the table above, where each leads to a uint64_t. */
static uint64_t limit_of(const struct rate_client *client, enum rate rate)
{
    uint64_t limit;
    memcpy(&limit, (const char *)&client->conf->limits + rows[rate].offset, sizeof(limit));
    return limit;
}

static struct rates_ask ask_of(const struct rate_client *client, enum rate rate,
                               struct span account)
{
    return (struct rates_ask){.rate = rate,
                              .who = rows[rate].of_account ? rates_account(client->rates, account)
                                                           : client->network,
                              .limit = limit_of(client, rate),
                              .now = clock_ms()};
}

/* True when nothing of this kind limits the client. */
static bool is_exempt(const struct rate_client *client, enum rate rate, struct span account)
{
    if (client->rates == NULL)
        return true;
    return rows[rate].of_account ? account.len == 0 : client->trusted;
}

static void log_excess(const struct rate_client *client, enum rate rate, struct span account)
{
    struct arena arena = {0};
    log_event(LOG_WARN, "rate-exceeded", LOG_SPAN("session", client->session),
              LOG_SPAN("client", client->client), LOG_SPAN("account", account),
              LOG_STR("setting", rows[rate].setting), LOG_UINT("limit", limit_of(client, rate)),
              LOG_SPAN("set", conf_place(client->conf, rows[rate].setting, &arena)));
    arena_free(&arena);
}

/* The first time in a window is the one that is told. */
static void stop_account(const struct rate_client *client, enum rate rate, int64_t now)
{
    int64_t window = rates_window_ms(rate);
    page_add(client->page, PAGE_ACCOUNTS_STOPPED, 1);
    rates_note_stopped(client->rates, client->account, now, now - now % window + window);
}

/* Counts one; false when that is too many. */
static bool take(const struct rate_client *client, enum rate rate, struct span account)
{
    if (is_exempt(client, rate, account))
        return true;
    struct rates_ask ask = ask_of(client, rate, account);
    enum rates_result result = rates_take(client->rates, &ask);
    if (result == RATES_OK)
        return true;
    page_add(client->page, PAGE_RATE_REFUSED, 1);
    if (result == RATES_EXCEEDED_FIRST)
        log_excess(client, rate, account);
    if (result == RATES_EXCEEDED_FIRST && rows[rate].stops)
        stop_account(client, rate, ask.now);
    return false;
}

struct reply rate_limits_connection(const struct rate_client *client)
{
    if (take(client, RATE_CONNECTIONS, SPAN("")))
        return REPLY_PENDING;
    return (struct reply){.code = 421,
                          .close = true,
                          .is_logged = true,
                          .enhanced = "4.7.0",
                          .text = "Too many connections from your network"};
}

struct reply rate_limits_message(const struct rate_client *client)
{
    enum rate rate = client->account.len > 0 ? RATE_ACCOUNT_MESSAGES : RATE_MESSAGES;
    if (take(client, rate, client->account))
        return REPLY_PENDING;
    return (struct reply){.code = 450,
                          .is_logged = true,
                          .enhanced = "4.7.1",
                          .text = "Too many messages, try again later"};
}

struct reply rate_limits_recipient(const struct rate_client *client)
{
    enum rate rate = client->account.len > 0 ? RATE_ACCOUNT_RECIPIENTS : RATE_RECIPIENTS;
    if (take(client, rate, client->account))
        return REPLY_PENDING;
    return (struct reply){.code = 450,
                          .is_logged = true,
                          .enhanced = "4.7.1",
                          .text = "Too many recipients, try again later"};
}

/* ---- logins ---- */

static bool is_full(const struct rate_client *client, enum rate rate, struct span login)
{
    /* Whoever shares a trusted network with the owner of an account can not lock him out. */
    if (client->trusted || is_exempt(client, rate, login))
        return false;
    const struct rates_ask ask = ask_of(client, rate, login);
    return rates_is_full(client->rates, &ask);
}

/* RFC 4954 §6: 454 4.7.0, temporary authentication failure. */
struct reply rate_limits_login(const struct rate_client *client, struct span login)
{
    if (!is_full(client, RATE_FAILURES, login) && !is_full(client, RATE_ACCOUNT_FAILURES, login))
        return REPLY_PENDING;
    page_add(client->page, PAGE_RATE_REFUSED, 1);
    return (struct reply){.code = 454,
                          .is_logged = true,
                          .enhanced = "4.7.0",
                          .text = "Too many failed logins, try again later"};
}

/* One more than the limit is logged here; that it is refused comes with the next login. */
void rate_limits_login_failed(const struct rate_client *client, struct span login)
{
    (void)take(client, RATE_FAILURES, login);
    (void)take(client, RATE_ACCOUNT_FAILURES, login);
}
