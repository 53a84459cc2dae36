/*
 * Why the header of RFC 5802 §7 is read here too: which binding is the right one is our policy, and
 * a library that is asked for SCRAM-SHA-256 without any binding can not know that PLUS was offered.
 * From the message itself, the nonces and the proof we keep our hands off. What the library decodes
 * of the keys for itself it does not wipe; the copies in base64 are wiped here.
 *
 * The library asks for salt and keys by callback once it knows the user. A user without keys gets
 * random ones, so that the same is computed for everybody.
 */
#include "auth/scram.h"

#include <gsasl.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <sysexits.h>

#include "util/base/base64.h"
#include "util/base/log.h"
#include "util/base/panic.h"
#include "util/base/random.h"

enum { DIGEST = 32, DECIMAL_MAX = 12 };

struct scram_server {
    Gsasl *library;
    const struct conf *conf;
    struct table *passwords;
    EVP_MD *sha256;
    uint8_t salt_key[DIGEST];
};

/* One exchange. What it allocates lives in its arena; what the library allocates is given back as
 * soon as it was copied. */
struct scram {
    struct scram_server *server;
    Gsasl_session *session;
    struct arena arena;
    enum sasl_binding kind;
    bool plus;
    bool asked;      /* the client's first message was taken */
    bool unreadable; /* the table */
    bool impossible; /* no proof can be right: no such user, no keys, another's authzid */
    char name[ADDRESS_TEXT_MAX];
    size_t name_len;
};

/* ---- what all share ---- */

/* HMAC-SHA-256 with the digest fetched once. */
static void hmac(const struct scram_server *server, struct span key, struct span text,
                 uint8_t digest[DIGEST])
{
    unsigned len = 0;

    if (!HMAC(server->sha256, key.data, (int)key.len, (const unsigned char *)text.data, text.len,
              digest, &len) ||
        len != DIGEST)
        fatal(EX_SOFTWARE, "HMAC-SHA-256 failed");
}

static int asked_for(Gsasl *library, Gsasl_session *session, Gsasl_property property);

/* One whole exchange of nobody, so that whatever is loaded at the first use is loaded now. */
static void warm_up(struct scram_server *server)
{
    Gsasl_session *session;
    char *output = NULL;
    size_t len;

    if (gsasl_server_start(server->library, "SCRAM-SHA-256", &session) != GSASL_OK)
        fatal(EX_SOFTWARE, "gsasl offers no SCRAM-SHA-256");
    if (gsasl_step(session, "n,,n=x,r=x", 10, &output, &len) == GSASL_NEEDS_MORE)
        gsasl_free(output);
    gsasl_finish(session);
}

/* The key of the salts is made of the key that is given, so that one tells nothing of the other. */
struct scram_server *scram_server_new(const struct conf *conf, struct table *passwords,
                                      struct span key)
{
    struct scram_server *server = mem_new(sizeof(*server));

    server->conf = conf;
    server->passwords = passwords;
    server->sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!server->sha256 || gsasl_init(&server->library) != GSASL_OK)
        fatal(EX_SOFTWARE, "no SHA-256, or no gsasl");
    hmac(server, key, SPAN("veredus: salts of users that do not exist"), server->salt_key);
    warm_up(server);
    gsasl_callback_set(server->library, asked_for);
    return server;
}

void scram_server_free(struct scram_server *server)
{
    gsasl_done(server->library);
    EVP_MD_free(server->sha256);
    OPENSSL_cleanse(server->salt_key, sizeof(server->salt_key));
    mem_free(server);
}

/* ---- the user ---- */

/* What a user that does not exist is answered with: a salt of his own, keys that nobody has. */
static struct scram_keys keys_of_nobody(struct scram *scram)
{
    uint8_t salt[DIGEST], keys[2 * SCRAM_KEY_SIZE];

    hmac(scram->server, span_of(scram->server->salt_key, DIGEST), scram_user(scram), salt);
    random_fill(keys, sizeof(keys));
    return (struct scram_keys){
        .iterations = SCRAM_ITERATIONS,
        .salt = base64_encode(&scram->arena, span_of(salt, SCRAM_SALT_SIZE)),
        .stored = base64_encode(&scram->arena, span_of(keys, SCRAM_KEY_SIZE)),
        .server = base64_encode(&scram->arena, span_of(keys + SCRAM_KEY_SIZE, SCRAM_KEY_SIZE)),
    };
}

