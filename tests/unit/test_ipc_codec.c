/*
 * What is written is read back, and nothing that is cut, too long or over a bound is read at all.
 */
#include "util/ipc/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A number of known octets and a text, to look at the wire form. */
static const struct verify login = {
    .query = 0x01020304,
    .user = SPAN_INIT("alice"),
    .password = SPAN_INIT("sesame"),
    .client = SPAN_INIT("192.0.2.1"),
    .session = 0x1122334455667788,
};

static struct span only_body(const struct buf *frame, const struct ipc_type **type)
{
    struct ipc_cursor cursor = {.rest = buf_span(frame)};
    struct span body = {0};
    *type = ipc_next(&cursor, &body);
    assert_non_null(*type);
    assert_int_equal(cursor.rest.len, 0);
    return body;
}

static void writes_type_length_and_little_endian_fields(void **state)
{
    (void)state;
    struct buf out = {0};
    const struct agent_credit credit = {.jobs = 0x0102};
    assert_true(ipc_encode(&ipc_agent_credit, &credit, &out));
    assert_true(span_equal(buf_span(&out), span_of("\x30\0\x02\0\0\0\x02\x01", 8)));
    buf_free(&out);
}

static void reads_back_what_it_wrote(void **state)
{
    (void)state;
    struct buf out = {0};
    const struct ipc_type *type;
    struct verify got;

    assert_true(ipc_encode(&ipc_verify, &login, &out));
    struct span body = only_body(&out, &type);
    assert_ptr_equal(type, &ipc_verify);
    assert_true(ipc_decode(type, body, &got));
    assert_int_equal(got.query, login.query);
    assert_true(got.session == login.session);
    assert_true(span_equal(got.user, login.user));
    assert_true(span_equal(got.password, login.password));
    assert_true(span_equal(got.client, login.client));
    buf_free(&out);
}

static void decoded_spans_point_into_the_packet(void **state)
{
    (void)state;
    struct buf out = {0};
    const struct ipc_type *type;
    struct verify got;

    assert_true(ipc_encode(&ipc_verify, &login, &out));
    struct span body = only_body(&out, &type);
    assert_true(ipc_decode(type, body, &got));
    assert_true(got.user.data > body.data && got.user.data < body.data + body.len);
    buf_free(&out);
}

static void walks_several_frames_of_a_packet(void **state)
{
    (void)state;
    struct buf out = {0};
    struct span body;
    for (uint16_t i = 0; i < 3; i++)
        assert_true(ipc_encode(&ipc_agent_credit, &(struct agent_credit){.jobs = i}, &out));

    struct ipc_cursor cursor = {.rest = buf_span(&out)};
    for (uint16_t i = 0; i < 3; i++) {
        struct agent_credit credit;
        assert_ptr_equal(ipc_next(&cursor, &body), &ipc_agent_credit);
        assert_true(ipc_decode(&ipc_agent_credit, body, &credit));
        assert_int_equal(credit.jobs, i);
    }
    assert_null(ipc_next(&cursor, &body));
    assert_false(cursor.bad);
    buf_free(&out);
}

static void refuses_malformed_frames(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        struct span packet;
    } rows[] = {
        {"a lone octet", SPAN_INIT("\x30")},
        {"a header cut short", SPAN_INIT("\x30\0\x02\0\0")},
        {"a body cut short", SPAN_INIT("\x30\0\x02\0\0\0\x01")},
        {"a length past the packet", SPAN_INIT("\x30\0\xff\xff\xff\xff\x01\x02")},
        {"a type that nobody has", SPAN_INIT("\xff\xff\0\0\0\0")},
        {"a type in a gap of the list", SPAN_INIT("\x0f\0\0\0\0\0")},
        {"type 0", SPAN_INIT("\0\0\0\0\0\0")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ipc_cursor cursor = {.rest = rows[i].packet};
        struct span body;
        if (ipc_next(&cursor, &body) != NULL || !cursor.bad)
            fail_msg("accepted: %s", rows[i].what);
        assert_null(ipc_next(&cursor, &body));
    }
}

