/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP filter, which is given what a client says (before the first zero) and what a container
 * answers (behind it).
 *
 * It matters not how bytes come. What has passed of requests is read by a parser that is not the
 * filter's: it finds as many of them as the filter has counted, each with our fields and nobody
 * else's, and no byte that belongs to none. Answers pass unchanged.
 */
#include "identity/http_filter.h"

#include <llhttp.h>
#include <stdio.h>
#include <strings.h>

#include "fuzz.h"

#define CLIENT "2001:db8::1"
#define FIELDS_OF_REQUEST 3

#define IN_MAX 20000
/* What comes out is more than what goes in by our fields alone. */
#define OUT_MAX (IN_MAX * 12)

/* A head is read again with every piece of it. */
#define PIECES_MAX 500

struct side {
	const uint8_t *in;
	size_t in_bytes, seen; /* seen: has come so far */
	size_t done;
	uint8_t out[OUT_MAX];
	size_t out_bytes;
	bool lets_go, refuses, waits;
};

struct run {
	struct filter *filter;
	struct side sides[2];
};

static struct filter *new_filter(void)
{
	struct identity identity = { .kinds = IDENTITY_HTTP };
	struct http_filter_parties parties = { .client = { .family = AF_UNSPEC } };
	struct filter *filter;

	assert(address_parse_ip(CLIENT, &parties.client) == 0);
	filter = http_filter_new(&identity, &parties);
	assert(filter);
	return filter;
}

static void pass(struct run *run, int direction, size_t length)
{
	struct side *side = &run->sides[direction];

	assert(side->out_bytes + length <= OUT_MAX);
	memcpy(side->out + side->out_bytes, side->in + side->done, length);
	side->out_bytes += length;
	side->done += length;
	if (!side->lets_go)
		run->filter->sides[direction].skip_bytes -= length;
}

static bool look(struct run *run, int direction)
{
	static uint8_t out[FILTER_OUT_MAX];
	struct side *side = &run->sides[direction];
	size_t length = side->seen - side->done;
	uint8_t *exact;
	enum filter_verdict verdict;
	struct filter_io io = { .out = out, .out_room = sizeof(out) };

	if (length > FILTER_SEEN_MAX)
		length = FILTER_SEEN_MAX;
	exact = malloc(length);
	assert(exact);
	memcpy(exact, side->in + side->done, length);
	io.in = exact;
	io.in_bytes = length;
	verdict = run->filter->ops->edit(run->filter, (enum filter_direction)direction, &io);
	free(exact);
	assert(io.consumed <= length && io.produced <= sizeof(out));
	assert(side->out_bytes + io.produced <= OUT_MAX);
	memcpy(side->out + side->out_bytes, out, io.produced);
	side->out_bytes += io.produced;
	side->done += io.consumed;
	run->filter->sides[direction].skip_bytes = verdict == FILTER_SKIPS ? io.skip_bytes : 0;
	side->lets_go = verdict == FILTER_LETS_GO;
	side->refuses = verdict == FILTER_REFUSES;
	side->waits = verdict == FILTER_WAITS;
	assert(verdict != FILTER_WANTS_ROOM);
	assert(verdict != FILTER_WANTS_MORE || length < FILTER_SEEN_MAX);
	return verdict == FILTER_SKIPS || verdict == FILTER_LETS_GO;
}

static void work(struct run *run, int direction)
{
	struct side *side = &run->sides[direction];
	bool goes_on = !side->refuses;

	while (goes_on && side->done < side->seen) {
		uint64_t skip_bytes = run->filter->sides[direction].skip_bytes;
		size_t length = side->seen - side->done;

		if (!side->lets_go && length > skip_bytes)
			length = (size_t)skip_bytes;
		if (length > 0) {
			pass(run, direction, length);
			continue;
		}
		goes_on = look(run, direction);
		/* at once, or it would depend on how bytes come what is an answer to nothing */
		if (direction == FILTER_OUT)
			work(run, FILTER_IN);
	}
}

static void begin(struct side *side, const uint8_t *in, size_t length)
{
	side->in = in;
	side->in_bytes = length;
	side->seen = side->done = side->out_bytes = 0;
	side->lets_go = side->refuses = side->waits = false;
}

/* Gives it all of the client's bytes, so many at a time, then the container's. */
static void carry(struct run *run, const uint8_t *data, size_t size, size_t step)
{
	const uint8_t *zero = memchr(data, 0, size);
	size_t first = zero ? (size_t)(zero - data) : size, behind = zero ? first + 1 : size;

	run->filter = new_filter();
	begin(&run->sides[FILTER_IN], data, first);
	begin(&run->sides[FILTER_OUT], data + behind, size - behind);
	for (int direction = FILTER_IN; direction <= FILTER_OUT; direction++) {
		struct side *side = &run->sides[direction];

		while (side->seen < side->in_bytes) {
			side->seen += step < side->in_bytes - side->seen
					      ? step
					      : side->in_bytes - side->seen;
			work(run, direction);
		}
	}
}

