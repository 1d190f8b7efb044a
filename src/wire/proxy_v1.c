/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY version 1: a line of text.
 *
 *	PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n
 *	PROXY UNKNOWN\r\n	(and whatever stands between, to be ignored)
 *
 * It is read strictly: one blank between words, numbers without leading zeros, addresses of the
 * family that was named.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "wire/bytes.h"
#include "wire/proxy_header.h"

#define WORD_MAX 48

static const char prefix[] = "PROXY ";
#define PREFIX_BYTES (sizeof(prefix) - 1)

static const char *format_ip(const struct address *address, bool as_ipv6, char buffer[WORD_MAX])
{
	uint8_t ip[16];

	if (!as_ipv6)
		return inet_ntop(AF_INET, address->ip, buffer, WORD_MAX);
	bytes_put_ipv6(ip, address);
	return inet_ntop(AF_INET6, ip, buffer, WORD_MAX);
}

ssize_t proxy_v1_encode(const struct proxy_header *header, uint8_t *out, size_t room)
{
	const struct address *source = &header->source, *destination = &header->destination;
	bool as_ipv6 = source->family == AF_INET6 || destination->family == AF_INET6;
	char line[PROXY_V1_MAX + 1], from[WORD_MAX], to[WORD_MAX];
	int length;

	if (header->protocol != PROTOCOL_TCP)
		return -EINVAL;
	if (header->is_local || source->family == AF_UNSPEC || destination->family == AF_UNSPEC)
		length = snprintf(line, sizeof(line), "PROXY UNKNOWN\r\n");
	else
		length = snprintf(line, sizeof(line), "PROXY TCP%c %s %s %u %u\r\n",
				  as_ipv6 ? '6' : '4', format_ip(source, as_ipv6, from),
				  format_ip(destination, as_ipv6, to), source->port,
				  destination->port);
	if ((size_t)length > room)
		return -ENOBUFS;
	memcpy(out, line, (size_t)length);
	return length;
}

/* The next word, up to one blank or the end, as a string. */
static bool take_word(const char **next, const char *end, char word[WORD_MAX])
{
	const char *blank = memchr(*next, ' ', (size_t)(end - *next));
	const char *until = blank ? blank : end;
	size_t length = (size_t)(until - *next);

	if (length == 0 || length >= WORD_MAX || memchr(*next, '\0', length))
		return false;
	memcpy(word, *next, length);
	word[length] = '\0';
	*next = blank ? blank + 1 : end;
	return true;
}

static bool parse_ip(const char *word, int family, struct address *ret)
{
	uint8_t ip[16];

	if (inet_pton(family, word, ip) != 1)
		return false;
	if (family == AF_INET)
		bytes_get_ipv4(ip, 0, ret);
	else
		bytes_get_ipv6(ip, 0, ret);
	return true;
}

static bool parse_port(const char *word, struct address *ret)
{
	uint64_t port;

	if ((word[0] == '0' && word[1] != '\0') ||
	    text_parse_number(word, strlen(word), UINT16_MAX, &port) < 0)
		return false;
	ret->port = (uint16_t)port;
	return true;
}

/* What stands between "PROXY " and the end of the line. */
static bool parse_line(const char *next, const char *end, struct proxy_header *ret)
{
	char family[WORD_MAX], source[WORD_MAX], destination[WORD_MAX];
	char source_port[WORD_MAX], destination_port[WORD_MAX];
	int ip_family;

	if (!take_word(&next, end, family))
		return false;
	if (strcmp(family, "UNKNOWN") == 0)
		return true;
	ip_family = strcmp(family, "TCP4") == 0 ? AF_INET : AF_INET6;
	if (ip_family == AF_INET6 && strcmp(family, "TCP6") != 0)
		return false;
	return take_word(&next, end, source) && take_word(&next, end, destination) &&
	       take_word(&next, end, source_port) && take_word(&next, end, destination_port) &&
	       next == end && end[-1] != ' ' && parse_ip(source, ip_family, &ret->source) &&
	       parse_ip(destination, ip_family, &ret->destination) &&
	       parse_port(source_port, &ret->source) &&
	       parse_port(destination_port, &ret->destination);
}

ssize_t proxy_v1_decode(const uint8_t *bytes, size_t length, struct proxy_header *ret)
{
	const char *text = (const char *)bytes;
	size_t known = length < PREFIX_BYTES ? length : PREFIX_BYTES;
	size_t seen = length < PROXY_V1_MAX ? length : PROXY_V1_MAX;
	const char *end;

	*ret = (struct proxy_header){ .protocol = PROTOCOL_TCP };
	if (memcmp(text, prefix, known) != 0)
		return -EBADMSG;
	end = memchr(text, '\n', seen);
	if (!end)
		return seen < PROXY_V1_MAX ? -EAGAIN : -EBADMSG;
	if (end - text <= (ptrdiff_t)PREFIX_BYTES || end[-1] != '\r' ||
	    !parse_line(text + PREFIX_BYTES, end - 1, ret))
		return -EBADMSG;
	return end - text + 1;
}
