/*
 * Every message is summed when it is written to the spool and when it is read from it, so this must
 * not be seen in a profile. The crc32 instruction of SSE4.2 takes eight octets, answers three
 * cycles later, but can begin every cycle: three independent sums run at once and are then joined.
 *
 * Joining means to move a sum past the octets that follow it, a multiplication by x^(8n) modulo the
 * polynomial. PCLMULQDQ multiplies by a constant, and the crc32 instruction itself takes the
 * remainder. Processors without both instructions, and other architectures, go by table.
 */
#include "util/base/crc32c.h"

#include "util/base/crc32c_tables.h"

#include <endian.h>
#include <string.h>

/* Through memcpy(3): the octets need not be aligned, and the compiler makes one instruction of
 * it. */
static uint64_t load(const unsigned char *octets)
{
    uint64_t word;
    memcpy(&word, octets, sizeof(word));
    return word;
}

/*
 * Slicing by eight: eight octets at once, each looked up in the table for the number of octets that
 * follow it, so that no look-up waits for another. Written out, because gcc -O2 unrolls no loop.
 */
static uint32_t sum_eight(uint32_t crc, const unsigned char *octets)
{
    const uint32_t(*table)[256] = crc32c_tables;
    uint64_t word = le64toh(load(octets)) ^ crc;
    return table[7][word & 0xff] ^ table[6][word >> 8 & 0xff] ^ table[5][word >> 16 & 0xff] ^
           table[4][word >> 24 & 0xff] ^ table[3][word >> 32 & 0xff] ^ table[2][word >> 40 & 0xff] ^
           table[1][word >> 48 & 0xff] ^ table[0][word >> 56];
}

/* Eight at a time, then what is left one by one. The sum is kept inverted between calls (RFC
 * 3720 appendix B.4 begins and ends with ones), so that calls can be chained. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *octets = data;
    crc = ~crc;
    for (; size >= 8; octets += 8, size -= 8)
        crc = sum_eight(crc, octets);
    for (; size > 0; octets++, size--)
        crc = crc >> 8 ^ crc32c_tables[0][(crc ^ *octets) & 0xff];
    return ~crc;
}

#ifdef __x86_64__

#include <nmmintrin.h>
#include <wmmintrin.h>

/*
 * A lane is what one of the three sums covers. The constants are x^(8n - 33) modulo the polynomial,
 * reflected, for n of one and of two lanes: the product of two reflected numbers is x times too
 * large, and the crc32 instruction multiplies by x^32 on its own.
 */
enum { LANE = 256 };
static const uint32_t past_one_lane = 0xb9e02b86;
static const uint32_t past_two_lanes = 0xdd7e3b0c;

/* The product, without carries and not yet reduced: 63 bits. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t multiply(uint64_t crc, uint32_t constant)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi64_si128(constant), 0);
    return (uint64_t)_mm_cvtsi128_si64(product);
}

/* The sum, begun as `crc`, of three lanes. */
__attribute__((target("sse4.2,pclmul"))) static uint64_t sum_lanes(uint64_t crc,
                                                                   const unsigned char *octets)
{
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < LANE; i += 8) {
        crc = _mm_crc32_u64(crc, load(octets + i));
        second = _mm_crc32_u64(second, load(octets + LANE + i));
        third = _mm_crc32_u64(third, load(octets + 2 * LANE + i));
    }
    /* The first sum has two lanes behind it, the second one; the third is where the end is. */
    uint64_t moved = multiply(crc, past_two_lanes) ^ multiply(second, past_one_lane);
    return _mm_crc32_u64(0, moved) ^ third;
}

/* Three lanes as long as there are three, then words, then octets. */
__attribute__((target("sse4.2,pclmul"))) static uint32_t
sum_by_processor(uint32_t crc, const void *data, size_t size)
{
    const unsigned char *octets = data;
    uint64_t sum = (uint32_t)~crc;
    for (; size >= 3 * LANE; octets += 3 * LANE, size -= 3 * LANE)
        sum = sum_lanes(sum, octets);
    for (; size >= 8; octets += 8, size -= 8)
        sum = _mm_crc32_u64(sum, load(octets));
    for (; size > 0; octets++, size--)
        sum = _mm_crc32_u8((uint32_t)sum, *octets);
    return ~(uint32_t)sum;
}

/* libgcc asked the processor before main(): what is left here is a look at two bits. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    if (__builtin_cpu_supports("sse4.2") && __builtin_cpu_supports("pclmul"))
        return sum_by_processor(crc, data, size);
    return crc32c_portable(crc, data, size);
}

#else

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
    return crc32c_portable(crc, data, size);
}

#endif
