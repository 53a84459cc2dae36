/*
 * Each extension adds a keyword, and each has the same three ways to be wrong: unknown here, said
 * twice, of a form of its own. Only the last differs, so only that is a function; the rest is one
 * walk over a table.
 */
#include "smtpd/parameters.h"

#include "smtpd/answer.h"
#include "smtpd/path.h"
#include "util/mail/utf8.h"
#include "util/mail/xtext.h"

enum {
    ENVID_MOST = 100, /* RFC 3461 §4.4 */
    ORCPT_MOST = 500  /* §4.2 */
};

/* One keyword. Constant. */
struct rule {
    struct span keyword;
    /* Takes the value into the parameters of its command; false: it is malformed. */
    bool (*take)(struct span value, void *parameters);
    const char *bad; /* the text for that, and for a keyword that comes twice */
    bool alone;      /* no "=" may follow */
};

/* RFC 1870 §6.1; how much is too much is asked by MAIL itself. */
static bool take_size(struct span value, void *parameters)
{
    return span_to_u64(value, UINT64_MAX, &((struct mail_parameters *)parameters)->size);
}

/* RFC 6152 §3, RFC 3030 §3 */
static bool take_body(struct span value, void *parameters)
{
    static const struct {
        struct span name;
        uint16_t flags;
    } bodies[] = {
        {SPAN_INIT("7BIT"), 0},
        {SPAN_INIT("8BITMIME"), RECORD_FLAG_8BIT},
        {SPAN_INIT("BINARYMIME"), RECORD_FLAG_8BIT | RECORD_FLAG_BINARY},
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++)
        if (span_equal_nocase(value, bodies[i].name)) {
            ((struct mail_parameters *)parameters)->flags |= bodies[i].flags;
            return true;
        }
    return false;
}

/* RFC 6531 §3.4 */
static bool take_utf8(struct span value, void *parameters)
{
    (void)value;
    ((struct mail_parameters *)parameters)->flags |= RECORD_FLAG_UTF8;
    return true;
}

/* RFC 8689 §4.1; that there is TLS is asked by MAIL itself. */
static bool take_requiretls(struct span value, void *parameters)
{
    (void)value;
    ((struct mail_parameters *)parameters)->flags |= RECORD_FLAG_REQUIRETLS;
    return true;
}

/* RFC 3461 §4.3 */
static bool take_ret(struct span value, void *parameters)
{
    bool full = span_equal_nocase(value, SPAN("FULL"));
    ((struct mail_parameters *)parameters)->ret = full ? ENVELOPE_RET_FULL : ENVELOPE_RET_HDRS;
    return full || span_equal_nocase(value, SPAN("HDRS"));
}

/* RFC 3461 §4.4 */
static bool take_envid(struct span value, void *parameters)
{
    ((struct mail_parameters *)parameters)->envid = value;
    return value.len > 0 && value.len <= ENVID_MOST && xtext_is_valid(value);
}

/* RFC 4954 §5: a mailbox in xtext, or "<>". Who may say it is asked by MAIL itself. */
static bool take_auth(struct span value, void *parameters)
{
    struct buf text = {.limit = ADDRESS_TEXT_MAX};
    struct address *submitter = &((struct mail_parameters *)parameters)->submitter;
    if (span_equal(value, SPAN("<>")))
        return true;
    bool good =
        xtext_decode(value, &text) && address_parse(buf_span(&text), submitter) == ADDRESS_OK;
    buf_free(&text);
    return good;
}

static const struct rule mail_rules[] = {
    {SPAN_INIT("SIZE"), take_size, "Bad SIZE parameter", false},
    {SPAN_INIT("BODY"), take_body, "Bad BODY parameter", false},
    {SPAN_INIT("SMTPUTF8"), take_utf8, "Bad SMTPUTF8 parameter", true},
    {SPAN_INIT("RET"), take_ret, "Bad RET parameter", false},
    {SPAN_INIT("ENVID"), take_envid, "Bad ENVID parameter", false},
    {SPAN_INIT("AUTH"), take_auth, "Bad AUTH parameter", false},
    {SPAN_INIT("REQUIRETLS"), take_requiretls, "Bad REQUIRETLS parameter", true},
    {.take = NULL},
};

/* The bit of one word of NOTIFY; 0: there is none. */
static uint8_t notify_bit(struct span word)
{
    static const struct {
        struct span name;
        uint8_t bit;
    } words[] = {
        {SPAN_INIT("NEVER"), ENVELOPE_NOTIFY_NEVER},
        {SPAN_INIT("SUCCESS"), ENVELOPE_NOTIFY_SUCCESS},
        {SPAN_INIT("FAILURE"), ENVELOPE_NOTIFY_FAILURE},
        {SPAN_INIT("DELAY"), ENVELOPE_NOTIFY_DELAY},
    };
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (span_equal_nocase(word, words[i].name))
            return words[i].bit;
    return 0;
}

