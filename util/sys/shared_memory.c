/*
 * A memfd is born with mode 0777: whoever holds it for reading could open it anew for writing. And
 * its size could be cut under those who have it mapped. Neither is left possible.
 */
#include "util/sys/shared_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/base/random.h"

static bool prepare(int fd, size_t size)
{
    uint8_t key[SHARED_MEMORY_KEY];
    random_fill(key, sizeof(key));
    return fchmod(fd, S_IRUSR | S_IWUSR) == 0 && ftruncate(fd, (off_t)size) == 0 &&
           pwrite(fd, key, sizeof(key), 0) == (ssize_t)sizeof(key) &&
           fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0;
}

int shared_memory_create(const char *name, size_t size)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || prepare(fd, size))
        return fd;

    int saved_errno = errno;
    (void)close(fd);
    errno = saved_errno;
    return -1;
}

/* Memory of another size is of another build: refused before it is misread. */
void *shared_memory_map(int fd, size_t size, bool writable)
{
    struct stat status;
    if (fstat(fd, &status) != 0)
        return NULL;
    if (status.st_size != (off_t)size) {
        errno = EINVAL;
        return NULL;
    }
    int protection = writable ? PROT_READ | PROT_WRITE : PROT_READ;
    void *memory = mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    return memory == MAP_FAILED ? NULL : memory;
}