static void carry_end(struct run *run)
{
	run->filter->ops->free(run->filter);
}

/* The other parser. */

struct found {
	llhttp_t parser;
	uint64_t requests;
	char field[32];
	size_t field_bytes;
	char value[128];
	size_t value_bytes;
	int ours;
};

static int on_begin(llhttp_t *parser)
{
	struct found *found = parser->data;

	found->requests++;
	found->ours = 0;
	return 0;
}

static void append(char *to, size_t *length, size_t room, const char *at, size_t more)
{
	for (size_t i = 0; i < more && *length < room - 1; i++)
		to[(*length)++] = at[i];
	to[*length] = '\0';
}

static int on_field(llhttp_t *parser, const char *at, size_t length)
{
	struct found *found = parser->data;

	append(found->field, &found->field_bytes, sizeof(found->field), at, length);
	return 0;
}

static int on_value(llhttp_t *parser, const char *at, size_t length)
{
	struct found *found = parser->data;

	append(found->value, &found->value_bytes, sizeof(found->value), at, length);
	return 0;
}

static int on_value_complete(llhttp_t *parser)
{
	struct found *found = parser->data;

	if (strcasecmp(found->field, "X-Forwarded-For") == 0 ||
	    strcasecmp(found->field, "X-Real-IP") == 0) {
		assert(strcmp(found->value, CLIENT) == 0);
		found->ours++;
	} else if (strcasecmp(found->field, "Forwarded") == 0) {
		assert(strcmp(found->value, "for=\"[" CLIENT "]:0\"") == 0);
		found->ours++;
	}
	found->field_bytes = found->value_bytes = 0;
	found->field[0] = found->value[0] = '\0';
	return 0;
}

static int on_headers(llhttp_t *parser)
{
	struct found *found = parser->data;

	assert(found->ours == FIELDS_OF_REQUEST);
	return 0;
}

static void check_requests(const struct run *run)
{
	static const llhttp_settings_t settings = {
		.on_message_begin = on_begin,
		.on_header_field = on_field,
		.on_header_value = on_value,
		.on_header_value_complete = on_value_complete,
		.on_headers_complete = on_headers,
	};
	const struct side *side = &run->sides[FILTER_IN];
	struct found found = { .requests = 0 };
	llhttp_errno_t error;

	if (http_filter_requests(run->filter) == 0) {
		assert(side->out_bytes == 0 || side->lets_go);
		return;
	}
	llhttp_init(&found.parser, HTTP_REQUEST, &settings);
	found.parser.data = &found;
	/* whether a server reads on behind Connection: close is its own affair */
	llhttp_set_lenient_keep_alive(&found.parser, 1);
	error = llhttp_execute(&found.parser, (const char *)side->out, side->out_bytes);
	/* an upgrade is where it stops, and we may have gone on since it was declined */
	if (error == HPE_PAUSED_UPGRADE) {
		assert(found.requests <= http_filter_requests(run->filter));
		return;
	}
	/* what was refused within a body has begun, and has no end */
	assert(error == HPE_OK);
	assert(found.requests == http_filter_requests(run->filter));
}

static void check_same(const struct side *a, const struct side *b)
{
	assert(a->out_bytes == b->out_bytes);
	assert(memcmp(a->out, b->out, a->out_bytes) == 0);
	assert(a->refuses == b->refuses && a->lets_go == b->lets_go);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t steps[] = { 1, 2, 3, 7, 64, 1000 };
	static struct run whole, pieces;

	if (size == 0 || size > IN_MAX)
		return 0;
	carry(&whole, data, size, size);
	check_requests(&whole);
	assert(memcmp(whole.sides[FILTER_OUT].out, whole.sides[FILTER_OUT].in,
		      whole.sides[FILTER_OUT].out_bytes) == 0);
	for (size_t i = data[0] % 2; i < sizeof(steps) / sizeof(steps[0]); i += 2) {
		if (size / steps[i] > PIECES_MAX)
			continue;
		carry(&pieces, data, size, steps[i]);
		check_same(&whole.sides[FILTER_IN], &pieces.sides[FILTER_IN]);
		assert(http_filter_requests(whole.filter) == http_filter_requests(pieces.filter));
		carry_end(&pieces);
	}
	carry_end(&whole);
	return 0;
}
