/*
 * Why apart from the attempts: a password and a proof of SCRAM are judged differently, but both ask
 * for the same user, and must mean the same one by the same name.
 */
#include "auth/user.h"

#include <openssl/crypto.h>

#include "util/base/log.h"

struct span user_name(const struct conf *conf, struct span given, char out[ADDRESS_TEXT_MAX])
{
    /* "alice" alone is alice of the first domain, as in the aliases. */
    struct span domain = conf->domains.count ? conf->domains.items[0] : conf->hostname;

    return address_login(given, domain, out);
}

bool user_acts_as(const struct conf *conf, struct span name, struct span authzid)
{
    char text[ADDRESS_TEXT_MAX];

    return authzid.len == 0 || span_equal(user_name(conf, authzid, text), name);
}

bool user_find(struct table *passwords, struct arena *arena, struct span name, struct user *user)
{
    enum table_result result = table_get(passwords, arena, name, &user->value);

    user->credentials = (struct credentials){.crypt = SPAN("")};
    if (result != TABLE_FOUND) {
        user->value = SPAN("");
        return result != TABLE_ERROR;
    }
    if (!credentials_parse(arena, user->value, &user->credentials)) {
        log_event(LOG_WARN, "password-entry-bad", LOG_SPAN("user", name));
        user_wipe(user);
        user->credentials = (struct credentials){.crypt = SPAN("")};
    }
    return true;
}

/* The arena is the asker's own, so its octets may be written to. */
static void wipe(struct span secret)
{
    if (secret.len > 0)
        OPENSSL_cleanse((void *)(uintptr_t)secret.data, secret.len);
}

void user_wipe(const struct user *user)
{
    wipe(user->value);
    wipe(user->credentials.crypt);
    wipe(user->credentials.scram.stored);
    wipe(user->credentials.scram.server);
}
