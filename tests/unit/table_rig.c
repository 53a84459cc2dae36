/*
 * The tables are compiled by the code that compiles the operator's: what the tests read is what a
 * daemon reads, damaged in the ways that disks and people damage files.
 */
#include "table_rig.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/table/table.h"

static void complain(void *arg, const char *message)
{
    (void)arg;
    print_error("%s\n", message);
}

void table_rig_begin(struct table_rig *rig, const char *more)
{
    *rig = (struct table_rig){.directory = "/tmp/veredus-tables-XXXXXX"};
    assert_non_null(mkdtemp(rig->directory));
    assert_int_equal(chmod(rig->directory, 0755), 0);
    int length = snprintf(rig->text, sizeof(rig->text),
                          "hostname = \"mx.example.test\"\n"
                          "domains = {\"example.test\", \"second.test\"}\n"
                          "relay_domains = {\"partner.test\"}\n"
                          "table_directory = \"%s\"\nrun_directory = \"%s\"\n"
                          "separate_users = false\n%s",
                          rig->directory, rig->directory, more);
    assert_in_range(length, 1, sizeof(rig->text) - 1);
}

void table_rig_end(struct table_rig *rig)
{
    char command[96];
    (void)snprintf(command, sizeof(command), "rm -rf -- '%s'", rig->directory);
    assert_int_equal(system(command), 0);
}

struct conf *table_rig_conf(const struct table_rig *rig)
{
    FILE *in = fmemopen((void *)(uintptr_t)rig->text, strlen(rig->text), "r");
    assert_non_null(in);
    struct conf *conf = conf_parse(in, "/etc/veredus.conf", complain, NULL);
    (void)fclose(in);
    assert_non_null(conf);
    return conf;
}

const char *table_rig_path(const struct table_rig *rig, const char *name)
{
    static char path[128];
    int length = snprintf(path, sizeof(path), "%s/%s", rig->directory, name);
    assert_in_range(length, 1, sizeof(path) - 1);
    return path;
}

static const char *write_text(const struct table_rig *rig, const char *name, const char *text)
{
    const char *path = table_rig_path(rig, name);
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    assert_int_equal(fwrite(text, 1, strlen(text), out), strlen(text));
    assert_int_equal(fclose(out), 0);
    return path;
}

void table_rig_write(const struct table_rig *rig, const char *name, const char *text)
{
    struct table_problem problem;
    if (!table_build(write_text(rig, name, text), 0644, &problem))
        fail_msg("%s:%u: %s", name, problem.line, problem.text);
}

void table_rig_write_with(const struct table_rig *rig, const char *name, const char *text,
                          const struct table_rules *rules)
{
    struct table_problem problem;
    if (!table_build_with(write_text(rig, name, text), 0644, rules, &problem))
        fail_msg("%s:%u: %s", name, problem.line, problem.text);
}

/* Every octet behind the first page's magic is turned over. */
static void corrupt(int fd, off_t size)
{
    for (off_t at = 512; at < size; at++) {
        unsigned char octet;
        assert_int_equal(pread(fd, &octet, 1, at), 1);
        octet = (unsigned char)~octet;
        assert_int_equal(pwrite(fd, &octet, 1, at), 1);
    }
}

void table_rig_damage(const struct table_rig *rig, const char *name, enum table_damage damage)
{
    char compiled[256];
    struct stat status;
    (void)snprintf(compiled, sizeof(compiled), "%s.db", table_rig_path(rig, name));
    if (damage == DAMAGE_MISSING) {
        assert_int_equal(unlink(compiled), 0);
        return;
    }
    int fd = open(compiled, O_RDWR);
    assert_int_equal(fstat(fd, &status), 0);
    if (damage == DAMAGE_CORRUPT)
        corrupt(fd, status.st_size);
    else
        assert_int_equal(ftruncate(fd, damage == DAMAGE_EMPTY ? 0 : status.st_size / 2), 0);
    (void)close(fd);
}
