/* SPDX-License-Identifier: Apache-2.0 */
#include "model/identity.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* A word, and the bits or the value that it stands for. */
struct word {
	const char *text;
	uint8_t value;
};

static const struct word kind_words[] = {
	{ "none", 0 },
	{ "pseudo-ipv4", IDENTITY_PSEUDO_IPV4 },
	{ "proxy-v1", IDENTITY_PROXY_V1 },
	{ "proxy-v2", IDENTITY_PROXY_V2 },
	{ "http", IDENTITY_HTTP },
	{ NULL, 0 },
};

static const struct word tlv_words[] = {
	{ "none", 0 },
	{ "crc32c", PROXY_TLV_CRC32C },
	{ "unique-id", PROXY_TLV_UNIQUE_ID },
	{ "authority", PROXY_TLV_AUTHORITY },
	{ NULL, 0 },
};

static const struct word udp_proxy_words[] = {
	{ "every", UDP_PROXY_EVERY },
	{ "first", UDP_PROXY_FIRST },
	{ "spp", UDP_PROXY_SPP },
	{ NULL, 0 },
};

static const struct word http_header_words[] = {
	{ "x-forwarded-for", HTTP_X_FORWARDED_FOR },
	{ "x-real-ip", HTTP_X_REAL_IP },
	{ "forwarded", HTTP_FORWARDED },
	{ NULL, 0 },
};

static const struct word http_other_words[] = {
	{ "refuse", HTTP_OTHER_REFUSE },
	{ "pass", HTTP_OTHER_PASS },
	{ NULL, 0 },
};

static const struct word path_words[] = {
	{ "relay", PATH_RELAY },
	{ "kernel", PATH_KERNEL },
	{ "auto", PATH_AUTO },
	{ NULL, 0 },
};

enum key_type {
	KEY_WORDS,
	KEY_WORD,
	KEY_PREFIXES,
};

struct key {
	const char *key;
	enum key_type type;
	size_t offset;
	const struct word *words;
	const char *standard, *meaning;
};

