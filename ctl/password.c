/*
 * A password is in memory for as long as it takes to hash it, and nowhere else: not in the
 * environment, not in a log. What is too long is refused; a password cut short would open the
 * mailbox to a shorter guess.
 */
#include "ctl/password.h"

#include <bsd/readpassphrase.h>
#include <crypt.h>
#include <errno.h>
#include <gsasl.h>
#include <unistd.h>

#include "util/base/base64.h"
#include "util/base/random.h"
#include "util/table/credentials.h"

enum { TYPED_MAX = PASSWORD_MAX + 2 }; /* one octet too many is seen, not dropped */

/* Control octets apart every octet is allowed, UTF-8 included: octets are hashed, not letters. */
bool password_is_usable(struct ctl *ctl, struct span password)
{
    bool control = false;
    for (size_t i = 0; i < password.len; i++)
        control = control || (unsigned char)password.data[i] < ' ' || password.data[i] == 0x7f;
    if (password.len == 0)
        ctl_say(ctl, "the password is empty; nobody gets a mailbox without one");
    else if (password.len > PASSWORD_MAX)
        ctl_say(ctl, "the password is longer than %d octets", PASSWORD_MAX);
    else if (control)
        ctl_say(ctl, "the password holds control characters; no client could send it");
    return password.len > 0 && password.len <= PASSWORD_MAX && !control;
}

/* Twice, because nobody sees what is typed. */
static bool from_terminal(struct ctl *ctl, const char *user, char typed[TYPED_MAX])
{
    char again[TYPED_MAX] = "";
    const char *prompt = arena_printf(&ctl->arena, "Password for %s: ", user).data;
    bool good = readpassphrase(prompt, typed, TYPED_MAX, RPP_ECHO_OFF) &&
                readpassphrase("Once more: ", again, TYPED_MAX, RPP_ECHO_OFF);
    if (!good)
        ctl_say(ctl, "no password could be read: %s", log_errno_text(errno));
    else if (!span_equal(span_cstr(typed), span_cstr(again)))
        ctl_say(ctl, "the two are not the same; nothing was changed");
    /* The second copy is wiped here, the first by the caller, who still needs it. */
    good = good && span_equal(span_cstr(typed), span_cstr(again));
    explicit_bzero(again, sizeof again);
    return good;
}

/* One line, without its end (LF or CR LF), or as much of it as shows that it is too long. */
static size_t from_stream(FILE *in, char typed[TYPED_MAX])
{
    size_t length = 0;
    int octet, last = EOF;
    /* The line is read to its end however long: what follows belongs to the next question. */
    while ((octet = getc(in)) != EOF && octet != '\n') {
        if (length < TYPED_MAX - 1)
            typed[length++] = (char)octet;
        last = octet;
    }
    /* Not when the line was cut off: then the last octet kept is another. */
    if (last == '\r' && length < TYPED_MAX - 1)
        length--;
    typed[length] = '\0';
    return length;
}

bool password_read(struct ctl *ctl, const char *user, char password[PASSWORD_MAX + 1])
{
    char typed[TYPED_MAX] = "";
    size_t length = 0;
    bool good = true;
    /* A script hands over one line; a person is asked, without echo. */
    if (isatty(fileno(ctl->streams.in))) {
        good = from_terminal(ctl, user, typed);
        length = strlen(typed);
    } else {
        length = from_stream(ctl->streams.in, typed);
    }
    good = good && password_is_usable(ctl, span_of(typed, length));
    /* The caller's buffer is a valid empty string whenever the answer is false. */
    password[0] = '\0';
    if (good)
        memcpy(password, typed, length + 1);
    explicit_bzero(typed, sizeof typed);
    return good;
}

/* The cost is libxcrypt's default, as it is for the hash that auth spends on unknown users: the
 * time of an answer must not tell who exists. */
static bool hash(struct ctl *ctl, const char *password, struct span *hashed)
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data scratch = {0};
    const char *made = NULL;
    /* yescrypt; the salt comes from the kernel. */
    if (crypt_gensalt_rn("$y$", 0, NULL, 0, setting, (int)sizeof setting))
        made = crypt_rn(password, setting, &scratch, (int)sizeof scratch);
    if (made)
        *hashed = arena_copy(&ctl->arena, span_cstr(made));
    else
        ctl_say(ctl, "the password could not be hashed: %s", log_errno_text(errno));
    /* The scratch holds what the password can be worked back from, so it goes as well. */
    explicit_bzero(&scratch, sizeof scratch);
    return made != NULL;
}

/* RFC 5802 §3. False: SASLprep refuses the password, so no client of SCRAM could send it. */
static bool derive(struct ctl *ctl, const char *password, struct scram_keys *keys)
{
    char salt[SCRAM_SALT_SIZE], salted[SCRAM_KEY_SIZE], client[SCRAM_KEY_SIZE];
    char server[SCRAM_KEY_SIZE], stored[SCRAM_KEY_SIZE];
    random_fill(salt, sizeof salt);
    int code = gsasl_scram_secrets_from_password(GSASL_HASH_SHA256, password, SCRAM_ITERATIONS,
                                                 salt, sizeof salt, salted, client, server, stored);
    if (code == GSASL_OK)
        *keys = (struct scram_keys){
            .iterations = SCRAM_ITERATIONS,
            .salt = base64_encode(&ctl->arena, span_of(salt, sizeof salt)),
            .stored = base64_encode(&ctl->arena, span_of(stored, sizeof stored)),
            .server = base64_encode(&ctl->arena, span_of(server, sizeof server))};
    /* Either is as good as the password to who wants to log in by SCRAM. */
    explicit_bzero(salted, sizeof salted);
    explicit_bzero(client, sizeof client);
    return code == GSASL_OK;
}

bool password_entry(struct ctl *ctl, const char *password, char entry[PASSWORD_ENTRY_MAX])
{
    struct credentials credentials = {0};
    entry[0] = '\0';
    if (!hash(ctl, password, &credentials.crypt))
        return false;
    credentials.has_scram = derive(ctl, password, &credentials.scram);
    if (!credentials.has_scram)
        ctl_say(ctl, "the password holds characters that SCRAM can not carry; PLAIN, LOGIN and "
                     "POP3 will take it");
    return span_to_cstr(credentials_text(&ctl->arena, &credentials), entry, PASSWORD_ENTRY_MAX);
}
