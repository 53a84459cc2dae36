/*
 * A ticket is good for exactly what it was made for: every octet of it, the user, the session, the
 * key and the time are changed one at a time.
 */
#include "util/ipc/ticket.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KEY   SPAN("0123456789abcdef0123456789abcdef")
#define ALICE SPAN("alice@example.test")

enum { SESSION = 77, EXPIRY = 5000 };

static struct span made(uint8_t out[TICKET_SIZE])
{
    ticket_make(KEY, ALICE, SESSION, EXPIRY, out);
    return span_of(out, TICKET_SIZE);
}

static void a_ticket_is_good_until_its_expiry(void **state)
{
    (void)state;
    uint8_t octets[TICKET_SIZE];
    struct span ticket = made(octets);
    assert_true(ticket_check(KEY, ALICE, SESSION, 0, ticket));
    assert_true(ticket_check(KEY, ALICE, SESSION, EXPIRY, ticket));
    assert_false(ticket_check(KEY, ALICE, SESSION, EXPIRY + 1, ticket));
}

static void a_ticket_is_good_for_one_user_session_and_key(void **state)
{
    (void)state;
    uint8_t octets[TICKET_SIZE];
    struct span ticket = made(octets);
    struct span other = SPAN("0123456789abcdef0123456789abcdeF");
    assert_false(ticket_check(KEY, SPAN("alice@example.tesT"), SESSION, 0, ticket));
    assert_false(ticket_check(KEY, SPAN(""), SESSION, 0, ticket));
    assert_false(ticket_check(KEY, ALICE, SESSION + 1, 0, ticket));
    assert_false(ticket_check(other, ALICE, SESSION, 0, ticket));
}

static void a_changed_octet_spoils_a_ticket(void **state)
{
    (void)state;
    for (size_t i = 0; i < TICKET_SIZE; i++) {
        uint8_t octets[TICKET_SIZE];
        struct span ticket = made(octets);
        octets[i] ^= 1;
        assert_false(ticket_check(KEY, ALICE, SESSION, 0, ticket));
    }
}

static void a_ticket_of_another_length_is_none(void **state)
{
    (void)state;
    uint8_t octets[TICKET_SIZE];
    struct span ticket = made(octets);
    for (size_t length = 0; length < TICKET_SIZE; length++)
        assert_false(ticket_check(KEY, ALICE, SESSION, 0, span_first(ticket, length)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ticket_is_good_until_its_expiry),
        cmocka_unit_test(a_ticket_is_good_for_one_user_session_and_key),
        cmocka_unit_test(a_changed_octet_spoils_a_ticket),
        cmocka_unit_test(a_ticket_of_another_length_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
