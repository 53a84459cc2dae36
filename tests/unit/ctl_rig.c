#include "tests/unit/ctl_rig.h"

#include <ftw.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WORDS_MAX = 64 };

int rig_setup(void **state)
{
    struct ctl_rig *rig = test_calloc(1, sizeof *rig);
    strcpy(rig->directory, "/tmp/veredus-ctl-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->instance, sizeof rig->instance, "%.64s/instance", rig->directory);
    snprintf(rig->file, sizeof rig->file, "%.64s/instance/veredus.conf", rig->directory);
    *state = rig;
    return 0;
}

int rig_setup_with_instance(void **state)
{
    rig_setup(state);
    struct ctl_rig *rig = *state;
    return RIG_CALL(rig, NULL, "init", rig->instance, "--hostname", "mx.example.test", "--domain",
                    "example.test", "--user", "alice@example.test:secret");
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

int rig_teardown(void **state)
{
    struct ctl_rig *rig = *state;
    int result = nftw(rig->directory, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    test_free(rig);
    return result;
}

static FILE *stream_of(const char *text)
{
    FILE *stream = tmpfile();
    assert_non_null(stream);
    fputs(text ? text : "", stream);
    rewind(stream);
    return stream;
}

static void take_text(FILE *stream, char text[RIG_TEXT])
{
    rewind(stream);
    text[fread(text, 1, RIG_TEXT - 1, stream)] = '\0';
    fclose(stream);
}

int rig_call(struct ctl_rig *rig, const char *input, const char *const *words)
{
    char *argv[WORDS_MAX] = {(char *)(uintptr_t) "veredus"};
    int argc = 1;
    for (; *words; words++) {
        assert_true(argc < WORDS_MAX - 1);
        argv[argc++] = (char *)(uintptr_t)*words;
    }
    struct ctl_streams streams = {stream_of(input), stream_of(NULL), stream_of(NULL)};
    int code = ctl_main(argc, argv, &streams);
    fclose(streams.in);
    take_text(streams.out, rig->out);
    take_text(streams.err, rig->err);
    return code;
}

int rig_do(struct ctl_rig *rig, const char *input, const char *const *words)
{
    const char *all[WORDS_MAX] = {"-c", rig->file};
    for (size_t i = 0; words[i]; i++) {
        assert_true(i < WORDS_MAX - 3);
        all[i + 2] = words[i];
    }
    return rig_call(rig, input, all);
}

const char *rig_path(struct ctl_rig *rig, const char *name)
{
    static char path[2 * RIG_PATH];
    snprintf(path, sizeof path, "%s/%s", rig->instance, name);
    return path;
}

const char *rig_text(struct ctl_rig *rig, const char *name)
{
    static char text[RIG_TEXT];
    FILE *in = fopen(rig_path(rig, name), "r");
    assert_non_null(in);
    text[fread(text, 1, sizeof text - 1, in)] = '\0';
    fclose(in);
    return text;
}

void rig_write(struct ctl_rig *rig, const char *name, const char *text)
{
    FILE *out = fopen(rig_path(rig, name), "w");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

void assert_holds(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part))
        fail_msg("\"%s\" is in:\n%s", part, text);
}
