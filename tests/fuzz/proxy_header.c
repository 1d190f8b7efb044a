/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers. What is read can be written and read again, and is the same then; each begin of a
 * good header could become one, and what stands behind it changes nothing.
 */
#include "wire/proxy_header.h"

#include <errno.h>

#include "fuzz.h"

static uint8_t *copy_of(const uint8_t *data, size_t size)
{
	uint8_t *copy = malloc(size > 0 ? size : 1);

	assert(copy);
	if (size > 0)
		memcpy(copy, data, size);
	return copy;
}

static void check_begins(const uint8_t *data, size_t length)
{
	struct proxy_header ignored;

	for (size_t i = 0; i < length; i += 1 + length / 64) {
		uint8_t *begin = copy_of(data, i);

		assert(proxy_header_decode(begin, i, &ignored) == -EAGAIN);
		free(begin);
	}
}

static void check_same(const struct proxy_header *a, const struct proxy_header *b)
{
	assert(a->is_local == b->is_local && a->protocol == b->protocol);
	assert(a->has_crc32c == b->has_crc32c);
	assert(address_equal(&a->source, &b->source));
	assert(address_equal(&a->destination, &b->destination));
	assert(a->unique_id_bytes == b->unique_id_bytes);
	assert(a->unique_id_bytes == 0 ||
	       memcmp(a->unique_id, b->unique_id, a->unique_id_bytes) == 0);
}

static void check_again(struct proxy_header *header)
{
	uint8_t out[PROXY_HEADER_OUT_MAX];
	struct proxy_header again;
	ssize_t length;

	if (header->authority_bytes > PROXY_AUTHORITY_MAX)
		return;
	if (header->source.family == AF_UNSPEC)
		header->protocol = PROTOCOL_TCP; /* which nothing is left to tell */
	length = proxy_v2_encode(header, out, sizeof(out));
	assert(length > 0);
	assert(proxy_header_decode(out, (size_t)length, &again) == length);
	check_same(header, &again);
	if (header->protocol != PROTOCOL_TCP)
		return;
	length = proxy_v1_encode(header, out, sizeof(out));
	assert(length > 0 && length <= PROXY_V1_MAX);
	assert(proxy_header_decode(out, (size_t)length, &again) == length);
	assert(address_equal(&header->source, &again.source));
	assert(address_equal(&header->destination, &again.destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *exact = copy_of(data, size);
	struct proxy_header header, whole;
	ssize_t length = proxy_header_decode(exact, size, &header);

	assert(length == -EAGAIN || length == -EBADMSG || (length > 0 && (size_t)length <= size));
	if (length > 0) {
		check_begins(exact, (size_t)length);
		assert(proxy_header_decode(exact, (size_t)length, &whole) == length);
		check_same(&header, &whole);
		check_again(&header);
	}
	free(exact);
	return 0;
}
