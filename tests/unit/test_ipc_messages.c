/*
 * Properties of every message there is, found by walking the tables: the tests need no change when
 * a message is added. Random values come from a generator with a fixed seed, so that a failure can
 * be repeated.
 */
#include "util/ipc/messages.h"

#include "util/ipc/packet.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { ROUNDS = 20, CORRUPTIONS = 400, FRAME_HEADER = 6, TEXT_POOL = 65536 };

static uint64_t draw(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

/* A struct with room for any message and a pool that its spans point into. */
struct sample {
    uint64_t seed;
    char *pool;
    _Alignas(max_align_t) char message[PACKET_STRUCT_MAX];
};

static void set_number(struct sample *sample, const struct ipc_field *field, uint64_t number)
{
    char *at = sample->message + field->offset;
    uint8_t u8 = (uint8_t)number;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;

    if (field->kind == IPC_U8)
        memcpy(at, &u8, sizeof(u8));
    else if (field->kind == IPC_U16)
        memcpy(at, &u16, sizeof(u16));
    else if (field->kind == IPC_U32)
        memcpy(at, &u32, sizeof(u32));
    else
        memcpy(at, &number, sizeof(number));
}

/* Fills one field within its bound; `full` with as much as it may hold. */
static void fill_field(struct sample *sample, const struct ipc_field *field, bool full)
{
    uint64_t value = full ? field->most : draw(&sample->seed) % ((uint64_t)field->most + 1);
    struct span text = {sample->pool, (size_t)value};

    if (field->kind == IPC_SPAN)
        memcpy(sample->message + field->offset, &text, sizeof(text));
    else if (field->kind == IPC_SALT)
        memcpy(sample->message + field->offset, sample->pool, SPOOL_SALT);
    else
        set_number(sample, field, field->kind == IPC_U64 ? draw(&sample->seed) : value);
}

static void fill(struct sample *sample, const struct ipc_type *type, bool full)
{
    memset(sample->message, 0, sizeof(sample->message));
    for (size_t i = 0; i < type->field_count; i++)
        fill_field(sample, &type->fields[i], full);
}

static int make_sample(void **state)
{
    struct sample *sample = mem_new(sizeof(*sample));
    sample->seed = 0x9e3779b97f4a7c15;
    sample->pool = mem_new(TEXT_POOL);
    for (size_t i = 0; i < TEXT_POOL; i++)
        sample->pool[i] = (char)draw(&sample->seed);
    *state = sample;
    return 0;
}

static int free_sample(void **state)
{
    struct sample *sample = *state;
    mem_free(sample->pool);
    mem_free(sample);
    return 0;
}

/* Runs `check` over several samples of every type. */
static void for_each_message(struct sample *sample,
                             void (*check)(struct sample *, const struct ipc_type *,
                                           const struct buf *frame))
{
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        for (int round = 0; round < ROUNDS; round++) {
            struct buf frame = {0};
            fill(sample, types[i], round == 0);
            assert_true(ipc_encode(types[i], sample->message, &frame));
            check(sample, types[i], &frame);
            buf_free(&frame);
        }
    }
}

static struct span span_in(const void *message, const struct ipc_field *field)
{
    struct span s;
    memcpy(&s, (const char *)message + field->offset, sizeof(s));
    return s;
}

/* Whatever was decoded: its spans lie in `packet` and keep their bounds. Reads every octet, so that
 * the sanitizer sees one that is not there. */
static void assert_within(const struct ipc_type *type, const void *message, struct span packet)
{
    unsigned sum = 0;
    for (size_t i = 0; i < type->field_count; i++) {
        const struct ipc_field *field = &type->fields[i];
        if (field->kind != IPC_SPAN)
            continue;
        struct span s = span_in(message, field);
        assert_true(s.len <= field->most);
        if (s.len > 0)
            assert_true(s.data >= packet.data && s.data + s.len <= packet.data + packet.len);
        for (size_t j = 0; j < s.len; j++)
            sum += (unsigned char)s.data[j];
    }
    assert_true(sum <= UINT32_MAX);
}

/* ---- the list ---- */

