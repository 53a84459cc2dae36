/*
 * DATA (RFC 5321 §4.1.1.4) and BDAT (RFC 3030 §2): the message comes, as lines up to a dot, or a
 * part of it as so many octets.
 *
 *     data       = "DATA" CRLF
 *     bdat-cmd   = "BDAT" SP chunk-size [ SP end-marker ] CR LF
 *     chunk-size = 1*DIGIT
 *     end-marker = "LAST"
 *
 * Where the size can not be read nobody knows where the next command begins, and to guess is what
 * smuggling lives on: the session ends. Where it can, whatever else is wrong is said behind the
 * octets.
 */
#include "smtpd/answer.h"
#include "smtpd/chunk.h"
#include "smtpd/commands.h"
#include "smtpd/data.h"
#include "smtpd/path.h"

/* RFC 5321 §4.1.1: DATA permits no parameters. That a recipient was accepted is asked by its row in
 * the verb table. */
struct reply cmd_data(struct session *session, struct span arguments)
{
    if (arguments.len > 0)
        return answer(501, "5.5.4", "Syntax: DATA");
    /* RFC 3030 §3: what is binary has no lines, so no dot could end it. */
    if (session->transaction->flags & RECORD_FLAG_BINARY)
        return answer(503, "5.5.1", "BODY=BINARYMIME takes BDAT");
    return data_begin(session);
}

/* ---- BDAT ---- */

/* False: there is no size. */
static bool parse(struct span arguments, uint64_t *size, struct span *marker)
{
    struct span word;
    bool found = path_next_parameter(&arguments, &word) && span_to_u64(word, UINT64_MAX, size);
    *marker = span_trim(arguments);
    return found;
}

static const struct reply no_size = {
    .code = 501, .close = true, .enhanced = "5.5.4", .text = "Syntax: BDAT size [LAST]"};

/* That a recipient was accepted is asked by its row in the verb table. */
struct reply cmd_bdat(struct session *session, struct span arguments)
{
    uint64_t size;
    struct span marker;
    if (!parse(arguments, &size, &marker))
        return no_size;
    bool last = span_equal_nocase(marker, SPAN("LAST"));
    if (marker.len > 0 && !last)
        return chunk_refuse(session, size, answer(501, "5.5.4", "Syntax: BDAT size [LAST]"));
    return chunk_begin(session, size, last);
}

/* RFC 3030 §2: a chunk in the wrong place is discarded like any other that is refused. */
struct reply cmd_bdat_refused(struct session *session, struct span arguments, struct reply refusal)
{
    uint64_t size;
    struct span marker;
    return parse(arguments, &size, &marker) ? chunk_refuse(session, size, refusal) : no_size;
}
