/*
 * Why the file is read twice: conf_load looks at who may write it, and the memfd holds what is
 * handed on. What counts is the parse of the memfd, so an editor that saves between the two can not
 * make master and its children disagree.
 */
#include "master/configuration.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

void complaint_note(void *arg, const char *message)
{
    bool warning = strstr(message, ": warning: ") != NULL;
    log_event(warning ? LOG_WARN : LOG_ERROR, "configuration", LOG_STR("reason", message));
    if (arg != NULL) {
        buf_add(arg, span_cstr(message));
        buf_add(arg, SPAN("\n"));
    }
}

/* A write to memory that comes up short means that memory is short: no second try. */
static bool copy_text(int from, int to)
{
    char part[4096];
    ssize_t count;

    /* Up to the end as it is now; a file that grows meanwhile is parsed again like any other
     * text. */
    while ((count = read(from, part, sizeof(part))) > 0)
        if (write(to, part, (size_t)count) != count)
            return false;
    return count == 0;
}

/* A memfd is born with mode 0777; sealed, it can be read and nothing else, whoever opens it. */
static bool seal(int fd)
{
    return fchmod(fd, S_IRUSR | S_IRGRP | S_IROTH) == 0 &&
           fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) == 0;
}

/* O_NONBLOCK: a FIFO under that name must not stop master in open. The caller owns the memfd,
 * which is sealed before anybody else can see it; -1 leaves nothing open. */
static int sealed_copy(const char *file)
{
    int from = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    int to = from < 0 ? -1 : memfd_create("veredus-configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (to >= 0 && !(copy_text(from, to) && seal(to))) {
        (void)close(to);
        to = -1;
    }
    if (from >= 0)
        (void)close(from);
    return to;
}

/* By a duplicate, since fclose closes what it read from and the memfd is handed to children
 * later. */
static struct conf *parse_copy(int text, const char *file, conf_complain *complain, void *arg)
{
    /* Both share one offset; master parses before any child has it, so nobody moves it
     * meanwhile. */
    int copy = fcntl(text, F_DUPFD_CLOEXEC, 0);
    FILE *in = copy < 0 || lseek(copy, 0, SEEK_SET) != 0 ? NULL : fdopen(copy, "r");

    if (in == NULL) {
        complain(arg, "the copy of the configuration can not be read; see the system's limits");
        if (copy >= 0)
            (void)close(copy);
        return NULL;
    }
    struct conf *conf = conf_parse(in, file, complain, arg);
    (void)fclose(in);
    return conf;
}

bool configuration_load(struct configuration *configuration, const char *file,
                        conf_complain *complain, void *arg)
{
    /* Empty but valid, so that it can be freed whichever step fails. */
    *configuration = (struct configuration){.text = -1};
    struct conf *checked = conf_load(file, complain, arg);
    if (checked == NULL)
        return false;
    conf_free(checked);

    /* From here on the file is not looked at again, however often it is saved. */
    configuration->text = sealed_copy(file);
    if (configuration->text < 0) {
        complain(arg, "the configuration can not be copied into memory; see the system's limits");
        return false;
    }
    configuration->conf = parse_copy(configuration->text, file, complain, arg);
    /* Children read the certificates themselves; one that they could not serve is found before
     * there are any, and at a reload while the old ones still do. */
    bool good = configuration->conf != NULL &&
                conf_check_tls(configuration->conf, &(struct conf_voice){complain, arg});
    if (!good)
        configuration_free(configuration);
    return good;
}

void configuration_free(struct configuration *configuration)
{
    conf_free(configuration->conf);
    if (configuration->text >= 0)
        (void)close(configuration->text);
    /* Freeing twice is harmless: 0 is a descriptor, so "none" has to be said. */
    *configuration = (struct configuration){.text = -1};
}
