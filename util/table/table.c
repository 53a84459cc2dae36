/*
 * The list of drivers, and what all of them share: who asks a table never knows what is behind it.
 */
#include "util/table/table.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/base/log.h"
#include "util/table/db.h"
#include "util/table/text.h"

/* A driver and what it keeps. */
struct table {
    const struct table_driver *driver;
    void *handle;
};

/* Another kind of table is another row here, and nothing else. */
static const struct table_driver drivers[] = {
    {"db", db_open, db_get, db_close},
    {"text", text_open, text_get, text_close},
};

/* A handful of rows: a walk. */
struct table *table_open(const char *driver, const char *path)
{
    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        if (strcmp(drivers[i].name, driver) != 0)
            continue;
        struct table *table = mem_new(sizeof *table);
        table->driver = &drivers[i];
        table->handle = drivers[i].open(path);
        return table;
    }
    return NULL;
}

/* Through the driver: only it knows what the handle is. */
void table_close(struct table *table)
{
    if (!table)
        return;
    table->driver->close(table->handle);
    mem_free(table);
}

/* The value is empty, never stale, for whoever overlooks the result. */
enum table_result table_get(struct table *table, struct arena *arena, struct span key,
                            struct span *value)
{
    *value = SPAN("");
    return table->driver->get(table->handle, arena, key, value);
}

/* ---- building ---- */

/* What build_entry needs beside the entry. */
struct build {
    struct db_builder *builder;
    struct table_problem *problem;
    const struct table_rules *rules;
    void *state;        /* of the rules */
    struct arena arena; /* of the entry at hand */
};

__attribute__((format(printf, 3, 4))) static void describe(struct table_problem *problem,
                                                           unsigned line, const char *format, ...)
{
    va_list values;
    problem->line = line;
    va_start(values, format);
    vsnprintf(problem->text, sizeof problem->text, format, values);
    va_end(values);
}

/* Tables without a form of their own take every entry as it stands. */
static bool accept_any(void *state, struct table_draft *draft)
{
    (void)state;
    (void)draft;
    return true;
}

static const struct table_rules no_rules = {.check = accept_any};

/* Into the compiled table. */
static bool put(struct build *build, const struct table_draft *draft)
{
    int error = 0;
    switch (db_build_put(build->builder, draft->key, draft->value, &error)) {
    case DB_PUT_OK:
        return true;
    case DB_PUT_DUPLICATE:
        describe(build->problem, draft->line, "'%.*s' stands here a second time; keep one of them",
                 SPAN_ARG(span_first(draft->key, 64)));
        return false;
    case DB_PUT_FAILED:
        break;
    }
    describe(build->problem, draft->line, "the entry can not be stored: %s", db_error_text(error));
    return false;
}

/* One entry of the text: what the rules refuse is never stored, so nobody who looks something up
 * has to say what is wrong with it. */
static bool build_entry(void *arg, struct span key, struct span value, unsigned line)
{
    struct build *build = arg;
    struct table_draft draft = {&build->arena, key, value, line, NULL};
    bool good = build->rules->check(build->state, &draft);
    if (!good)
        describe(build->problem, line, "'%.*s': %s", SPAN_ARG(span_first(key, 64)), draft.wrong);
    good = good && put(build, &draft);
    arena_reset(&build->arena);
    return good;
}

/* Behind the last entry; of no line. */
static bool build_summary(struct build *build)
{
    struct table_draft draft = {.arena = &build->arena};
    return build->rules->summary == NULL || !build->rules->summary(build->state, &draft) ||
           put(build, &draft);
}

/* From the first line to the last, and what follows from all of them. */
static bool build_all(struct build *build, const char *path)
{
    struct table_problem *problem = build->problem;
    unsigned line = 0;
    if (table_read_text(path, build_entry, build, &line))
        return build_summary(build);
    /* errno 0 means that the file was read well and an entry was refused. */
    if (errno != 0)
        describe(problem, 0, "the text can not be read: %s", log_errno_text(errno));
    else if (problem->text[0] == '\0')
        describe(problem, line, "this is no entry; write KEY VALUE, without control characters");
    return false;
}

bool table_build(const char *path, unsigned mode, struct table_problem *problem)
{
    return table_build_with(path, mode, &no_rules, problem);
}

/* Whatever fails, the table in force stays as it is. */
bool table_build_with(const char *path, unsigned mode, const struct table_rules *rules,
                      struct table_problem *problem)
{
    struct build build = {.problem = problem, .rules = rules};
    int error = 0;
    *problem = (struct table_problem){0};
    build.builder = db_build_begin(path, &error);
    if (!build.builder) {
        describe(problem, 0, "the compiled table can not be made: %s", db_error_text(error));
        return false;
    }
    build.state = mem_new(rules->state_size + 1);
    bool good = build_all(&build, path);
    mem_free(build.state);
    arena_free(&build.arena);
    if (!good) {
        db_build_abort(build.builder);
        return false;
    }
    if (db_build_end(build.builder, mode, &error))
        return true;
    describe(problem, 0, "the compiled table can not be put in force: %s", db_error_text(error));
    return false;
}
