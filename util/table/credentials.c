/*
 * Why one value and not a table for each scheme: a password that changes must change in all its
 * forms at once, and an entry is what the tables replace as a whole.
 */
#include "util/table/credentials.h"

#include "util/base/base64.h"

#define SCRAM_PREFIX SPAN("scram-sha-256=")

/* One part in base64 whose octets are between `least` and `most`; kept as text. */
static bool take_base64(struct arena *arena, struct span part, size_t least, size_t most,
                        struct span *kept)
{
    struct span octets;

    if (!base64_decode(arena, part, &octets) || octets.len < least || octets.len > most)
        return false;
    *kept = arena_copy(arena, part);
    return true;
}

/* "65536,salt,stored,server" */
static bool parse_scram(struct arena *arena, struct span rest, struct scram_keys *keys)
{
    struct span iterations, salt, stored;
    uint64_t number;

    if (!span_next(&rest, ',', &iterations) || !span_next(&rest, ',', &salt) ||
        !span_next(&rest, ',', &stored) ||
        !span_to_u64(iterations, SCRAM_ITERATIONS_MOST, &number) || number < SCRAM_ITERATIONS_LEAST)
        return false;
    keys->iterations = (uint32_t)number;
    return take_base64(arena, salt, SCRAM_SALT_LEAST, SCRAM_SALT_MOST, &keys->salt) &&
           take_base64(arena, stored, SCRAM_KEY_SIZE, SCRAM_KEY_SIZE, &keys->stored) &&
           take_base64(arena, rest, SCRAM_KEY_SIZE, SCRAM_KEY_SIZE, &keys->server);
}

/* Each form once: of two hashes nobody could say which one counts. */
static bool take_word(struct arena *arena, struct span word, struct credentials *credentials)
{
    if (span_has_prefix(word, SCRAM_PREFIX)) {
        if (credentials->has_scram)
            return false;
        credentials->has_scram = true;
        return parse_scram(arena, span_skip(word, SCRAM_PREFIX.len), &credentials->scram);
    }
    if (credentials->crypt.len > 0)
        return false;
    credentials->crypt = arena_copy(arena, word);
    return true;
}

bool credentials_parse(struct arena *arena, struct span value, struct credentials *credentials)
{
    struct span word;
    bool good = true;

    *credentials = (struct credentials){.crypt = SPAN("")};
    while (good && span_next(&value, ' ', &word))
        /* Several blanks between two words are one. */
        good = span_trim(word).len == 0 || take_word(arena, span_trim(word), credentials);
    return good;
}

struct span credentials_text(struct arena *arena, const struct credentials *credentials)
{
    const struct scram_keys *keys = &credentials->scram;
    struct span crypt = credentials->crypt;

    if (!credentials->has_scram)
        return arena_copy(arena, crypt);
    return arena_printf(arena, "%.*s%s%.*s%u,%.*s,%.*s,%.*s", SPAN_ARG(crypt),
                        crypt.len > 0 ? " " : "", SPAN_ARG(SCRAM_PREFIX), keys->iterations,
                        SPAN_ARG(keys->salt), SPAN_ARG(keys->stored), SPAN_ARG(keys->server));
}
