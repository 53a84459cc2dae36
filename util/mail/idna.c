/*
 * Everything behind the parser of addresses compares and routes the ASCII form alone: a domain that
 * could be written in two ways would be two domains to a table and one to the DNS.
 */
#include "util/mail/idna.h"

#include <idn2.h>
#include <string.h>

/* RFC 5891 §5: a look-up, so what is not assigned or not allowed is refused. UTS 46 maps capitals
 * and composed forms first, as people type them. */
bool idna_to_ascii(struct span domain, char out[IDNA_MAX], size_t *length)
{
    char text[IDNA_MAX + 1];
    uint8_t *ascii = NULL;
    if (!span_to_cstr(domain, text, sizeof text) ||
        idn2_lookup_u8((const uint8_t *)text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) !=
            IDN2_OK)
        return false;
    *length = strlen((const char *)ascii);
    bool fits = *length <= IDNA_MAX;
    if (fits)
        memcpy(out, ascii, *length);
    idn2_free(ascii);
    return fits;
}
