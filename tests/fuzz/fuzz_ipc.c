/*
 * Packets of a process that somebody else owns. What decodes is within its table's bounds and
 * encodes to the very octets it came from: there is one form of each message.
 */
#include "tests/fuzz/fuzz.h"
#include "util/ipc/messages.h"
#include "util/ipc/packet.h"

static void check_message(const struct ipc_type *type, struct span body, const void *message)
{
    enum { FRAME_HEADER = 6 };
    struct buf again = {0}, trace = {0};
    require(ipc_encode(type, message, &again));
    require(span_equal(span_skip(buf_span(&again), FRAME_HEADER), body));
    ipc_trace(type, message, &trace);
    for (size_t i = 0; i < buf_len(&trace); i++)
        require(buf_span(&trace).data[i] >= ' ' && buf_span(&trace).data[i] < 0x7f);
    buf_free(&again);
    buf_free(&trace);
}

/* The octets as the body of each type there is: the fuzzer need not guess the frame. */
static void decode_as_any(struct span body)
{
    _Alignas(16) char message[PACKET_STRUCT_MAX];
    size_t count;
    const struct ipc_type *const *types = ipc_types(&count);
    for (size_t i = 0; i < count; i++) {
        require(types[i]->size <= sizeof(message));
        if (ipc_decode(types[i], body, message))
            check_message(types[i], body, message);
    }
}

static void decode_packet(struct span packet)
{
    _Alignas(16) char message[PACKET_STRUCT_MAX];
    struct ipc_cursor cursor = {.rest = packet};
    const struct ipc_type *type;
    struct span body;
    while ((type = ipc_next(&cursor, &body)) != NULL) {
        require(fuzz_within(body, packet));
        if (ipc_decode(type, body, message))
            check_message(type, body, message);
    }
    require(cursor.bad || cursor.rest.len == 0);
}

static bool take_message(void *arg, const struct ipc_type *type, const void *message,
                         struct fd_list *fds)
{
    size_t *count = arg;
    (void)message;
    require(fds->count >= type->fds);
    ++*count;
    return true;
}

/* With no descriptors, or with as many as the first octet says. */
static void deliver(struct span packet, size_t fd_count)
{
    struct fd_list fds = {0};
    size_t messages = 0;
    while (fds.count < fd_count)
        fds.fds[fds.count++] = fuzz_file(SPAN(""), 0);
    if (packet_deliver(packet, &fds, take_message, &messages))
        require(messages > 0 || packet.len == 0);
    require(fds.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span packet = span_of(data, size);
    size_t fd_count = fuzz_octet(&packet) % 4;
    decode_as_any(packet);
    decode_packet(packet);
    deliver(packet, fd_count);
    return 0;
}
