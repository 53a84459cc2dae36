/*
 * Put before every process of an instance, it lets one allocation fail: $FAILING_MALLOC is a
 * directory with a file for each role to be hurt, and in the file a number that all processes of
 * the role count down. The one that comes to 0 gets no memory.
 *
 * Only what the program itself asks for is counted, and only from its sandbox on. What libraries do
 * without memory is theirs: libConfuse answers with assert(3), Berkeley DB follows NULL, and the
 * sanitizers give up when they can not look at a new thread.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic int64_t *left; /* NULL: this role is left alone */
static bool confined;

/* Before main, while files can be opened. Master gives each child its role as the first argument.
 */
__attribute__((constructor)) static void begin(int argc, char **argv)
{
    char path[4096];
    const char *directory = getenv("FAILING_MALLOC");
    if (argc < 2 || directory == NULL)
        return;
    (void)snprintf(path, sizeof(path), "%s/%s", directory, argv[1]);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return;
    void *shared = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    (void)close(fd);
    if (shared != MAP_FAILED)
        left = shared;
}

/* libseccomp's. */
int seccomp_load(void *filter);
int seccomp_load(void *filter)
{
    int (*next)(void *);
    *(void **)&next = dlsym(RTLD_NEXT, "seccomp_load");
    int result = next(filter);
    confined = true;
    return result;
}

/* The kernel says where the program itself was loaded: all else is a library. */
static bool is_own(const void *caller)
{
    Dl_info program, its;
    return dladdr((const void *)getauxval(AT_PHDR), &program) != 0 && dladdr(caller, &its) != 0 &&
           its.dli_fbase == program.dli_fbase;
}

static bool fails(const void *caller)
{
    if (!confined || left == NULL || atomic_load(left) <= 0 || !is_own(caller) ||
        atomic_fetch_sub(left, 1) != 1)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    static void *(*next)(size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "malloc");
    return fails(__builtin_return_address(0)) ? NULL : next(size);
}

void *calloc(size_t count, size_t size)
{
    static void *(*next)(size_t, size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "calloc");
    return fails(__builtin_return_address(0)) ? NULL : next(count, size);
}

void *realloc(void *memory, size_t size)
{
    static void *(*next)(void *, size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "realloc");
    return fails(__builtin_return_address(0)) ? NULL : next(memory, size);
}

void *reallocarray(void *memory, size_t count, size_t size)
{
    static void *(*next)(void *, size_t, size_t);
    if (next == NULL)
        *(void **)&next = dlsym(RTLD_NEXT, "reallocarray");
    return fails(__builtin_return_address(0)) ? NULL : next(memory, count, size);
}
