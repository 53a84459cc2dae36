/*
 * crc32c_tables - the constants of slicing by eight; for crc32c.c alone.
 */
#ifndef VEREDUS_BASE_CRC32C_TABLES_H
#define VEREDUS_BASE_CRC32C_TABLES_H

#include <stdint.h>

/* crc32c_tables[k][octet]: the remainder of `octet` followed by k octets of zero. */
extern const uint32_t crc32c_tables[8][256];

#endif
