/*
 * Put before a daemon of the sanitizer build, it lets it run without its sandbox: LeakSanitizer
 * stops the threads of the process it looks at with ptrace(2), which every filter of ours forbids.
 * The daemons need no switch for this, so none can be left on by mistake.
 */
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

/* libseccomp's: the filter is made and goes nowhere. The line on standard error proves that it
 * was this one that was called. */
int seccomp_load(void *filter);
int seccomp_load(void *filter)
{
    (void)filter;
    (void)dprintf(STDERR_FILENO, "event=sandbox-left-out pid=%d\n", (int)getpid());
    return 0;
}

/* LeakSanitizer looks for threads in /proc, which an empty root lacks. */
int chroot(const char *path)
{
    (void)path;
    return 0;
}

/* glibc's: a kernel without Landlock. All arguments are passed on as words, as glibc does. */
long syscall(long number, ...)
{
    long words[6];
    va_list list;
    va_start(list, number);
    for (int i = 0; i < 6; i++)
        words[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_landlock_create_ruleset) {
        errno = ENOSYS;
        return -1;
    }
    long (*next)(long, ...);
    *(void **)&next = dlsym(RTLD_NEXT, "syscall");
    return next(number, words[0], words[1], words[2], words[3], words[4], words[5]);
}
