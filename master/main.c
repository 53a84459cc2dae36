/*
 * veredus-master -c FILE [-f]: runs in the foreground; `veredus start` is what puts it into the
 * background. Its children's programs lie beside its own.
 */
#include "master/master.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

/* The directory of this program, from the kernel: argv[0] is whatever the caller likes. */
static bool find_programs(char out[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", out, PATH_MAX - 1);
    if (length <= 0)
        return false;
    struct span path = span_of(out, (size_t)length);
    out[span_find_last(path, '/')] = '\0';
    return true;
}

/* For those who call it by hand; `veredus` always gets it right. */
static int usage(void)
{
    (void)fputs("usage: veredus-master -c FILE [-f]\n", stderr);
    return EX_USAGE;
}

int main(int argc, char **argv)
{
    char programs[PATH_MAX], file[PATH_MAX];
    const char *name = NULL;
    int option;

    while ((option = getopt(argc, argv, "c:f")) != -1) {
        if (option == 'c')
            name = optarg;
        /* -f is accepted and changes nothing: master always stays in the foreground. */
        else if (option != 'f')
            return usage();
    }
    if (name == NULL || optind != argc)
        return usage();
    /* Absolute before anything else: the name must mean the same file at every reload. */
    if (realpath(name, file) == NULL || !find_programs(programs)) {
        perror(name);
        return EX_NOINPUT;
    }
    /* All names are absolute now. No process keeps the directory of whoever called: it may be one
     * that a role's user must not see, or that is to be unmounted. */
    if (chdir("/") != 0) {
        perror("/");
        return EX_OSERR;
    }
    return master_run(file, programs);
}
