/*
 * Each extension adds a keyword, and each has the same three ways to be wrong: unknown here, said
 * twice, of a form of its own. Only the last differs, so only that is a function; the rest is one
 * walk over a table.
 */
#include "smtpd/parameters.h"

#include "smtpd/answer.h"
#include "smtpd/path.h"

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

static const struct rule mail_rules[] = {
    {SPAN_INIT("SIZE"), take_size, "Bad SIZE parameter", false},
    {SPAN_INIT("BODY"), take_body, "Bad BODY parameter", false},
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