static void every_type_is_found_by_its_number(void **state)
{
    (void)state;
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    assert_true(count > 30);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(ipc_type_of(types[i]->id), types[i]);
    assert_null(ipc_type_of(0));
    assert_null(ipc_type_of(UINT16_MAX));
}

static void every_field_lies_in_its_struct(void **state)
{
    (void)state;
    static const size_t widths[] = {
        [IPC_U8] = 1,
        [IPC_U16] = 2,
        [IPC_U32] = 4,
        [IPC_U64] = 8,
        [IPC_SPAN] = sizeof(struct span),
        [IPC_SALT] = sizeof(struct spool_salt),
    };
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        size_t end = 0;
        assert_true(types[i]->size <= PACKET_STRUCT_MAX);
        for (size_t j = 0; j < types[i]->field_count; j++) {
            const struct ipc_field *field = &types[i]->fields[j];
            assert_true(field->offset >= end);
            end = field->offset + widths[field->kind];
            assert_true(end <= types[i]->size);
        }
    }
}

static void descriptors_are_counted_as_the_header_says(void **state)
{
    (void)state;
    static const struct {
        const struct ipc_type *type;
        size_t fds;
    } rows[] = {
        {&ipc_control_config, 1}, {&ipc_control_page, 1},  {&ipc_control_listener, 1},
        {&ipc_control_peer, 1},   {&ipc_segment_give, 1},  {&ipc_agent_segment, 1},
        {&ipc_mailbox_opened, 2}, {&ipc_mailbox_fetch, 1}, {&ipc_mailbox_message, 1},
        {&ipc_mailbox_delete, 1}, {&ipc_control_start, 0}, {&ipc_job, 0},
        {&ipc_verify, 0},         {&ipc_operator_ask, 0},  {&ipc_mailbox_missing, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(rows[i].type->fds, rows[i].fds);
}

static void secrets_are_marked(void **state)
{
    (void)state;
    static const struct {
        const struct ipc_type *type;
        const char *field;
    } rows[] = {
        {&ipc_control_key, "key"},        {&ipc_verify, "password"},
        {&ipc_verdict, "ticket"},         {&ipc_mailbox_open, "ticket"},
        {&ipc_segment_give, "salt"},      {&ipc_agent_segment, "salt"},
        {&ipc_segment_held, "salt"},      {&ipc_sasl_begin, "initial"},
        {&ipc_sasl_begin, "binding"},     {&ipc_sasl_challenge, "data"},
        {&ipc_sasl_continue, "response"}, {&ipc_control_tickets, "secret"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bool secret = false;
        for (size_t j = 0; j < rows[i].type->field_count; j++)
            if (strcmp(rows[i].type->fields[j].name, rows[i].field) == 0)
                secret = rows[i].type->fields[j].secret;
        if (!secret)
            fail_msg("%s.%s is shown", rows[i].type->name, rows[i].field);
    }
}

/* ---- the properties ---- */

static void check_round_trip(struct sample *sample, const struct ipc_type *type,
                             const struct buf *frame)
{
    _Alignas(max_align_t) char decoded[PACKET_STRUCT_MAX];
    struct ipc_cursor cursor = {.rest = buf_span(frame)};
    struct span body;
    struct buf again = {0};

    (void)sample;
    assert_ptr_equal(ipc_next(&cursor, &body), type);
    assert_true(ipc_decode(type, body, decoded));
    assert_within(type, decoded, buf_span(frame));
    assert_true(ipc_encode(type, decoded, &again));
    assert_true(span_equal(buf_span(frame), buf_span(&again)));
    buf_free(&again);
}

static void every_message_survives_the_round_trip(void **state)
{
    for_each_message(*state, check_round_trip);
}

static void check_fits(struct sample *sample, const struct ipc_type *type, const struct buf *frame)
{
    (void)sample, (void)type;
    assert_true(buf_len(frame) <= SEQPACKET_MAX);
}

static void the_largest_message_fits_into_a_packet(void **state)
{
    for_each_message(*state, check_fits);
}

/* A body is decoded from a copy of exactly its size: reading past it is seen. */
static bool decode_copy(const struct ipc_type *type, struct span body)
{
    _Alignas(max_align_t) char decoded[PACKET_STRUCT_MAX];
    char *copy = mem_new(body.len + 1);
    char *tight = copy + 1;
    if (body.len > 0)
        memcpy(tight, body.data, body.len);
    bool good = ipc_decode(type, span_of(tight, body.len), decoded);
    if (good)
        assert_within(type, decoded, span_of(tight, body.len));
    mem_free(copy);
    return good;
}

static void check_truncations(struct sample *sample, const struct ipc_type *type,
                              const struct buf *frame)
{
    struct span body = span_skip(buf_span(frame), FRAME_HEADER);
    size_t step = body.len > 256 ? 1 + body.len / 64 : 1;
    (void)sample;
    for (size_t len = 0; len < body.len; len += step)
        assert_false(decode_copy(type, span_first(body, len)));
}

static void every_truncation_is_refused(void **state)
{
    for_each_message(*state, check_truncations);
}

static void check_extension(struct sample *sample, const struct ipc_type *type,
                            const struct buf *frame)
{
    struct buf longer = {0};
    (void)sample;
    buf_add(&longer, span_skip(buf_span(frame), FRAME_HEADER));
    buf_add(&longer, SPAN("x"));
    assert_false(decode_copy(type, buf_span(&longer)));
    buf_free(&longer);
}

static void every_octet_too_many_is_refused(void **state)
{
    for_each_message(*state, check_extension);
}

/* Spoils some octets, the header among them, and walks what is left of the packet. */
static void walk_spoiled(struct sample *sample, const struct buf *frame)
{
    struct buf spoiled = {0};
    struct span body;
    const struct ipc_type *type;

    buf_add(&spoiled, buf_span(frame));
    for (uint64_t hits = 1 + draw(&sample->seed) % 4; hits > 0; hits--) {
        size_t reach = draw(&sample->seed) % 2 ? 32 : buf_len(&spoiled);
        size_t at = draw(&sample->seed) % (reach < buf_len(&spoiled) ? reach : buf_len(&spoiled));
        spoiled.data[spoiled.start + at] = (char)draw(&sample->seed);
    }
    struct ipc_cursor cursor = {.rest = buf_span(&spoiled)};
    while ((type = ipc_next(&cursor, &body)) != NULL)
        (void)decode_copy(type, body);
    assert_true(cursor.bad || cursor.rest.len == 0);
    buf_free(&spoiled);
}

static void every_corruption_is_refused_or_within_bounds(void **state)
{
    struct sample *sample = *state;
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        struct buf frame = {0};
        fill(sample, types[i], false);
        assert_true(ipc_encode(types[i], sample->message, &frame));
        for (int round = 0; round < CORRUPTIONS; round++)
            walk_spoiled(sample, &frame);
        buf_free(&frame);
    }
}

static bool contains(struct span text, struct span part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (span_has_prefix(span_skip(text, i), part))
            return true;
    return false;
}

static void no_secret_is_traced(void **state)
{
    struct sample *sample = *state;
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        struct buf line = {0};
        fill(sample, types[i], false);
        for (size_t j = 0; j < types[i]->field_count; j++) {
            const struct ipc_field *field = &types[i]->fields[j];
            struct span text = field->secret ? SPAN("OPENSESAME") : SPAN("open");
            if (field->kind == IPC_SPAN)
                memcpy(sample->message + field->offset, &text, sizeof(text));
            if (field->kind == IPC_SALT)
                memcpy(sample->message + field->offset, "OPENSESAMESESAME", SPOOL_SALT);
        }
        ipc_trace(types[i], sample->message, &line);
        assert_true(span_has_prefix(buf_span(&line), span_cstr(types[i]->name)));
        assert_false(contains(buf_span(&line), SPAN("SESAME")));
        buf_free(&line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_its_number),
        cmocka_unit_test(every_field_lies_in_its_struct),
        cmocka_unit_test(descriptors_are_counted_as_the_header_says),
        cmocka_unit_test(secrets_are_marked),
        cmocka_unit_test(every_message_survives_the_round_trip),
        cmocka_unit_test(the_largest_message_fits_into_a_packet),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_octet_too_many_is_refused),
        cmocka_unit_test(every_corruption_is_refused_or_within_bounds),
        cmocka_unit_test(no_secret_is_traced),
    };
    return cmocka_run_group_tests(tests, make_sample, free_sample);
}
