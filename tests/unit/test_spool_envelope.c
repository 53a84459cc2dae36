/*
 * The envelope: everything that goes in comes out, nothing that could break a line goes in, and no
 * octets whatever make the reader stumble.
 */
#include "spool_rig.h"

#include "util/base/buf.h"

static const struct envelope_recipient recipients[] = {
    {.address = SPAN_INIT("bob@example.test"),
     .original = SPAN_INIT("Bob@example.test"),
     .transport = SPAN_INIT("local"),
     .nexthop = SPAN_INIT("example.test/bob"),
     .orcpt = SPAN_INIT("rfc822;Bob@old.test"),
     .notify = 10},
    {.address = SPAN_INIT("eve@example.test")},
};

static struct envelope sample(void)
{
    return (struct envelope){
        .sender = SPAN("alice@example.test"),
        .client_address = SPAN("192.0.2.1"),
        .client_name = SPAN("client.example"),
        .helo = SPAN("helo.example"),
        .protocol = SPAN("ESMTPSA"),
        .login = SPAN("alice"),
        .submitter = SPAN("alice@example.test"),
        .envid = SPAN("QQ314159"),
        .ret = 2,
        .recipients = recipients,
        .recipient_count = 2,
    };
}

static void assert_span(struct span got, struct span wanted)
{
    assert_int_equal(got.len, wanted.len);
    assert_memory_equal(got.data, wanted.data, wanted.len);
}

static void test_envelope_reads_back(void **state)
{
    (void)state;
    struct envelope envelope = sample();
    struct envelope read;
    struct buf out = {0};
    struct arena arena = {0};
    assert_true(envelope_encode(&envelope, &out));
    assert_true(envelope_decode(buf_span(&out), &arena, &read));
    assert_span(read.sender, envelope.sender);
    assert_span(read.client_address, envelope.client_address);
    assert_span(read.client_name, envelope.client_name);
    assert_span(read.helo, envelope.helo);
    assert_span(read.protocol, envelope.protocol);
    assert_span(read.login, envelope.login);
    assert_span(read.submitter, envelope.submitter);
    assert_span(read.envid, envelope.envid);
    assert_int_equal(read.ret, 2);
    assert_int_equal(read.recipient_count, 2);
    assert_span(read.recipients[0].address, recipients[0].address);
    assert_span(read.recipients[0].original, recipients[0].original);
    assert_span(read.recipients[0].transport, recipients[0].transport);
    assert_span(read.recipients[0].nexthop, recipients[0].nexthop);
    assert_span(read.recipients[0].orcpt, recipients[0].orcpt);
    assert_int_equal(read.recipients[0].notify, 10); /* the octet of LF is fine in a number */
    assert_span(read.recipients[1].address, recipients[1].address);
    assert_int_equal(read.recipients[1].original.len, 0);
    buf_free(&out);
    arena_free(&arena);
}

static void test_null_reverse_path_reads_back(void **state)
{
    (void)state;
    struct envelope envelope = {.recipients = recipients, .recipient_count = 1};
    struct envelope read;
    struct buf out = {0};
    struct arena arena = {0};
    assert_true(envelope_encode(&envelope, &out));
    assert_true(envelope_decode(buf_span(&out), &arena, &read));
    assert_int_equal(read.sender.len, 0);
    buf_free(&out);
    arena_free(&arena);
}

static void test_values_that_break_a_line_are_refused(void **state)
{
    (void)state;
    static const struct span bad[] = {SPAN_INIT("a\rb"), SPAN_INIT("a\nb"), SPAN_INIT("a\0b")};
    for (size_t i = 0; i < 3; i++) {
        struct buf out = {0};
        struct envelope envelope = sample();
        buf_add(&out, SPAN("before"));
        envelope.helo = bad[i];
        assert_false(envelope_encode(&envelope, &out));
        struct envelope_recipient recipient = {.address = SPAN("x@y"), .original = bad[i]};
        envelope = (struct envelope){.recipients = &recipient, .recipient_count = 1};
        assert_false(envelope_encode(&envelope, &out));
        assert_span(buf_span(&out), SPAN("before"));
        buf_free(&out);
    }
}

