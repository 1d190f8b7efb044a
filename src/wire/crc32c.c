/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* its bits in reverse, as the least significant comes first */

/* One step of four bits. */
#define BIT(value) (((value) >> 1) ^ (((value)&1u) ? POLYNOMIAL : 0u))
#define NIBBLE(value) BIT(BIT(BIT(BIT(value))))
#define NIBBLES4(first) NIBBLE(first), NIBBLE((first) + 1), NIBBLE((first) + 2), NIBBLE((first) + 3)

/* Headers have a hundred bytes or so: sixteen entries are enough, and made by the compiler. */
static const uint32_t table[16] = { NIBBLES4(0u), NIBBLES4(4u), NIBBLES4(8u), NIBBLES4(12u) };

uint32_t crc32c(uint32_t before, const uint8_t *bytes, size_t length)
{
	uint32_t value = ~before;

	for (size_t i = 0; i < length; i++) {
		value ^= bytes[i];
		value = (value >> 4) ^ table[value & 15];
		value = (value >> 4) ^ table[value & 15];
	}
	return ~value;
}
