/*
 * The list of a mailbox: pop3d maps what a local that somebody else owns may have made. Whatever is
 * in it, entries lie within the list. A list made of entries gives them back.
 */
#include <fcntl.h>

#include "local/mailbox_list.h"
#include "tests/fuzz/fuzz.h"

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE, ENTRIES = 32, OPENED = 1000 };

static void check_entries(const struct mailbox_list *list)
{
    struct mailbox_entry entry;
    uint32_t looked_at = list->count < OPENED ? list->count : OPENED;
    for (uint32_t i = 0; i < looked_at; i++) {
        if (!mailbox_list_entry(list, i, &entry))
            continue;
        require(fuzz_within(entry.name, span_of(list->data, list->size)));
        require(fuzz_within(entry.uidl, span_of(list->data, list->size)));
        fuzz_touch(entry.uidl);
        fuzz_touch(entry.name);
        require(entry.name.data[entry.name.len] == '\0');
    }
    require(!mailbox_list_entry(list, list->count, &entry));
    require(!mailbox_list_entry(list, UINT32_MAX, &entry));
}

static void read_foreign(struct span octets)
{
    struct mailbox_list list;
    int fd = fuzz_file(octets, MFD_ALLOW_SEALING);
    require(!mailbox_list_open(&list, fd)); /* not sealed */
    require(fcntl(fd, F_ADD_SEALS, SEALS) == 0);
    if (mailbox_list_open(&list, fd)) {
        check_entries(&list);
        mailbox_list_close(&list);
    }
    (void)close(fd);
}

/* Each entry: length of its name, of its uidl (odd: the first part of the name), octets. */
static size_t make_entries(struct span octets, struct mailbox_entry entries[ENTRIES])
{
    size_t count = 0;
    while (octets.len > 3 && count < ENTRIES) {
        struct mailbox_entry *entry = &entries[count++];
        size_t name = fuzz_octet(&octets), uidl = fuzz_octet(&octets);
        entry->octets = fuzz_octet(&octets);
        entry->name = fuzz_take(&octets, name);
        entry->uidl = uidl & 1 ? span_first(entry->name, uidl) : fuzz_take(&octets, uidl);
    }
    return count;
}

static void write_and_read(struct span octets)
{
    struct mailbox_entry entries[ENTRIES], back;
    struct mailbox_list list;
    size_t count = make_entries(octets, entries);
    int fd = mailbox_list_seal(entries, count);
    require(fd >= 0 && mailbox_list_open(&list, fd));
    require(list.count == count);
    for (uint32_t i = 0; i < count; i++) {
        require(mailbox_list_entry(&list, i, &back));
        require(back.octets == entries[i].octets);
        require(span_equal(back.name, entries[i].name));
        require(span_equal(back.uidl, entries[i].uidl));
    }
    mailbox_list_close(&list);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_foreign(span_of(data, size));
    write_and_read(span_of(data, size));
    return 0;
}
