/*
 * Reading compiled tables. A Berkeley DB environment does not survive a kill -9 of one of its
 * users, so there is none: each process opens the file for itself, read-only, and nobody ever
 * changes a file that is open; a rebuilt table is another file under the same name. An open handle
 * keeps answering from the old file (it caches, too), so every lookup asks stat(2) first whether
 * the name still leads to the file that is open. That is one cheap system call, and a rebuilt table
 * counts at once.
 *
 * Pages carry checksums: a table that was damaged is an error, not an answer. A page of zeros is
 * the exception, Berkeley DB takes it for one that was never written; so each page is asked for its
 * number when the file is opened.
 */
#include "util/table/db.h"

#include <db.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/log.h"
#include "util/base/panic.h"

/* Pages are kept as they are used, up to so many octets; the usual table fits. */
enum { CACHE_SIZE = 32 << 20 };

/* What the driver keeps: names, and the file that is open, if one is. */
struct db_table {
    struct arena arena;
    struct span path; /* of the compiled file, NUL-terminated */
    DB *db;           /* NULL: not open */
    struct stat seen; /* the file as it was before it was opened */
};

/* What Berkeley DB has to say goes to the log, not to standard error. */
static void log_message(const DB_ENV *environment, const char *prefix, const char *message)
{
    (void)environment;
    (void)prefix;
    log_event(LOG_WARN, "table-database", LOG_STR("reason", message));
}

/* Berkeley DB's own codes are negative, those of the system positive. */
const char *db_error_text(int error)
{
    return error > 0 ? log_errno_text(error) : db_strerror(error);
}

/* The one line that an operator greps for; the caller answers 451. */
static void log_failure(const struct db_table *table, const char *what, int error)
{
    log_event(LOG_ERROR, "table-failed", LOG_SPAN("table", table->path), LOG_STR("what", what),
              LOG_STR("error", db_error_text(error)));
}

/* A rename gives another inode; the rest is for a file that was written in place by a stranger. */
static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Closes the file. A bad page makes Berkeley DB refuse every further call, also the one that frees
 * its memory, unless it is told to go on. */
static void forget(struct db_table *table)
{
    if (table->db) {
        DB_ENV *environment = table->db->get_env(table->db);
        (void)environment->set_flags(environment, DB_NOPANIC, 1);
        (void)table->db->close(table->db, DB_NOSYNC);
    }
    table->db = NULL;
}

/* Where every page has its number, and the first one the size of all; in the file's octet order. */
enum { PAGE_NUMBER_AT = 8, PAGE_SIZE_AT = 20, PAGE_SIZE_LEAST = 512, PAGE_SIZE_MOST = 65536 };

static bool read_number(int fd, off_t at, uint32_t *number)
{
    return pread(fd, number, sizeof *number, at) == (ssize_t)sizeof *number;
}

/* Berkeley DB opened the file just before, so the first page is sound. */
static bool pages_are_numbered(int fd, off_t size)
{
    uint32_t page_size, number;
    if (!read_number(fd, PAGE_SIZE_AT, &page_size))
        return false;
    bool swapped = page_size > PAGE_SIZE_MOST;
    if (swapped)
        page_size = __builtin_bswap32(page_size);
    if (page_size < PAGE_SIZE_LEAST || size % page_size != 0)
        return false;
    for (off_t page = 0; page < size / page_size; page++) {
        if (!read_number(fd, page * page_size + PAGE_NUMBER_AT, &number))
            return false;
        if ((swapped ? __builtin_bswap32(number) : number) != (uint32_t)page)
            return false;
    }
    return true;
}

/* 0, or an error as Berkeley DB has them. */
static int check_pages(const struct db_table *table)
{
    struct stat file;
    int fd = open(table->path.data, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno;
    int error = fstat(fd, &file) != 0                  ? errno
                : pages_are_numbered(fd, file.st_size) ? 0
                                                       : DB_PAGE_NOTFOUND;
    (void)close(fd);
    return error;
}

/* Opens it without an environment and read-only: no lock, no log, no region file beside it. */
static int open_file(struct db_table *table)
{
    int error = db_create(&table->db, NULL, 0);
    if (error != 0)
        return error;
    table->db->set_errcall(table->db, log_message);
    (void)table->db->set_cachesize(table->db, 0, CACHE_SIZE, 1);
    error = table->db->open(table->db, NULL, table->path.data, NULL, DB_BTREE, DB_RDONLY, 0);
    if (error == 0)
        error = check_pages(table);
    if (error != 0)
        forget(table);
    return error;
}

/* Makes sure that the file which is open is the one the name leads to now. */
static bool is_current(struct db_table *table)
{
    struct stat now;
    if (stat(table->path.data, &now) != 0) {
        log_failure(table, "stat", errno);
        forget(table);
        return false;
    }
    if (table->db && same_file(&now, &table->seen))
        return true;
    forget(table);
    /* Remembered as it was before the open: a table that is replaced in between looks changed
     * at the next lookup. */
    table->seen = now;
    int error = open_file(table);
    if (error != 0)
        log_failure(table, "open", error);
    return error == 0;
}

/* Opens nothing yet: at start the table may not have been built. */
void *db_open(const char *path)
{
    struct db_table *table = mem_new(sizeof *table);
    table->path = arena_printf(&table->arena, "%s.db", path);
    return table;
}

/* Only DB_NOTFOUND means "not found"; whatever else went wrong is an error, and the file is opened
 * anew at the next lookup. What Berkeley DB returns lives until its next call, so it is copied. */
enum table_result db_get(void *handle, struct arena *arena, struct span key, struct span *value)
{
    struct db_table *table = handle;
    DBT wanted = {0}, found = {0};
    if (!is_current(table))
        return TABLE_ERROR;
    /* Berkeley DB takes no pointer to const, and does not write to the key. */
    wanted.data = (void *)(uintptr_t)key.data;
    wanted.size = (u_int32_t)key.len;
    int error = table->db->get(table->db, NULL, &wanted, &found, 0);
    if (error == DB_NOTFOUND)
        return TABLE_NOT_FOUND;
    if (error != 0) {
        log_failure(table, "get", error);
        forget(table);
        return TABLE_ERROR;
    }
    *value = arena_copy(arena, span_of(found.size ? found.data : "", found.size));
    return TABLE_FOUND;
}

/* The table must not be used any more; what it answered was copied. */
void db_close(void *handle)
{
    struct db_table *table = handle;
    forget(table);
    arena_free(&table->arena);
    mem_free(table);
}