/* The library copies the text; its memory is all that can run out. */
static void give(struct scram *scram, Gsasl_property property, struct span text)
{
    if (gsasl_property_set_raw(scram->session, property, text.data, text.len) != GSASL_OK)
        fatal(EX_OSERR, "gsasl is out of memory");
}

/* In base64, whatever its header says. */
static void give_keys(struct scram *scram, const struct scram_keys *keys)
{
    char iterations[DECIMAL_MAX];

    (void)snprintf(iterations, sizeof(iterations), "%u", keys->iterations);
    give(scram, GSASL_SCRAM_ITER, span_cstr(iterations));
    give(scram, GSASL_SCRAM_SALT, keys->salt);
    give(scram, GSASL_SCRAM_STOREDKEY, keys->stored);
    give(scram, GSASL_SCRAM_SERVERKEY, keys->server);
}

/* An entry without keys can be used with PLAIN and LOGIN; the client is told nothing. */
static void look_up(struct scram *scram, struct span name, struct span authzid)
{
    struct user user;
    struct span canonical = user_name(scram->server->conf, name, scram->name);

    scram->name_len = canonical.len;
    struct scram_keys keys = keys_of_nobody(scram);
    scram->unreadable =
        !user_find(scram->server->passwords, &scram->arena, scram_user(scram), &user);
    if (user.credentials.has_scram)
        keys = user.credentials.scram;
    else if (user.credentials.crypt.len > 0)
        log_event(LOG_INFO, "scram-without-keys", LOG_SPAN("user", scram_user(scram)));
    scram->impossible = !user.credentials.has_scram ||
                        !user_acts_as(scram->server->conf, scram_user(scram), authzid);
    give_keys(scram, &keys);
    user_wipe(&user);
}

/* Callback of the library: it knows the name by the time it asks for the iterations. Everything is
 * given at once then. */
static int asked_for(Gsasl *library, Gsasl_session *session, Gsasl_property property)
{
    struct scram *scram = gsasl_session_hook_get(session);
    const char *name = gsasl_property_fast(session, GSASL_AUTHID);

    (void)library;
    if (property != GSASL_SCRAM_ITER || !scram || !name)
        return GSASL_NO_CALLBACK;
    look_up(scram, span_cstr(name), span_cstr(gsasl_property_fast(session, GSASL_AUTHZID)));
    return GSASL_OK;
}

/* ---- one exchange ---- */

struct scram *scram_new(struct scram_server *server, bool plus, enum sasl_binding kind,
                        struct span binding)
{
    struct scram *scram = mem_new(sizeof(*scram));

    scram->server = server;
    scram->plus = plus;
    scram->kind = kind;
    if (gsasl_server_start(server->library, plus ? "SCRAM-SHA-256-PLUS" : "SCRAM-SHA-256",
                           &scram->session) != GSASL_OK)
        fatal(EX_OSERR, "gsasl is out of memory");
    gsasl_session_hook_set(scram->session, scram);
    /* Without PLUS the library is told of no binding; "y" is judged by judge_header. */
    if (plus && kind != SASL_BINDING_NONE)
        give(scram, kind == SASL_BINDING_TLS_EXPORTER ? GSASL_CB_TLS_EXPORTER : GSASL_CB_TLS_UNIQUE,
             base64_encode(&scram->arena, binding));
    return scram;
}

/* The library frees its copies as they are. */
static void wipe_property(struct scram *scram, Gsasl_property property)
{
    const char *text = gsasl_property_fast(scram->session, property);

    if (text)
        OPENSSL_cleanse((void *)(uintptr_t)text, strlen(text));
}

void scram_free(struct scram *scram)
{
    if (!scram)
        return;
    wipe_property(scram, GSASL_SCRAM_STOREDKEY);
    wipe_property(scram, GSASL_SCRAM_SERVERKEY);
    gsasl_finish(scram->session);
    arena_free(&scram->arena);
    mem_free(scram);
}

