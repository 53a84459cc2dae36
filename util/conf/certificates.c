/*
 * Parsing a configuration does not open what it names: a child parses the same text behind its
 * sandbox's door, and whoever only asks for the queue may not read the keys. So certificates are
 * read apart, by those who serve them and by those who want to know whether they could.
 */
#include <time.h>

#include "util/base/panic.h"
#include "util/conf/reader.h"
#include "util/sys/tls_tickets.h"

/* The name of the file is NUL-terminated in the arena, as all paths are. */
static struct conf_complaints complaints_to(const struct conf *conf, const struct conf_voice *voice)
{
    return (struct conf_complaints){voice->complain, voice->arg, conf->file.data};
}

/* Adds one; a warning does not keep it from being served. */
static bool add(struct tls_server *server, const struct conf_tls *section,
                const struct conf_complaints *to)
{
    char text[TLS_PROBLEM_MAX];
    const struct tls_pair pair = {section->name, section->certificate.data, section->key.data};

    if (!tls_server_add(server, &pair, text)) {
        complain_about(to, section->line, "%s", text);
        return false;
    }
    if (tls_pair_warning(&pair, (uint64_t)time(NULL), text))
        complain_about(to, section->line, "warning: %s", text);
    return true;
}

/* All of them are looked at: who repairs a file wants one list. */
static bool add_all(struct tls_server *server, const struct conf *conf,
                    const struct conf_complaints *to)
{
    char text[TLS_PROBLEM_MAX];
    bool good = true;

    for (size_t i = 0; i < conf->tls.count; i++)
        good = add(server, &conf->tls.items[i], to) && good;
    if (!good || tls_server_warm_up(server, text))
        return good;
    complain_about(to, conf->tls.items[0].line, "%s", text);
    return false;
}

struct tls_server *conf_tls_server(const struct conf *conf, struct tls_ratchet *ratchet,
                                   struct span protocol, const struct conf_voice *voice)
{
    const struct conf_complaints to = complaints_to(conf, voice);
    struct tls_server *server = tls_server_new(ratchet, protocol);

    require(conf->tls.count > 0);
    if (add_all(server, conf, &to))
        return server;
    tls_server_free(server);
    return NULL;
}

/* By doing it. */
bool conf_check_tls(const struct conf *conf, const struct conf_voice *voice)
{
    struct tls_ratchet ratchet;

    if (conf->tls.count == 0)
        return true;
    tls_ratchet_draw(&ratchet);
    struct tls_server *server = conf_tls_server(conf, &ratchet, SPAN("smtp"), voice);
    bool good = server != NULL;
    tls_server_free(server);
    return good;
}
