/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Heads of HTTP/1 messages (RFC 9112): where they end, how the body behind them is framed, and one
 * field after the other.
 *
 * A request passes only if everybody would read it alike, so this is stricter than the RFC where
 * programs are known to differ: lines end with CR LF and nothing else, no control characters, no
 * folded lines, no blank before a colon, one Content-Length of digits alone or one Transfer-Encoding
 * that ends in chunked, one Host. Of answers the same is asked, but nothing comes of it if they are
 * not so, except that they cannot be followed.
 */
#ifndef FAIRLEAD_WIRE_HTTP_HEAD_H
#define FAIRLEAD_WIRE_HTTP_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum http_result {
	HTTP_GOOD,
	HTTP_MORE,	  /* so far it is good, and it has no end yet */
	HTTP_BAD,	  /* malformed, or it can be read in more than one way */
	HTTP_BAD_VERSION, /* HTTP, but neither 1.0 nor 1.1 */
};

enum http_framing {
	HTTP_NO_BODY,	 /* as far as the head says */
	HTTP_LENGTH,	 /* content_length bytes */
	HTTP_CHUNKED,	 /* wire/http_chunk.h */
	HTTP_UNTIL_CLOSE /* answers only */
};

enum http_method {
	HTTP_METHOD_OTHER,
	HTTP_METHOD_HEAD,
	HTTP_METHOD_CONNECT,
};

struct http_head {
	size_t length;	   /* with the empty line */
	size_t line_bytes; /* of these, the first line */
	uint8_t minor;	   /* of the version */
	uint8_t method;	   /* enum http_method, of requests */
	uint16_t status;   /* of answers */
	uint8_t framing;   /* enum http_framing */
	uint64_t content_length;
	bool upgrades;	   /* Upgrade, and Connection: upgrade */
	bool upgrades_h2c; /* to HTTP/2 */
	bool names_client; /* it has X-Forwarded-For, X-Real-IP or Forwarded */

	/* While it is read. */
	uint8_t hosts, lengths, encodings;
	bool has_upgrade, has_connection_upgrade;
	/* where to: of a target in absolute form, and of Host; they point into the bytes, or are NULL */
	const uint8_t *authority, *host;
	size_t authority_bytes, host_bytes;
};

enum http_result http_request_parse(const uint8_t *bytes, size_t length, struct http_head *ret);
enum http_result http_response_parse(const uint8_t *bytes, size_t length, struct http_head *ret);

struct http_field {
	const uint8_t *line; /* all of it, with CR LF */
	size_t line_bytes;
	const uint8_t *name;
	size_t name_bytes;
	const uint8_t *value; /* without blanks around it */
	size_t value_bytes;
};

/*
 * Reads the field at *at, a line in bytes[0..length). HTTP_GOOD: *at is behind it, and name_bytes is
 * 0 for the empty line that ends a head.
 */
enum http_result http_field_next(const uint8_t *bytes, size_t length, size_t *at,
				 struct http_field *ret);

/* Whether the field has that name, which is as long as its own. */
bool http_name_is(const struct http_field *field, const char *name);

/*
 * Whether that is the field's name, written in small letters. All that is no letter and no digit
 * counts as '-': behind CGI (RFC 3875 section 4.1.18) and in PHP, X.Real_IP is the same variable.
 */
static inline bool http_field_is(const struct http_field *field, const char *name)
{
	return strlen(name) == field->name_bytes && http_name_is(field, name);
}

/*
 * Whether it frames the message, says where to, or says who the client is: a trailer must not be such
 * a field (RFC 9110 section 6.5.1), and Connection must not have one taken out.
 */
bool http_field_is_reserved(const struct http_field *field);

/* The items of a comma-separated value, one after the other: *at is 0 at first. False at the end. */
bool http_item_next(const struct http_field *field, size_t *at, const uint8_t **ret,
		    size_t *ret_bytes);

/* Whether those bytes are that word, in whatever letters. */
bool http_word_is(const uint8_t *bytes, size_t length, const char *word);

#endif