struct span scram_user(const struct scram *scram)
{
    return span_of(scram->name, scram->name_len);
}

/* The name of our binding, RFC 5929 §3.1 and RFC 9266 §2. */
static struct span binding_name(enum sasl_binding kind)
{
    switch (kind) {
    case SASL_BINDING_TLS_UNIQUE:
        return SPAN("p=tls-unique");
    case SASL_BINDING_TLS_EXPORTER:
        return SPAN("p=tls-exporter");
    case SASL_BINDING_NONE:
        break;
    }
    return SPAN("");
}

/* RFC 5802 §7: gs2-cbind-flag, first of all. §6: "p" belongs to PLUS and to nothing else; "y" says
 * that the server has no PLUS, so where it was offered somebody in between took it away. */
static enum scram_result judge_header(const struct scram *scram, struct span message)
{
    struct span flag = span_first(message, span_find(message, ','));

    if (flag.len == message.len)
        return SCRAM_MALFORMED;
    if (span_equal(flag, SPAN("n")))
        return scram->plus ? SCRAM_REFUSED : SCRAM_MORE;
    if (span_equal(flag, SPAN("y")))
        return scram->kind != SASL_BINDING_NONE ? SCRAM_REFUSED : SCRAM_MORE;
    if (!span_has_prefix(flag, SPAN("p=")))
        return SCRAM_MALFORMED;
    bool ours = scram->plus && span_equal(flag, binding_name(scram->kind));
    return ours ? SCRAM_MORE : SCRAM_REFUSED;
}

/* What the library's codes mean at the client's first message. */
static enum scram_result first_result(const struct scram *scram, int code)
{
    if (scram->unreadable)
        return SCRAM_TEMPORARY;
    return code == GSASL_NEEDS_MORE && scram->name_len > 0 ? SCRAM_MORE : SCRAM_MALFORMED;
}

/* And at its last one. */
static enum scram_result last_result(const struct scram *scram, int code)
{
    if (code == GSASL_MECHANISM_PARSE_ERROR || code == GSASL_NEEDS_MORE)
        return SCRAM_MALFORMED;
    return code == GSASL_OK && !scram->impossible ? SCRAM_RIGHT : SCRAM_WRONG;
}

/* RFC 5802 §5.1: in a name "=" stands before "2C" or "3D" and nowhere else; the library is not as
 * strict. */
static bool is_saslname(struct span name)
{
    for (size_t at = span_find(name, '='); at < name.len; at = span_find(name, '=')) {
        name = span_skip(name, at + 1);
        if (!span_has_prefix(name, SPAN("2C")) && !span_has_prefix(name, SPAN("3D")))
            return false;
    }
    return true;
}

/* The authzid ("a=..." or nothing) and the user ("n=..."), the parts behind the flag. */
static bool names_are_valid(struct span message)
{
    struct span flag, authzid, user;

    return span_next(&message, ',', &flag) && span_next(&message, ',', &authzid) &&
           span_next(&message, ',', &user) && is_saslname(span_skip(authzid, 2)) &&
           is_saslname(span_skip(user, 2));
}

/* What the library may see at all. RFC 5802 §7: no message is empty, none holds a NUL. */
static enum scram_result judge_message(const struct scram *scram, struct span message)
{
    if (message.len == 0 || span_find(message, '\0') < message.len)
        return SCRAM_MALFORMED;
    if (scram->asked)
        return SCRAM_MORE;
    enum scram_result header = judge_header(scram, message);
    return header == SCRAM_MORE && !names_are_valid(message) ? SCRAM_MALFORMED : header;
}

enum scram_result scram_step(struct scram *scram, struct span message, struct span *output)
{
    enum scram_result result = judge_message(scram, message);
    bool first = !scram->asked;
    char *made = NULL;
    size_t len = 0;

    *output = SPAN("");
    if (result != SCRAM_MORE)
        return result;
    scram->asked = true;
    int code = gsasl_step(scram->session, message.data, message.len, &made, &len);
    result = first ? first_result(scram, code) : last_result(scram, code);
    if (result == SCRAM_MORE || result == SCRAM_RIGHT)
        *output = arena_copy(&scram->arena, span_of(made, len));
    gsasl_free(made);
    return result;
}
