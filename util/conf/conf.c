/*
 * A configuration is read whole before it is parsed. So master and its children, who get the text
 * in a memfd, take the same way, and what no parser should have to see (a byte order mark, a NUL, a
 * file without end) is refused by name before the parser sees it.
 */
#include "util/conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "util/base/buf.h"
#include "util/base/panic.h"
#include "util/conf/reader.h"
#include "util/conf/settings.h"

/* A MiB is a thousand times what a large site writes. */
enum { FILE_MAX = 1 << 20 };

/* ---- reading the text ---- */

/* The line that the octet at `offset` stands in. */
static unsigned line_of(struct span text, size_t offset)
{
    unsigned line = 1;
    for (size_t i = 0; i < offset; i++)
        line += text.data[i] == '\n';
    return line;
}

/* Reads all of `in`, up to the first octet past what is allowed. */
static bool read_all(FILE *in, struct buf *text, const struct conf_complaints *to)
{
    char part[4096];
    size_t count;
    /* One part past the bound is enough to know that it was passed. */
    while (buf_len(text) <= FILE_MAX && (count = fread(part, 1, sizeof part, in)) > 0)
        buf_add(text, span_of(part, count));
    /* A file that could not be read to its end must not pass for a shorter one. */
    if (ferror(in)) {
        complain_about(to, 1, "it can not be read: %s; check the file and its disk",
                       log_errno_text(errno));
        return false;
    }
    return true;
}

/* What no text of a configuration may hold (the parser would skip it silently, or stop at it). */
static bool text_is_sound(struct span text, const struct conf_complaints *to)
{
    size_t nul = span_find(text, '\0');
    if (text.len > FILE_MAX) {
        complain_about(to, 1, "more than %d octets; a configuration is a few lines", FILE_MAX);
        return false;
    }
    if (span_has_prefix(text, SPAN("\xef\xbb\xbf"))) {
        complain_about(to, 1, "begins with a byte order mark; save it as plain ASCII or UTF-8");
        return false;
    }
    if (nul < text.len) {
        complain_about(to, line_of(text, nul), "holds a NUL; this must be a text file");
        return false;
    }
    return true;
}

/* The directory of `name`, absolute. */
static struct span directory_of(struct arena *arena, const char *name)
{
    struct span path = span_cstr(name);
    char here[4096];
    /* Made absolute here, once: processes change their directory later. */
    if (path.len > 0 && path.data[0] != '/') {
        if (!getcwd(here, sizeof here))
            fatal(EX_OSERR, "the working directory has no name: %s", log_errno_text(errno));
        path = arena_printf(arena, "%s/%s", here, name);
    }
    size_t slash = span_find_last(path, '/');
    return slash < path.len ? span_first(path, slash) : SPAN("");
}

/* ---- loading ---- */

/* How many workers `workers = 0` means. */
static uint64_t processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 && count <= 256 ? (uint64_t)count : 1;
}

/* Everything lives in the configuration's own arena, so a bad one is freed in one piece. */
struct conf *conf_parse(FILE *in, const char *name, conf_complain *complain, void *arg)
{
    struct conf_complaints to = {complain, arg, name};
    struct conf *conf = mem_new(sizeof *conf);
    struct buf text = {0};
    struct span directory = directory_of(&conf->arena, name);
    conf->file = arena_copy(&conf->arena, span_cstr(name));
    /* In this order, so that each step may rely on the ones before it. */
    bool good = read_all(in, &text, &to) && text_is_sound(buf_span(&text), &to) &&
                reader_read(conf, buf_span(&text), directory, &to);
    buf_free(&text);
    if (!good) {
        conf_free(conf);
        return NULL;
    }
    /* Resolved here, so that nobody else has to know what 0 means. */
    if (conf->workers == 0)
        conf->workers = processors();
    return conf;
}

/* What others may write decides nothing here: it could make root run their wishes. */
static bool file_is_ours(int fd, const struct conf_complaints *to)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        complain_about(to, 1, "is not a regular file; name the configuration with -c");
        return false;
    }
    /* The group too: who shares a group with root's editor is not root. */
    if (st.st_mode & (S_IWGRP | S_IWOTH)) {
        complain_about(to, 1, "others may write it (mode %04o); chmod go-w %s",
                       (unsigned)st.st_mode & 07777, to->name);
        return false;
    }
    if (st.st_uid != 0 && st.st_uid != geteuid()) {
        complain_about(to, 1, "belongs to user %u; chown it to root, or run as its owner",
                       (unsigned)st.st_uid);
        return false;
    }
    return true;
}

struct conf *conf_load(const char *name, conf_complain *complain, void *arg)
{
    struct conf_complaints to = {complain, arg, name};
    struct conf *conf = NULL;
    /* O_NONBLOCK: a FIFO in the place of the file must not hold up the start. */
    int fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        complain_about(&to, 1, "it can not be opened: %s; make one with `veredus init DIR`",
                       log_errno_text(errno));
        return NULL;
    }
    FILE *in = file_is_ours(fd, &to) ? fdopen(fd, "r") : NULL;
    if (!in) {
        close(fd);
        return NULL;
    }
    conf = conf_parse(in, name, complain, arg);
    fclose(in);
    return conf;
}

void conf_free(struct conf *conf)
{
    if (!conf)
        return;
    arena_free(&conf->arena);
    mem_free(conf);
}

/* ---- asking ---- */

/* Line 0: the file does not set it. */
struct span conf_place(const struct conf *conf, const char *setting, struct arena *arena)
{
    const struct setting *row = setting_find(setting);
    unsigned line = row != NULL && conf->setting_lines ? conf->setting_lines[row - settings] : 0;
    return line > 0 ? arena_printf(arena, "%.*s:%u", SPAN_ARG(conf->file), line)
                    : arena_copy(arena, conf->file);
}

/* Asked of the effective user: a configuration read by a plain user means that user. */
bool conf_changes_users(const struct conf *conf)
{
    return conf->separate_users && geteuid() == 0;
}

/* In the order of the file; any match is enough, so the order does not matter. */
static bool is_within(const struct conf_prefixes *networks, const union net_address *address)
{
    for (size_t i = 0; i < networks->count; i++) {
        if (net_prefix_holds(&networks->items[i], address))
            return true;
    }
    return false;
}

bool conf_trusts(const struct conf *conf, const union net_address *client)
{
    return is_within(&conf->trusted_networks, client);
}

/* Apart from conf_trusts: to say who a client is, is another right than to send mail. */
bool conf_trusts_proxy(const struct conf *conf, const union net_address *proxy)
{
    return is_within(&conf->trusted_proxies, proxy);
}

/* Whoever may connect writes to the socket, and reads nothing of the file. */
mode_t conf_listen_mode(const struct conf_listen *listen)
{
    static const mode_t modes[] = {
        [SOCKET_MODE_OWNER] = 0600, [SOCKET_MODE_GROUP] = 0660, [SOCKET_MODE_ALL] = 0666};
    return modes[listen->mode];
}

/* A walk: the list is what a person wrote, a dozen names at most. */
bool conf_has_domain(const struct conf_spans *list, struct span domain)
{
    for (size_t i = 0; i < list->count; i++) {
        if (span_equal_nocase(list->items[i], domain))
            return true;
    }
    return false;
}
