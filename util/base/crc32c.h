/*
 * crc32c - the Castagnoli checksum (RFC 3720 appendix B.4), by the processor where it can.
 */
#ifndef VEREDUS_BASE_CRC32C_H
#define VEREDUS_BASE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Continues `crc` (0 to begin) over `size` octets: crc32c(crc32c(0, a), b) == crc32c(0, ab). */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same by table alone; the tests hold one against the other. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif
