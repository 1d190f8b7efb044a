/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/http_chunk.h"

#include <string.h>

/* 60 bits: a sum of two does not overflow. */
#define DIGITS_MAX 15

static int digit_of(uint8_t c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/*
 * Nobody sends any but to see what becomes of them: names that are words, the last of them with a
 * value or not, which is one, too. About the inside of quoted texts programs do not agree, nor about
 * what comes behind a value: llhttp 8.1 takes it for the size again.
 */
static bool is_extension(const uint8_t *bytes, size_t length, bool is_whole)
{
	bool in_word = false, has_value = false;

	if (length == 0)
		return true;
	if (bytes[0] != ';')
		return false;
	for (size_t i = 0; i < length; i++) {
		uint8_t c = bytes[i];
		bool is_word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			       (c >= '0' && c <= '9') || c == '-' || c == '_';

		if (!is_word && (i > 0 && !in_word))
			return false;
		if (!is_word && ((c != ';' && c != '=') || has_value))
			return false;
		has_value = has_value || c == '=';
		in_word = is_word;
	}
	return in_word || !is_whole;
}

enum http_result http_chunk_line(const uint8_t *bytes, size_t length, size_t *ret_line,
				 uint64_t *ret_chunk)
{
	size_t seen = length < HTTP_CHUNK_LINE_MAX ? length : HTTP_CHUNK_LINE_MAX, digits = 0, end;
	const uint8_t *feed = seen > 0 ? memchr(bytes, '\n', seen) : NULL;

	end = feed ? (size_t)(feed - bytes) : seen;
	if (feed && (end == 0 || bytes[end - 1] != '\r'))
		return HTTP_BAD;
	if (end > 0 && bytes[end - 1] == '\r')
		end--;
	*ret_chunk = 0;
	while (digits < end && digit_of(bytes[digits]) >= 0 && digits <= DIGITS_MAX)
		*ret_chunk = *ret_chunk << 4 | (uint64_t)digit_of(bytes[digits++]);
	if ((digits == 0 && (end > 0 || feed)) || digits > DIGITS_MAX ||
	    !is_extension(bytes + digits, end - digits, feed))
		return HTTP_BAD;
	if (!feed)
		return seen < HTTP_CHUNK_LINE_MAX ? HTTP_MORE : HTTP_BAD;
	*ret_line = (size_t)(feed - bytes) + 1;
	return HTTP_GOOD;
}

enum http_result http_trailers(const uint8_t *bytes, size_t length, size_t *ret_length)
{
	size_t seen = length < HTTP_TRAILERS_MAX ? length : HTTP_TRAILERS_MAX, at = 0;
	struct http_field field;

	do {
		enum http_result result = http_field_next(bytes, seen, &at, &field);

		if (result == HTTP_MORE && seen == HTTP_TRAILERS_MAX)
			return HTTP_BAD;
		if (result != HTTP_GOOD)
			return result;
		if (http_field_is_reserved(&field))
			return HTTP_BAD;
	} while (field.name_bytes > 0);
	*ret_length = at;
	return HTTP_GOOD;
}