static void test_limits_are_refused(void **state)
{
    (void)state;
    struct buf out = {0};
    struct envelope none = {0};
    assert_false(envelope_encode(&none, &out));
    struct arena arena = {0};
    struct envelope_recipient *many =
        arena_zalloc(&arena, (ENVELOPE_RECIPIENTS_MAX + 1) * sizeof *many);
    for (size_t i = 0; i <= ENVELOPE_RECIPIENTS_MAX; i++)
        many[i].address = SPAN("someone@example.test");
    struct envelope envelope = {.recipients = many, .recipient_count = ENVELOPE_RECIPIENTS_MAX};
    assert_true(envelope_encode(&envelope, &out));
    envelope.recipient_count++;
    buf_reset(&out);
    assert_false(envelope_encode(&envelope, &out));
    envelope.recipient_count = 1;
    envelope.helo = span_of(arena_zalloc(&arena, 65536), 65536);
    memset((void *)(uintptr_t)envelope.helo.data, 'x', 65536);
    assert_false(envelope_encode(&envelope, &out));
    buf_free(&out);
    arena_free(&arena);
}

static void test_size_of_a_recipient_is_what_it_adds(void **state)
{
    (void)state;
    const struct envelope_recipient rows[] = {
        {.address = SPAN("a@b.test")},
        {.address = SPAN("a@b.test"), .original = SPAN("c@b.test"), .notify = 3},
        {.address = SPAN("a@b"), .transport = SPAN("local"), .nexthop = SPAN("b/a"), .notify = 10},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf one = {0}, two = {0};
        const struct envelope_recipient both[] = {rows[0], rows[i]};
        struct envelope envelope = {.recipients = both, .recipient_count = 1};
        assert_true(envelope_encode(&envelope, &one));
        envelope.recipient_count = 2;
        assert_true(envelope_encode(&envelope, &two));
        assert_int_equal(buf_len(&two) - buf_len(&one), envelope_recipient_size(&rows[i]));
        buf_free(&one);
        buf_free(&two);
    }
}

static void test_unsound_octets_are_refused(void **state)
{
    (void)state;
    static const struct span cases[] = {
        SPAN_INIT(""),                                            /* no recipient */
        SPAN_INIT("\x01\x01"),                                    /* half a head */
        SPAN_INIT("\x01\x05\0ab"),                                /* leaves the envelope */
        SPAN_INIT("\x20\x04\0\x01\x01\0a\x63\x01\0x"),            /* unknown tag */
        SPAN_INIT("\x20\x04\0\x01\x01\0a\x01\x01\0x\x01\x01\0y"), /* repeated */
        SPAN_INIT("\x20\x04\0\x01\x01\0a\x01\x01\0\n"),           /* LF */
        SPAN_INIT("\x20\x04\0\x01\x01\0a\x08\x02\0\x01\x01"),     /* a number of two octets */
        SPAN_INIT("\x20\x04\0\x02\x01\0a"),                       /* no address */
        SPAN_INIT("\x20\x04\0\x01\x02\0a"),                       /* leaves the recipient */
        SPAN_INIT("\x20\x08\0\x01\x01\0a\x01\x01\0b"),            /* two addresses */
        SPAN_INIT("\x20\x04\0\x01\x01\0a\x01\0\0"),               /* an empty value */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct arena arena = {0};
        struct envelope read;
        assert_false(envelope_decode(cases[i], &arena, &read));
        arena_free(&arena);
    }
}

static void test_every_prefix_and_every_changed_octet_is_survived(void **state)
{
    (void)state;
    struct envelope envelope = sample();
    struct envelope read;
    struct buf out = {0};
    struct arena arena = {0};
    assert_true(envelope_encode(&envelope, &out));
    struct span octets = buf_span(&out);
    unsigned accepted = 0;
    for (size_t i = 0; i < octets.len; i++) {
        char *copy = arena_alloc(&arena, octets.len);
        memcpy(copy, octets.data, octets.len);
        accepted += envelope_decode(span_of(copy, i), &arena, &read) ? 1 : 0;
        for (unsigned bit = 0; bit < 8; bit++) {
            copy[i] = (char)(octets.data[i] ^ (1 << bit));
            if (envelope_decode(span_of(copy, octets.len), &arena, &read))
                assert_true(read.recipient_count > 0);
        }
        arena_reset(&arena);
    }
    assert_true(accepted <= 1); /* the prefix that ends behind the first recipient */
    buf_free(&out);
    arena_free(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_envelope_reads_back),
        cmocka_unit_test(test_null_reverse_path_reads_back),
        cmocka_unit_test(test_values_that_break_a_line_are_refused),
        cmocka_unit_test(test_limits_are_refused),
        cmocka_unit_test(test_size_of_a_recipient_is_what_it_adds),
        cmocka_unit_test(test_unsound_octets_are_refused),
        cmocka_unit_test(test_every_prefix_and_every_changed_octet_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
