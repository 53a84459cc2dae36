/*
 * clock_gettime(2) runs in the vDSO, without a system call: cheap enough to be asked whenever the
 * time is needed, so nobody keeps a cached time that is wrong after a slow turn of the event loop.
 */
#include "util/base/clock.h"

#include "util/base/panic.h"

#include <time.h>

/* A clock that is not there is a kernel that we can not run on. */
static struct timespec now(clockid_t clock)
{
    struct timespec time;
    require(clock_gettime(clock, &time) == 0);
    return time;
}

/* Signed, so that the difference of two times can be negative without surprise. */
int64_t clock_ms(void)
{
    struct timespec time = now(CLOCK_MONOTONIC);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

uint64_t clock_wall_us(void)
{
    struct timespec time = now(CLOCK_REALTIME);
    return (uint64_t)time.tv_sec * 1000000 + (uint64_t)time.tv_nsec / 1000;
}

/* 32 bits without a sign last until the year 2106. */
uint32_t clock_wall(void)
{
    return (uint32_t)now(CLOCK_REALTIME).tv_sec;
}
