/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "identity/http_state.h"

struct writer {
	uint8_t *out;
	size_t length;
};

static void put(struct writer *writer, const void *bytes, size_t length)
{
	memcpy(writer->out + writer->length, bytes, length);
	writer->length += length;
}

static void put_text(struct writer *writer, const char *text)
{
	put(writer, text, strlen(text));
}

/* Our fields, as we know them. */
static const struct {
	uint8_t header;
	const char *name; /* in small letters */
	const char *begin;
} ours[] = {
	{ HTTP_X_FORWARDED_FOR, "x-forwarded-for", "X-Forwarded-For: " },
	{ HTTP_X_REAL_IP, "x-real-ip", "X-Real-IP: " },
	{ HTTP_FORWARDED, "forwarded", "Forwarded: " },
};

#define OURS (sizeof(ours) / sizeof(ours[0]))

static int find_ours(const struct http_field *field)
{
	for (size_t i = 0; i < OURS; i++)
		if (http_field_is(field, ours[i].name))
			return (int)i;
	return -1;
}

/*
 * Whether the field does not pass as it is: one of ours, whether we add it or not, as a server may
 * believe it; and what would make HTTP/2 of the connection, which a server may ignore (RFC 9110
 * section 7.8).
 */
static bool is_dropped(const struct http_filter *filter, const struct http_field *field,
		       bool drops_upgrade)
{
	int which = find_ours(field);

	if (which >= 0)
		return !filter->is_trusted || (filter->headers & ours[which].header) != 0;
	return drops_upgrade &&
	       (http_field_is(field, "upgrade") || http_field_is(field, "http2-settings"));
}

/* The values that a trusted client has sent, in their order, before ours. Returns whether any. */
static bool put_earlier(struct writer *writer, const uint8_t *bytes, const struct http_head *head,
			const char *name)
{
	size_t at = head->line_bytes;
	struct http_field field;
	bool any = false;

	while (http_field_next(bytes, head->length, &at, &field) == HTTP_GOOD &&
	       field.name_bytes > 0) {
		if (!http_field_is(&field, name) || field.value_bytes == 0)
			continue;
		if (any)
			put(writer, ", ", 2);
		put(writer, field.value, field.value_bytes);
		any = true;
	}
	return any;
}

static void put_ours(struct writer *writer, const struct http_filter *filter, size_t which,
		     const uint8_t *bytes, const struct http_head *head)
{
	bool any = false;

	put_text(writer, ours[which].begin);
	if (filter->is_trusted)
		any = put_earlier(writer, bytes, head, ours[which].name);
	/* X-Real-IP is one address: that which the first one to say so has said */
	if (!any || ours[which].header != HTTP_X_REAL_IP) {
		if (any)
			put(writer, ", ", 2);
		put_text(writer,
			 ours[which].header == HTTP_FORWARDED ? filter->forwarded : filter->ip);
	}
	put(writer, "\r\n", 2);
}

size_t http_rewrite(const struct http_filter *filter, const uint8_t *bytes,
		    const struct http_head *head, bool drops_upgrade, uint8_t *out)
{
	struct writer writer = { .out = out };
	size_t at = head->line_bytes, kept_from = 0;
	struct http_field field;

	/* runs of lines that stay are copied in one piece */
	while ((head->names_client || drops_upgrade) &&
	       http_field_next(bytes, head->length, &at, &field) == HTTP_GOOD &&
	       field.name_bytes > 0) {
		if (!is_dropped(filter, &field, drops_upgrade))
			continue;
		put(&writer, bytes + kept_from, (size_t)(field.line - bytes) - kept_from);
		kept_from = at;
	}
	put(&writer, bytes + kept_from, head->length - 2 - kept_from);
	for (size_t i = 0; i < OURS; i++)
		if (filter->headers & ours[i].header)
			put_ours(&writer, filter, i, bytes, head);
	put(&writer, "\r\n", 2);
	return writer.length;
}
