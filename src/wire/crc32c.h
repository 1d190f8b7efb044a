/* SPDX-License-Identifier: Apache-2.0 */
/* CRC32C: the Castagnoli polynomial, as in RFC 3720 appendix B.4. */
#ifndef FAIRLEAD_WIRE_CRC32C_H
#define FAIRLEAD_WIRE_CRC32C_H

#include <stddef.h>
#include <stdint.h>

/* Goes on from the value of what came before, which is 0 for nothing. */
uint32_t crc32c(uint32_t before, const uint8_t *bytes, size_t length);

#endif