static void refuses_bodies_that_do_not_fit_the_table(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        const struct ipc_type *type;
        struct span body;
    } rows[] = {
        {"an empty body", &ipc_agent_credit, SPAN_INIT("")},
        {"a number cut short", &ipc_agent_credit, SPAN_INIT("\x01")},
        {"an octet too many", &ipc_agent_credit, SPAN_INIT("\x01\x02\x03")},
        {"an enum past its end", &ipc_operator_ask, SPAN_INIT("\x03")},
        {"a span's length cut short", &ipc_control_key, SPAN_INIT("\x01\0\0")},
        {"a span past the body", &ipc_control_key, SPAN_INIT("\x05\0\0\0abcd")},
        {"a span of 4 GiB", &ipc_control_key, SPAN_INIT("\xff\xff\xff\xff")},
        {"a span over its bound", &ipc_job_result,
         SPAN_INIT("\0\0\0\0\0\0\0\0\0\x11\0\0\0"
                   "12345678901234567"
                   "\0\0\0\0")},
        {"a salt cut short", &ipc_agent_segment, SPAN_INIT("\0\0\0\0\0\0\0\0salt")},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char message[256];
        if (ipc_decode(rows[i].type, rows[i].body, message))
            fail_msg("accepted: %s", rows[i].what);
    }
}

static void refuses_to_write_a_value_over_its_bound(void **state)
{
    (void)state;
    struct buf out = {0};
    static char long_text[600];
    struct resolve question = {.local = span_of(long_text, sizeof(long_text))};

    assert_false(ipc_encode(&ipc_operator_ask, &(struct operator_ask){.what = 200}, &out));
    assert_false(ipc_encode(&ipc_resolve, &question, &out));
    assert_int_equal(buf_len(&out), 0);
    buf_free(&out);
}

static void leaves_a_full_buffer_as_it_was(void **state)
{
    (void)state;
    struct buf out = {.limit = 10};
    struct agent_credit credit = {.jobs = 7};

    assert_true(ipc_encode(&ipc_agent_credit, &credit, &out));
    assert_false(ipc_encode(&ipc_agent_credit, &credit, &out));
    assert_int_equal(buf_len(&out), 8);
    buf_free(&out);
}

static void traces_fields_by_name_and_hides_secrets(void **state)
{
    (void)state;
    struct buf out = {0};

    ipc_trace(&ipc_verify, &login, &out);
    assert_true(span_equal(buf_span(&out), SPAN("verify query=16909060 user=alice password=- "
                                                "client=192.0.2.1 session=1234605616436508552")));
    buf_free(&out);
}

static void traces_foreign_octets_escaped_and_bounded(void **state)
{
    (void)state;
    struct buf out = {0};
    char text[100];
    memset(text, 'x', sizeof(text));
    memcpy(text, "a b\\\n\xff", 6);
    struct job_result result = {.text = span_of(text, sizeof(text)), .enhanced = SPAN("2.0.0")};

    ipc_trace(&ipc_job_result, &result, &out);
    struct span line = buf_span(&out);
    assert_true(span_has_prefix(
        line, SPAN("job_result job=0 fate=0 enhanced=2.0.0 text=a\\x20b\\x5c\\x0a\\xffxxx")));
    assert_true(span_has_suffix(line, SPAN("xxx...")));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_type_length_and_little_endian_fields),
        cmocka_unit_test(reads_back_what_it_wrote),
        cmocka_unit_test(decoded_spans_point_into_the_packet),
        cmocka_unit_test(walks_several_frames_of_a_packet),
        cmocka_unit_test(refuses_malformed_frames),
        cmocka_unit_test(refuses_bodies_that_do_not_fit_the_table),
        cmocka_unit_test(refuses_to_write_a_value_over_its_bound),
        cmocka_unit_test(leaves_a_full_buffer_as_it_was),
        cmocka_unit_test(traces_fields_by_name_and_hides_secrets),
        cmocka_unit_test(traces_foreign_octets_escaped_and_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
