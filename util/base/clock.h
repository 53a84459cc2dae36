/*
 * clock - the time of the day, and the time that never jumps.
 */
#ifndef VEREDUS_BASE_CLOCK_H
#define VEREDUS_BASE_CLOCK_H

#include <stdint.h>

/* Milliseconds of CLOCK_MONOTONIC: for every timer and deadline. */
int64_t clock_ms(void);

/* Microseconds since 1970: for what is shown and for what is stored. */
uint64_t clock_wall_us(void);

/* Seconds since 1970. */
uint32_t clock_wall(void);

#endif
