/*
 * getrandom(2) needs no file, so it works in a chroot and under a filter that denies open(2), and
 * it is right after fork(2), where a generator of our own would repeat its parent's numbers.
 */
#include "util/base/random.h"

#include "util/base/panic.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>
#include <sysexits.h>

/* A call may bring fewer octets than asked for, and a signal none; both only mean to ask again. */
void random_fill(void *out, size_t size)
{
    unsigned char *octets = out;
    size_t filled = 0;
    while (filled < size) {
        ssize_t got = getrandom(octets + filled, size - filled, 0);
        if (got > 0)
            filled += (size_t)got;
        else if (got == 0 || errno != EINTR)
            fatal(EX_OSERR, "the kernel gives no random octets");
    }
}

/* No buffer of random octets is kept: one system call is cheap, and nothing has to be thrown
 * away in a child. */
uint32_t random_u32(void)
{
    uint32_t number;
    random_fill(&number, sizeof(number));
    return number;
}

uint64_t random_u64(void)
{
    uint64_t number;
    random_fill(&number, sizeof(number));
    return number;
}

/*
 * The remainder of a division alone favours small numbers unless bound divides 2^32. Numbers below
 * 2^32 mod bound are drawn again: what is left is a whole multiple of bound.
 */
uint32_t random_below(uint32_t bound)
{
    require(bound > 0);
    uint32_t unfair = (uint32_t)(-bound) % bound;
    uint32_t number;
    do {
        number = random_u32();
    } while (number < unfair);
    return number % bound;
}
