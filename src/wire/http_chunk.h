/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked transfer coding (RFC 9112 section 7.1), line by line, as strictly as heads. */
#ifndef FAIRLEAD_WIRE_HTTP_CHUNK_H
#define FAIRLEAD_WIRE_HTTP_CHUNK_H

#include "wire/http_head.h"

/* The most a line with its extensions, and all trailers together, may have. */
#define HTTP_CHUNK_LINE_MAX 256
#define HTTP_TRAILERS_MAX 4096

/* The line before a chunk: its length with CR LF, and how many bytes the chunk has. */
enum http_result http_chunk_line(const uint8_t *bytes, size_t length, size_t *ret_line,
				 uint64_t *ret_chunk);

/*
 * All that is behind the last chunk: trailers, which must not be fields that frame or name somebody,
 * and the empty line.
 */
enum http_result http_trailers(const uint8_t *bytes, size_t length, size_t *ret_length);

#endif
