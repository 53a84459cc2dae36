/*
 * Building compiled tables. The order is that of every file that must be whole or absent: written
 * under another name, synced, renamed, the directory synced. The name carries the process number,
 * so two that build at once do not write into one file; the later rename wins, and both are whole.
 */
#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/log.h"
#include "util/table/db.h"

enum { PAGE_SIZE = 4096 };

/* A table in the making: the draft is ours alone until the rename. Berkeley DB writes the first
 * pages of the draft into a file beside it, and leaves that behind when it fails there. */
struct db_builder {
    struct arena arena;
    struct span source, target, draft, first_pages, directory; /* NUL-terminated */
    DB *db;
};

/* All names are made once, while nothing can have failed yet. */
static void name_files(struct db_builder *builder, const char *path)
{
    struct arena *arena = &builder->arena;
    struct span source = arena_copy(arena, span_cstr(path));
    size_t slash = span_find_last(source, '/');
    bool has_directory = slash < source.len;
    struct span directory = has_directory ? span_first(source, slash + 1) : SPAN("./");
    const char *name = has_directory ? path + slash + 1 : path;
    long process = (long)getpid();
    builder->source = source;
    builder->target = arena_printf(arena, "%s.db", path);
    builder->draft = arena_printf(arena, "%s.db.%ld", path, process);
    builder->first_pages =
        arena_printf(arena, "%.*s__db.%s.db.%ld", SPAN_ARG(directory), name, process);
    builder->directory = arena_copy(arena, directory);
}

/* Both are gone already when the build went well. */
static void remove_drafts(const struct db_builder *builder)
{
    (void)unlink(builder->draft.data);
    (void)unlink(builder->first_pages.data);
}

/* Errors are for whoever builds to report; Berkeley DB need not print them as well. */
static void drop_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)environment;
    (void)prefix;
    log_event(LOG_DEBUG, "table-database", LOG_STR("reason", message));
}

/* DB_EXCL: a draft is never somebody else's file, nor a link to one. Checksums make damage visible.
 */
struct db_builder *db_build_begin(const char *path, int *error)
{
    struct db_builder *builder = mem_new(sizeof *builder);
    name_files(builder, path);
    remove_drafts(builder); /* of a process that died and had our number */
    *error = db_create(&builder->db, NULL, 0);
    if (*error == 0) {
        builder->db->set_errcall(builder->db, drop_message);
        *error = builder->db->set_flags(builder->db, DB_CHKSUM);
    }
    if (*error == 0)
        *error = builder->db->set_pagesize(builder->db, PAGE_SIZE);
    if (*error == 0)
        *error = builder->db->open(builder->db, NULL, builder->draft.data, NULL, DB_BTREE,
                                   DB_CREATE | DB_EXCL, 0600);
    if (*error == 0)
        return builder;
    db_build_abort(builder);
    return NULL;
}

/* A key that stands there twice is refused: which of the two is meant, only a person can say. */
enum db_put db_build_put(struct db_builder *builder, struct span key, struct span value, int *error)
{
    DBT its_key = {0}, its_value = {0};
    its_key.data = (void *)(uintptr_t)key.data;
    its_key.size = (u_int32_t)key.len;
    its_value.data = (void *)(uintptr_t)value.data;
    its_value.size = (u_int32_t)value.len;
    *error = builder->db->put(builder->db, NULL, &its_key, &its_value, DB_NOOVERWRITE);
    if (*error == DB_KEYEXIST)
        return DB_PUT_DUPLICATE;
    return *error == 0 ? DB_PUT_OK : DB_PUT_FAILED;
}

/* A rename is durable only when the directory is. */
static int sync_directory(const char *name)
{
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return error;
}

/* Root gives the table to the owner of its text: auth reads its own, whoever builds it. */
static int settle_draft(const struct db_builder *builder, unsigned mode)
{
    struct stat text;
    int error = 0;
    int fd = open(builder->draft.data, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno;
    if (geteuid() == 0 && stat(builder->source.data, &text) == 0 &&
        fchown(fd, text.st_uid, text.st_gid) != 0)
        error = errno;
    if (error == 0 && (fchmod(fd, mode) != 0 || fsync(fd) != 0))
        error = errno;
    close(fd);
    return error;
}

/* Written, closed, owned, synced, renamed, directory synced; the first failure ends it, and the
 * table in force is the old one still. */
bool db_build_end(struct db_builder *builder, unsigned mode, int *error)
{
    /* Berkeley DB's own sync comes first: it writes its cache into the file that fsync(2) is
     * then about. */
    *error = builder->db->sync(builder->db, 0);
    int closed = builder->db->close(builder->db, 0);
    builder->db = NULL;
    if (*error == 0)
        *error = closed;
    if (*error == 0)
        *error = settle_draft(builder, mode);
    if (*error == 0 && rename(builder->draft.data, builder->target.data) != 0)
        *error = errno;
    if (*error == 0)
        *error = sync_directory(builder->directory.data);
    db_build_abort(builder);
    return *error == 0;
}

/* Also the last step of a build that went well: then the draft is gone and only memory is left. */
void db_build_abort(struct db_builder *builder)
{
    if (builder->db)
        (void)builder->db->close(builder->db, DB_NOSYNC);
    remove_drafts(builder);
    arena_free(&builder->arena);
    mem_free(builder);
}