static const struct key table[] = {
#define WORDS(field, key, words, standard, meaning) \
	{ #key, KEY_WORDS, offsetof(struct identity, field), words, standard, meaning },
#define WORD(field, key, words, standard, meaning) \
	{ #key, KEY_WORD, offsetof(struct identity, field), words, standard, meaning },
#define PREFIXES(field, key, meaning) \
	{ #key, KEY_PREFIXES, offsetof(struct identity, field), NULL, "none", meaning },
#include "model/identity.def"
#undef WORDS
#undef WORD
#undef PREFIXES
};

#define KEYS (sizeof(table) / sizeof(table[0]))

const char *const identity_keys[] = {
#define WORDS(field, key, words, standard, meaning) #key,
#define WORD(field, key, words, standard, meaning) #key,
#define PREFIXES(field, key, meaning) #key,
#include "model/identity.def"
#undef WORDS
#undef WORD
#undef PREFIXES
	NULL,
};

static const struct key *find(const char *name)
{
	for (size_t i = 0; i < KEYS; i++)
		if (strcmp(table[i].key, name) == 0)
			return &table[i];
	return NULL;
}

const char *identity_meaning(const char *name)
{
	const struct key *key = find(name);

	return key ? key->meaning : NULL;
}

const char *identity_standard(const char *name)
{
	const struct key *key = find(name);

	return key ? key->standard : NULL;
}

/* The items of a list, one after the other: from *next, blanks around them aside. */
static bool next_item(const char **next, const char **ret, size_t *ret_length)
{
	const char *begin = *next;
	size_t length;

	if (!begin)
		return false;
	length = strcspn(begin, ",");
	*next = begin[length] == ',' ? begin + length + 1 : NULL;
	while (length > 0 && begin[0] == ' ') {
		begin++;
		length--;
	}
	while (length > 0 && begin[length - 1] == ' ')
		length--;
	*ret = begin;
	*ret_length = length;
	return true;
}

static const struct word *find_word(const struct word *words, const char *text, size_t length)
{
	for (; words->text; words++)
		if (strlen(words->text) == length && memcmp(words->text, text, length) == 0)
			return words;
	return NULL;
}

/* "refuse, pass": what may stand there. */
static const char *list_words(const struct word *words, char *buffer, size_t size)
{
	size_t length = 0;

	buffer[0] = '\0';
	for (; words->text && length < size; words++)
		length += (size_t)snprintf(buffer + length, size - length, "%s%s",
					   length > 0 ? ", " : "", words->text);
	return buffer;
}

static int set_words(uint8_t *field, const struct key *key, const char *text, struct error *err)
{
	const char *next = text, *item;
	size_t length, count = 0;
	bool none = false;
	uint8_t value = 0;
	char allowed[120];

	while (next_item(&next, &item, &length)) {
		const struct word *word = find_word(key->words, item, length);

		if (!word)
			return error_set(err, -EINVAL, "%s: '%.40s' is none of %s", key->key, text,
					 list_words(key->words, allowed, sizeof(allowed)));
		value = key->type == KEY_WORD ? word->value : value | word->value;
		none = none || (key->type == KEY_WORDS && word->value == 0);
		count++;
	}
	if (count > 1 && (none || key->type == KEY_WORD))
		return error_set(err, -EINVAL,
				 "%s: '%.40s' is more than one, and only one of %s can be",
				 key->key, text,
				 key->type == KEY_WORD
					 ? list_words(key->words, allowed, sizeof(allowed))
					 : "none and the others");
	*field = value;
	return 0;
}

static int set_prefixes(struct identity_prefixes *field, const struct key *key, const char *text,
			struct error *err)
{
	struct identity_prefixes read = { .count = 0 };
	const char *next = strcmp(text, "none") == 0 ? NULL : text, *item;
	char one[PREFIX_TEXT_MAX];
	size_t length;

	while (next_item(&next, &item, &length)) {
		int r = -EINVAL;

		if (read.count == IDENTITY_PREFIXES_MAX)
			return error_set(err, -E2BIG, "%s: there are more than %d", key->key,
					 IDENTITY_PREFIXES_MAX);
		(void)snprintf(one, sizeof(one), "%.*s", (int)(length < 55 ? length : 55), item);
		if (length < sizeof(one))
			r = prefix_parse(one, &read.prefixes[read.count]);
		if (r == -ERANGE)
			return error_set(err, -EINVAL,
					 "%s: '%s' has bits behind its length: write the first "
					 "address of the network",
					 key->key, one);
		if (r < 0)
			return error_set(err, -EINVAL,
					 "%s: '%s' is no address and no prefix, like 192.0.2.0/24 "
					 "or 2001:db8::/32",
					 key->key, one);
		read.count++;
	}
	*field = read;
	return 0;
}

/* The list in the order of the table, whatever order it was written in. */
static void format_words(uint8_t value, const struct key *key, char *buffer)
{
	size_t length = 0;

	buffer[0] = '\0';
	for (const struct word *word = key->words; word->text; word++) {
		bool is_there = key->type == KEY_WORD ? word->value == value
						      : (word->value & value) != 0;

		if (is_there)
			length += (size_t)snprintf(buffer + length, IDENTITY_TEXT_MAX - length,
						   "%s%s", length > 0 ? "," : "", word->text);
	}
}

static void format_prefixes(const struct identity_prefixes *prefixes, char *buffer)
{
	size_t length = 0;
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < prefixes->count; i++)
		length += (size_t)snprintf(buffer + length, IDENTITY_TEXT_MAX - length, "%s%s",
					   i > 0 ? "," : "",
					   prefix_format(&prefixes->prefixes[i], text));
}

static const char *format(const struct key *key, const char *field, char *buffer)
{
	if (field[0] == 0) /* the count of prefixes, too, comes first */
		return NULL;
	if (key->type == KEY_PREFIXES)
		format_prefixes((const struct identity_prefixes *)(const void *)field, buffer);
	else
		format_words(*(const uint8_t *)field, key, buffer);
	return strcmp(buffer, key->standard) == 0 ? NULL : buffer;
}

const char *identity_format(const struct identity *identity, const char *name,
			    char buffer[IDENTITY_TEXT_MAX])
{
	const struct key *key = find(name);

	return key ? format(key, (const char *)identity + key->offset, buffer) : NULL;
}

int identity_set(struct identity *identity, const char *name, const char *text, struct error *err)
{
	const struct key *key = find(name);
	char *field = (char *)identity, buffer[IDENTITY_TEXT_MAX];
	int r;

	if (!key)
		return -ENOENT;
	field += key->offset;
	if (key->type == KEY_PREFIXES)
		return set_prefixes((struct identity_prefixes *)(void *)field, key, text, err);
	r = set_words((uint8_t *)field, key, text, err);
	if (r == 0 && !format(key, field, buffer))
		*field = 0; /* the default, however it was written */
	return r;
}

bool identity_prefixes_contain(const struct identity_prefixes *prefixes,
			       const struct address *address)
{
	for (size_t i = 0; i < prefixes->count; i++)
		if (prefix_contains(&prefixes->prefixes[i], address))
			return true;
	return false;
}

/* The length of the longest that contains it, or -1. */
static int longest_match(const struct identity_prefixes *prefixes, const struct address *address)
{
	int longest = -1;

	for (size_t i = 0; i < prefixes->count; i++)
		if (prefix_contains(&prefixes->prefixes[i], address) &&
		    prefixes->prefixes[i].length > longest)
			longest = prefixes->prefixes[i].length;
	return longest;
}

bool identity_admits(const struct identity *identity, const struct address *client)
{
	int allowed = longest_match(&identity->allow, client);
	int denied = longest_match(&identity->deny, client);

	return allowed > denied || (denied < 0 && identity->allow.count == 0);
}

/* The kernel translates addresses and nothing else. */
static int check_path(const struct identity *identity, struct error *err)
{
	char path[IDENTITY_TEXT_MAX];

	if (identity->path == PATH_RELAY ||
	    (identity->kinds == IDENTITY_PSEUDO_IPV4 && identity->accept_proxy_from.count == 0))
		return 0;
	return error_set(err, -EINVAL,
			 "path: %s shows clients by their addresses alone: give it identity "
			 "pseudo-ipv4, and no PROXY or http",
			 identity_format(identity, "path", path));
}

int identity_check(const struct identity *identity, enum protocol protocol,
		   const struct address *container, struct error *err)
{
	uint8_t kinds = identity->kinds;

	if ((kinds & IDENTITY_PROXY_V1) && (kinds & IDENTITY_PROXY_V2))
		return error_set(err, -EINVAL,
				 "identity: proxy-v1 and proxy-v2 cannot both stand before a "
				 "connection: choose one");
	if (protocol == PROTOCOL_SCTP && (kinds != 0 || identity->accept_proxy_from.count > 0))
		return error_set(err, -EINVAL,
				 "identity: sctp has none yet: leave it out, or publish the port "
				 "as tcp or udp");
	if (protocol == PROTOCOL_UDP && (kinds & IDENTITY_PROXY_V1))
		return error_set(err, -EINVAL,
				 "identity: proxy-v1 is for tcp alone: with udp, choose proxy-v2");
	if (protocol == PROTOCOL_UDP && (kinds & IDENTITY_HTTP))
		return error_set(err, -EINVAL,
				 "identity: http is for tcp alone: with udp, choose pseudo-ipv4 or "
				 "proxy-v2");
	if ((kinds & IDENTITY_PSEUDO_IPV4) && container->family == AF_INET6)
		return error_set(
			err, -EINVAL,
			"identity: pseudo-ipv4 is for containers with IPv4, and this one has "
			"IPv6: leave it out, or choose proxy-v2 or http");
	return check_path(identity, err);
}
