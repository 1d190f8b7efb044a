/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Endless pseudo-random streams, one for each seed, of which any part can be made at any time: so
 * whoever receives a part knows what it must be, and no checksum has to wait for the end.
 */
#ifndef FAIRLEAD_TESTS_TRANSFER_STREAM_H
#define FAIRLEAD_TESTS_TRANSFER_STREAM_H

#include <stdint.h>
#include <string.h>

/* The finisher of MurmurHash3, of a counter: each 8 bytes differ, and none repeats nearby. */
static inline uint64_t stream_word(uint64_t seed, uint64_t number)
{
	uint64_t word = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + number;

	word = (word ^ word >> 33) * UINT64_C(0xff51afd7ed558ccd);
	word = (word ^ word >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return word ^ word >> 33;
}

/* Writes bytes [position, position + length) of the stream. */
static inline void stream_fill(uint64_t seed, uint64_t position, uint8_t *bytes, size_t length)
{
	while (length > 0) {
		uint64_t word = stream_word(seed, position / 8);
		size_t skip = position % 8, part = 8 - skip < length ? 8 - skip : length;

		if (part == 8)
			memcpy(bytes, &word, 8);
		else
			memcpy(bytes, (const uint8_t *)&word + skip, part);
		bytes += part;
		position += part;
		length -= part;
	}
}

#endif
