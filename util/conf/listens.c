/*
 * What is wrong with one value is found where it is read. Here is what is wrong with values that
 * are right one by one: found at start and not by the first client, because a reload that failed
 * halfway would leave nobody to serve.
 */
#include "util/conf/listens.h"

#include "util/base/panic.h"

enum { SMTP_PORT = 25 };

/* Without any `listen`: SMTP and POP3 at their ports of every address, and, once there is a
 * certificate, submission at both of its own (RFC 6409 §3.1, RFC 8314 §3.3): without one nobody
 * could log in there but from this host. */
void listens_default(struct conf *conf)
{
    static const struct {
        const char *name, *address;
        enum conf_service service;
        enum conf_listen_tls tls;
    } usual[] = {
        {"smtp", "0.0.0.0:25", SERVICE_SMTP, LISTEN_STARTTLS},
        {"smtp6", "[::]:25", SERVICE_SMTP, LISTEN_STARTTLS},
        {"pop3", "0.0.0.0:110", SERVICE_POP3, LISTEN_STARTTLS},
        {"pop3-6", "[::]:110", SERVICE_POP3, LISTEN_STARTTLS},
        {"submission", "0.0.0.0:587", SERVICE_SUBMISSION, LISTEN_STARTTLS},
        {"submission6", "[::]:587", SERVICE_SUBMISSION, LISTEN_STARTTLS},
        {"submissions", "0.0.0.0:465", SERVICE_SUBMISSION, LISTEN_IMPLICIT},
        {"submissions6", "[::]:465", SERVICE_SUBMISSION, LISTEN_IMPLICIT},
    };
    bool encrypted = conf->tls.count > 0;
    size_t count = sizeof usual / sizeof *usual;
    struct conf_listens *listens = &conf->listens;
    listens->items = arena_zalloc(&conf->arena, count * sizeof *listens->items);
    for (size_t i = 0; i < count; i++) {
        if (usual[i].service == SERVICE_SUBMISSION && !encrypted)
            continue;
        struct conf_listen *listen = &listens->items[listens->count++];
        listen->name = span_cstr(usual[i].name);
        listen->service = usual[i].service;
        listen->tls = encrypted ? usual[i].tls : LISTEN_PLAIN;
        require(net_parse_endpoint(span_cstr(usual[i].address), &listen->address));
    }
}

/* ---- the rules ---- */

/* Of a path the address is empty, and the other way round. */
static bool same_endpoint(const struct conf_listen *a, const struct conf_listen *b)
{
    char one[NET_TEXT_MAX], other[NET_TEXT_MAX];
    return net_port(&a->address) == net_port(&b->address) && span_equal(a->path, b->path) &&
           span_equal(net_text(&a->address, one), net_text(&b->address, other));
}

/* Two at one address would fail at start, after the old generation was told to go. */
static bool has_own_address(const struct conf *conf, const struct conf_listen *listen,
                            const struct conf_complaints *to)
{
    for (const struct conf_listen *other = conf->listens.items; other < listen; other++) {
        if (!same_endpoint(other, listen))
            continue;
        complain_about(to, listen->line,
                       "listen \"%.100s\" has the address of listen \"%.100s\"; give each its "
                       "own address or port",
                       listen->name.data, other->name.data);
        return false;
    }
    return true;
}

/* A proxy that nobody may be would be a listener that refuses everybody. */
static bool has_its_proxy(const struct conf *conf, const struct conf_listen *listen,
                          const struct conf_complaints *to)
{
    const char *what = NULL;
    if (listen->proxy && listen->service == SERVICE_POP3)
        what = "wants a proxy, which only SMTP knows; leave proxy out";
    else if (listen->proxy && conf->trusted_proxies.count == 0)
        what = "wants a proxy, and none is trusted; add trusted_proxies = {\"192.0.2.7\"}";
    else if (listen->proxy && listen->path.len > 0)
        what = "wants a proxy on a UNIX socket; leave proxy out";
    if (what != NULL)
        complain_about(to, listen->line, "listen \"%.100s\" %s", listen->name.data, what);
    return what == NULL;
}

/* RFC 2033 §5: a server of SMTP that is taken for one of LMTP, or the other way round, loses mail.
 */
static bool is_not_at_port_25(const struct conf_listen *listen, const struct conf_complaints *to)
{
    bool clashes = listen->service == SERVICE_LMTP && net_port(&listen->address) == SMTP_PORT;
    if (clashes)
        complain_about(to, listen->line,
                       "listen \"%.100s\" has LMTP at port 25, which is that of SMTP; give it "
                       "another port",
                       listen->name.data);
    return !clashes;
}

/* The one service whose clients are nobody until they log in. */
static bool is_not_pop3_at_a_path(const struct conf_listen *listen,
                                  const struct conf_complaints *to)
{
    bool clashes = listen->service == SERVICE_POP3 && listen->path.len > 0;
    if (clashes)
        complain_about(to, listen->line,
                       "listen \"%.100s\" has POP3 on a UNIX socket; give it an address and a port",
                       listen->name.data);
    return !clashes;
}

bool listens_check(const struct conf *conf, const struct conf_complaints *to)
{
    for (size_t i = 0; i < conf->listens.count; i++) {
        const struct conf_listen *listen = &conf->listens.items[i];
        if (!has_own_address(conf, listen, to) || !has_its_proxy(conf, listen, to) ||
            !is_not_at_port_25(listen, to) || !is_not_pop3_at_a_path(listen, to))
            return false;
    }
    return true;
}
