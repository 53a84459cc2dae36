/*
 * spool_rig - what the tests of the spool share: a directory, a store, a writer with its loop, and
 * a memory of what they reported.
 */
#ifndef VEREDUS_TEST_SPOOL_RIG_H
#define VEREDUS_TEST_SPOOL_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/spool/store.h"
#include "util/spool/writer.h"

enum { RIG_LETTERS = 4096, RIG_PATH = 64 };

/* One letter as the rig submits it; its body names it. */
struct rig_letter {
    struct letter letter;
    struct rig *rig;
    struct buf envelope;
    char *body;
    unsigned index;
    bool done;
    enum spool_result result;
};

/* One recipient as recovery or a scan reported it. */
struct rig_found {
    uint64_t id;
    uint64_t number;
    uint32_t slot;
    struct state_entry entry;
    bool with_record;
};

struct rig {
    char directory[RIG_PATH];
    const struct spool_io *io;
    struct arena arena;
    struct loop *loop;
    struct spool_store *store;
    struct spool_writer *writer;
    unsigned spares, privates;
    uint64_t grant_size; /* 0: SPOOL_SEGMENT_MAX */
    bool give_nothing;
    unsigned want_calls, wanted_shared, wanted_private;
    struct {
        uint64_t number, end;
    } durable[RIG_LETTERS], sealed[RIG_LETTERS];
    size_t durable_count, sealed_count;
    struct rig_letter *letters[RIG_LETTERS];
    unsigned letter_count, done_count;
    struct rig_found found[RIG_LETTERS];
    size_t found_count;
};

/* A rig in a fresh directory, the store open and recovered (nothing). `io` may be NULL. */
struct rig *rig_new(const struct spool_io *io);
void rig_free(struct rig *rig);

/* The writer; grants are given as it asks. */
void rig_start_writer(struct rig *rig, unsigned spares, unsigned privates);
void rig_stop_writer(struct rig *rig);

/* Closes the store and opens it again; recovery fills `found`. */
void rig_restart_store(struct rig *rig);
void rig_recover(struct rig *rig, const struct spool_held *held, size_t count);

/* Submits a letter with `recipients` recipients and a body of `size` octets. */
struct rig_letter *rig_submit(struct rig *rig, unsigned recipients, size_t size);
struct rig_letter *rig_make_letter(struct rig *rig, unsigned recipients, size_t size);

/* Turns the loop until every letter submitted is done. */
void rig_settle(struct rig *rig);

/* Submits one letter, waits for it, expects SPOOL_OK; its id. */
uint64_t rig_store_letter(struct rig *rig, unsigned recipients, size_t size);

/* spool_visit: remembers. */
void rig_visit(void *arg, const struct spool_found *found);
void rig_forget_found(struct rig *rig);

/* How often the id was found (as many times as it has recipients). */
unsigned rig_times_found(const struct rig *rig, uint64_t id);

/* True when the letter reads back as it was submitted, octet by octet. */
bool rig_letter_is_intact(struct rig *rig, const struct rig_letter *letter);

/* Scans all that was announced durable. */
void rig_scan_durable(struct rig *rig);

/* Sets the state of every entry found with that id. */
void rig_set_state(struct rig *rig, uint64_t id, enum letter_state state);

/* The path of a file of a segment: suffix ".seg" or ".state". Static memory. */
const char *rig_path(const struct rig *rig, uint64_t number, const char *suffix);
bool rig_exists(const char *path);

/* How many files in "queue" or "corrupt" end in `suffix`. */
size_t rig_count_files(const struct rig *rig, const char *folder, const char *suffix);

/* Change octets of a file behind the store's back. */
void rig_flip(const char *path, uint64_t offset);
void rig_write_at(const char *path, uint64_t offset, const void *octets, size_t size);

#endif