/* RFC 3461 §4.1: NEVER stands alone; of the others each at most once. */
static bool take_notify(struct span value, void *parameters)
{
    uint8_t *notify = &((struct rcpt_parameters *)parameters)->notify;
    struct span rest = value, word;
    bool ends_in_comma = span_has_suffix(value, SPAN(","));
    while (span_next(&rest, ',', &word)) {
        uint8_t bit = notify_bit(word);
        if (bit == 0 || (*notify & bit) != 0)
            return false;
        *notify |= bit;
    }
    bool alone = *notify == ENVELOPE_NOTIFY_NEVER || (*notify & ENVELOPE_NOTIFY_NEVER) == 0;
    return *notify != 0 && alone && !ends_in_comma;
}

/* An addr-type is an atom (RFC 3461 §4.2); those that are registered need no more than this. */
static bool is_address_type(struct span type)
{
    for (size_t i = 0; i < type.len; i++) {
        char c = type.data[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '-')
            return false;
    }
    return type.len > 0;
}

/* RFC 6533 §3: what is no xtext in an address of type "utf-8" is characters beyond ASCII. */
static bool is_utf8_address(struct span text)
{
    size_t start = 0, at = 0;
    while (at < text.len) {
        size_t length = utf8_character(span_skip(text, at));
        if (length > 0 && !xtext_is_valid(span_first(span_skip(text, start), at - start)))
            return false;
        at += length > 0 ? length : 1;
        start = length > 0 ? at : start;
    }
    return xtext_is_valid(span_skip(text, start));
}

/* RFC 3461 §4.2: addr-type ";" xtext */
static bool take_orcpt(struct span value, void *parameters)
{
    struct span type = span_first(value, span_find(value, ';'));
    struct span text = span_skip(value, type.len + 1);
    ((struct rcpt_parameters *)parameters)->orcpt = value;
    bool wide = span_equal_nocase(type, SPAN("utf-8"));
    return value.len <= ORCPT_MOST && is_address_type(type) && text.len > 0 &&
           (wide ? is_utf8_address(text) : xtext_is_valid(text));
}

static const struct rule rcpt_rules[] = {
    {SPAN_INIT("NOTIFY"), take_notify, "Bad NOTIFY parameter", false},
    {SPAN_INIT("ORCPT"), take_orcpt, "Bad ORCPT parameter", false},
    {.take = NULL},
};

/* RFC 5321 §2.4: keywords have no case. NULL: not one of ours. */
static const struct rule *rule_of(const struct rule *rules, struct span keyword)
{
    while (rules->take != NULL && !span_equal_nocase(rules->keyword, keyword))
        rules++;
    return rules->take != NULL ? rules : NULL;
}

/* One "keyword" or "keyword=value". *seen has a bit for each row. */
static struct reply take_word(const struct rule *rules, struct span word, unsigned *seen,
                              void *parameters)
{
    struct span keyword = span_first(word, span_find(word, '='));
    struct span value = span_skip(word, keyword.len + 1);
    const struct rule *rule = rule_of(rules, keyword);
    if (rule == NULL)
        return answer(555, "5.5.4", "Unknown parameter"); /* RFC 5321 §4.1.1.11 */
    unsigned bit = 1u << (rule - rules);
    bool misplaced = rule->alone && keyword.len < word.len;
    bool good = (*seen & bit) == 0 && !misplaced && rule->take(value, parameters);
    *seen |= bit;
    return good ? REPLY_PENDING : answer(501, "5.5.4", rule->bad);
}

/* The first that is wrong is the answer. */
static struct reply take_all(const struct rule *rules, struct span text, void *parameters)
{
    struct span word;
    unsigned seen = 0;
    struct reply reply = REPLY_PENDING;
    while (reply_is_pending(reply) && path_next_parameter(&text, &word))
        reply = take_word(rules, word, &seen, parameters);
    return reply;
}

/* RFC 5321 §4.1.1.2 */
struct reply parameters_of_mail(struct span text, struct mail_parameters *parameters)
{
    *parameters = (struct mail_parameters){0};
    return take_all(mail_rules, text, parameters);
}

/* RFC 5321 §4.1.1.3 */
struct reply parameters_of_rcpt(struct span text, struct rcpt_parameters *parameters)
{
    *parameters = (struct rcpt_parameters){0};
    return take_all(rcpt_rules, text, parameters);
}
