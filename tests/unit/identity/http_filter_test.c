/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP filter without a relay: bytes are put into either direction as a pump would, whole or in
 * pieces, and what comes out is compared.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "identity/http_filter.h"

#define CLIENT "2001:db8::1"
#define OURS                              \
	"X-Forwarded-For: " CLIENT "\r\n" \
	"X-Real-IP: " CLIENT "\r\n"       \
	"Forwarded: for=\"[" CLIENT "]:4711\"\r\n\r\n"
#define GET "GET / HTTP/1.1\r\nHost: a\r\n"

static struct identity identity;
static struct http_filter_parties parties;
static struct filter *filter;

/* One direction, as the pump keeps it. */
static struct side {
	char in[64 * 1024], out[64 * 1024];
	size_t in_bytes, out_bytes;
	bool lets_go, ended;
	enum filter_verdict verdict; /* the last one */
	struct filter_refusal refusal;
} sides[2];

static void start(void)
{
	if (filter)
		filter->ops->free(filter);
	memset(sides, 0, sizeof(sides));
	filter = http_filter_new(&identity, &parties);
	assert_non_null(filter);
}

static int setup(void **state)
{
	(void)state;
	identity = (struct identity){ .kinds = IDENTITY_HTTP };
	parties = (struct http_filter_parties){ .client = address_of(CLIENT, 4711) };
	start();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	filter->ops->free(filter);
	filter = NULL;
	return 0;
}

static void consume(struct side *side, size_t length, bool passes)
{
	if (passes) {
		memcpy(side->out + side->out_bytes, side->in, length);
		side->out_bytes += length;
	}
	side->in_bytes -= length;
	memmove(side->in, side->in + length, side->in_bytes);
}

/* Has the filter look once. Returns whether it is to look again. */
static bool look(int direction)
{
	struct side *side = &sides[direction];
	static uint8_t out[FILTER_OUT_MAX];
	uint8_t *exact = malloc(side->in_bytes);
	struct filter_io io = { .in = exact,
				.in_bytes = side->in_bytes < FILTER_SEEN_MAX ? side->in_bytes
									     : FILTER_SEEN_MAX,
				.ended = side->ended,
				.out = out,
				.out_room = sizeof(out) };

	memcpy(exact, side->in, io.in_bytes); /* so that reading past the end is seen */
	side->verdict = filter->ops->edit(filter, (enum filter_direction)direction, &io);
	free(exact);
	assert_in_range(io.consumed, 0, io.in_bytes);
	assert_in_range(io.produced, 0, sizeof(out));
	memcpy(side->out + side->out_bytes, out, io.produced);
	side->out_bytes += io.produced;
	consume(side, io.consumed, false);
	filter->sides[direction].skip_bytes = side->verdict == FILTER_SKIPS ? io.skip_bytes : 0;
	side->lets_go = side->verdict == FILTER_LETS_GO;
	side->refusal = io.refusal;
	return side->verdict == FILTER_SKIPS || side->verdict == FILTER_LETS_GO;
}

static void work(int direction)
{
	struct side *side = &sides[direction];
	uint64_t *skip_bytes = &filter->sides[direction].skip_bytes;
	bool goes_on = true;

	while (goes_on && side->in_bytes > 0) {
		size_t length = side->in_bytes;

		if (!side->lets_go && *skip_bytes < length)
			length = (size_t)*skip_bytes;
		if (length > 0) {
			consume(side, length, true);
			*skip_bytes -= side->lets_go ? 0 : length;
		} else {
			goes_on = look(direction);
		}
	}
}

static void put(int direction, const char *bytes, size_t length)
{
	struct side *side = &sides[direction];

	memcpy(side->in + side->in_bytes, bytes, length);
	side->in_bytes += length;
	work(direction);
	if (direction == FILTER_OUT && sides[FILTER_IN].verdict == FILTER_WAITS)
		work(FILTER_IN);
}

static void ask(const char *text)
{
	put(FILTER_IN, text, strlen(text));
}

static void answer(const char *text)
{
	put(FILTER_OUT, text, strlen(text));
}

static void assert_out(int direction, const char *expected)
{
	sides[direction].out[sides[direction].out_bytes] = '\0';
	assert_string_equal(sides[direction].out, expected);
}

static void assert_asked(const char *expected)
{
	assert_out(FILTER_IN, expected);
}

static void assert_refused(const char *status)
{
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_REFUSES);
	assert_non_null(sides[FILTER_IN].refusal.reply);
	assert_memory_equal(sides[FILTER_IN].refusal.reply + strlen("HTTP/1.1 "), status, 3);
}

static void client_is_named(void **state)
{
	(void)state;
	ask(GET "Accept: */*\r\n\r\n");
	assert_asked(GET "Accept: */*\r\n" OURS);
}

static void names_are_a_choice(void **state)
{
	(void)state;
	identity.http_headers = HTTP_X_REAL_IP;
	parties.client = address_of("192.0.2.7", 80);
	start();
	ask(GET "X-Forwarded-For: 6.6.6.6\r\n\r\n");
	assert_asked(GET "X-Real-IP: 192.0.2.7\r\n\r\n");
	identity.http_headers = HTTP_FORWARDED;
	start();
	ask(GET "\r\n");
	assert_asked(GET "Forwarded: for=\"192.0.2.7:80\"\r\n\r\n");
}

static void what_a_client_says_of_itself_is_taken_out(void **state)
{
	(void)state;
	ask(GET "X-Forwarded-For: 6.6.6.6\r\nA: b\r\nx-real-ip: 6.6.6.6\r\nFORWARDED: for=x\r\n"
		"X_Forwarded_For: 6.6.6.6\r\nx-forwarded-for:7.7.7.7\r\nC: d\r\n"
		"X.Forwarded.For: 6.6.6.6\r\nX-Real.IP: 6.6.6.6\r\nX~Real!IP: 6.6.6.6\r\n\r\n");
	assert_asked(GET "A: b\r\nC: d\r\n" OURS);
}

static void what_a_trusted_one_says_is_added_to(void **state)
{
	(void)state;
	parties.is_trusted = true;
	start();
	ask(GET "X-Forwarded-For: 198.51.100.1, 198.51.100.2\r\nX-Real-IP: 198.51.100.1\r\n"
		"x-forwarded-for: 198.51.100.3\r\nForwarded: for=198.51.100.1\r\n\r\n");
	assert_asked(GET "X-Forwarded-For: 198.51.100.1, 198.51.100.2, 198.51.100.3, " CLIENT "\r\n"
			 "X-Real-IP: 198.51.100.1\r\n"
			 "Forwarded: for=198.51.100.1, for=\"[" CLIENT "]:4711\"\r\n\r\n");
}

static void trusted_one_that_says_nothing_is_named(void **state)
{
	(void)state;
	parties.is_trusted = true;
	start();
	ask(GET "X-Forwarded-For:\r\n\r\n");
	assert_asked(GET OURS);
}

static const char mixed[] = GET
	"\r\n"
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nGET / HTTP/"
	"\r\n"
	"PUT /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	"5;a=b\r\nhello\r\n00C\r\nGET / HTTP/1\r\n0\r\nTrailer: x\r\n\r\n"
	"HEAD / HTTP/1.0\r\n\r\n"
	"DELETE /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
static const char mixed_edited[] = GET OURS
	"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n" OURS "GET / HTTP/"
	"PUT /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n" OURS
	"5;a=b\r\nhello\r\n00C\r\nGET / HTTP/1\r\n0\r\nTrailer: x\r\n\r\n"
	"HEAD / HTTP/1.0\r\n" OURS "DELETE /c HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n" OURS;

static void each_request_of_a_connection_is_edited(void **state)
{
	(void)state;
	ask(mixed);
	assert_asked(mixed_edited);
	assert_int_equal(http_filter_requests(filter), 5);
}

static void it_matters_not_how_bytes_come(void **state)
{
	(void)state;
	for (size_t step = 1; step < 40; step++) {
		start();
		for (size_t at = 0; at < strlen(mixed); at += step)
			put(FILTER_IN, mixed + at,
			    strlen(mixed) - at < step ? strlen(mixed) - at : step);
		assert_asked(mixed_edited);
	}
}

static const char answers[] = "HTTP/1.1 100 Continue\r\n\r\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
			      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			      "a\r\n0123456789\r\n0\r\nA: b\r\n\r\n"
			      "HTTP/1.1 204 No Content\r\n\r\n"
			      "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n"
			      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/* Followed to the end, or the upgrade that comes then would not be known. */
static void answers_pass_as_they_are(void **state)
{
	(void)state;
	for (size_t step = 1; step < sizeof(answers); step++) {
		start();
		ask(mixed);
		for (size_t at = 0; at < strlen(answers); at += step)
			put(FILTER_OUT, answers + at,
			    strlen(answers) - at < step ? strlen(answers) - at : step);
		assert_out(FILTER_OUT, answers);
		ask(GET "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
		answer("HTTP/1.1 101 Switching Protocols\r\n\r\nserver");
		assert_true(sides[FILTER_OUT].lets_go);
		ask("client");
		assert_true(sides[FILTER_IN].lets_go);
	}
}

#define UPGRADE GET "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"

static void bytes_behind_an_upgrade_wait_for_its_answer(void **state)
{
	(void)state;
	ask(UPGRADE "\r\n"
		    "GET /not-http");
	assert_asked(UPGRADE OURS);
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n\x81\x02hi");
	assert_asked(UPGRADE OURS "GET /not-http");
	ask("more\n");
	assert_asked(UPGRADE OURS "GET /not-httpmore\n");
}

static void declined_upgrade_leaves_http(void **state)
{
	(void)state;
	ask(UPGRADE "\r\n" GET "X-Real-IP: 6.6.6.6\r\n\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno");
	assert_asked(UPGRADE OURS GET OURS);
}

static void connect_is_a_tunnel_once_it_is_granted(void **state)
{
	(void)state;
	ask("CONNECT b:443 HTTP/1.1\r\nHost: b:443\r\n\r\n\x16\x03");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("HTTP/1.1 200 OK\r\n\r\n");
	assert_true(sides[FILTER_IN].lets_go);
	assert_true(sides[FILTER_OUT].lets_go);
}

/* A server that takes CONNECT for a method as any other still reads requests. */
static void connect_that_is_answered_with_a_body_is_no_tunnel(void **state)
{
	static const char *const framings[] = { "Content-Length: 2\r\n\r\nok",
						"Content-Length: 0\r\n\r\n",
						"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" };
	char text[128];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(framings); i++) {
		start();
		ask("CONNECT b:80 HTTP/1.1\r\nHost: b:80\r\n\r\n");
		(void)snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%s", framings[i]);
		answer(text);
		ask(GET "X-Real-IP: 6.6.6.6\r\n\r\n");
		assert_false(sides[FILTER_IN].lets_go);
		assert_int_equal(sides[FILTER_IN].verdict, FILTER_REFUSES);
	}
}

/* Its answer has no body, so what follows is an answer, whatever it looks like. */
static void head_with_an_upgrade_is_head(void **state)
{
	(void)state;
	ask("HEAD / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\nConnection: upgrade\r\n\r\n");
	answer("HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n");
	ask(UPGRADE "\r\n");
	answer("HTTP/1.1 200 OK\r\nContent-Length: 24\r\n\r\nHTTP/1.1 101 X\r\n\r\n1234");
	assert_false(sides[FILTER_IN].lets_go);
	ask(GET "X-Real-IP: 6.6.6.6\r\n\r\n");
	assert_false(sides[FILTER_IN].lets_go);
	assert_int_equal(http_filter_requests(filter), 3);
}

static void upgrade_to_http2_is_not_passed_on(void **state)
{
	(void)state;
	ask(GET "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAAB\r\n"
		"\r\n" GET "\r\n");
	assert_asked(GET "Connection: Upgrade, HTTP2-Settings\r\n" OURS GET OURS);
}

static void upgrade_that_cannot_be_followed_is_refused(void **state)
{
	(void)state;
	ask(GET "\r\n");
	answer("HTTP/1.1 200 OK\r\n\r\nuntil the end");
	ask(UPGRADE "\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_REFUSES);
	assert_null(sides[FILTER_IN].refusal.reply);
}

static void unasked_101_opens_nothing(void **state)
{
	(void)state;
	ask(GET "\r\n");
	answer("HTTP/1.1 101 Switching Protocols\r\n\r\n");
	ask(GET "Forwarded: for=x\r\n\r\n");
	assert_asked(GET OURS GET OURS);
}

static void too_many_requests_wait(void **state)
{
	(void)state;
	for (int i = 0; i < 70; i++)
		ask(GET "\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	assert_int_equal(http_filter_requests(filter), 64);
	for (int i = 0; i < 6; i++)
		answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(http_filter_requests(filter), 70);
}

static void refusal_comes_behind_the_answers(void **state)
{
	(void)state;
	ask(GET "\r\n"
		"BAD\r\n\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("o");
	assert_refused("400");
	assert_int_equal(sides[FILTER_IN].refusal.reason, END_BAD_REQUEST);
}

static void refusal_comes_behind_an_answer_in_chunks(void **state)
{
	(void)state;
	ask(GET "\r\n"
		"BAD\r\n\r\n");
	answer("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("0\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("\r\n");
	assert_refused("400");
}

#define IN_CHUNKS "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n"

static void refused_body_is_not_waited_for(void **state)
{
	(void)state;
	ask(IN_CHUNKS "\r\n5\r\nhello\r\n");
	ask("+5\r\n");
	assert_refused("400");

	start();
	ask(GET "\r\n" IN_CHUNKS "\r\n+5\r\n");
	assert_int_equal(sides[FILTER_IN].verdict, FILTER_WAITS);
	answer("HTTP/1.1 204 No Content\r\n\r\n");
	assert_refused("400");
}

static void refused_body_of_what_is_answered_is_the_end(void **state)
{
	(void)state;
	ask(IN_CHUNKS "\r\n5\r\nhello\r\n");
	answer("HTTP/1.1 413 Content Too Large\r\nContent-Length: 9\r\n\r\n");
	ask("+5\r\n");
	assert_refused("400");
	assert_int_equal(sides[FILTER_IN].refusal.reply_bytes, 0);
}

static void other_protocols_are_refused_or_passed(void **state)
{
	static const char *const begins[] = { "\x16\x03\x01\x02",
					      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" };

	(void)state;
	for (size_t i = 0; i < COUNT_OF(begins); i++) {
		identity.http_other = HTTP_OTHER_REFUSE;
		start();
		for (const char *c = begins[i]; *c; c++)
			if (sides[FILTER_IN].verdict != FILTER_REFUSES)
				put(FILTER_IN, c, 1);
		assert_int_equal(sides[FILTER_IN].verdict, FILTER_REFUSES);
		assert_int_equal(sides[FILTER_IN].refusal.reason, END_NOT_HTTP);
		assert_null(sides[FILTER_IN].refusal.reply);
		identity.http_other = HTTP_OTHER_PASS;
		start();
		ask(begins[i]);
		ask("anything\n");
		assert_true(sides[FILTER_IN].lets_go);
		answer("\x15\x03");
		assert_true(sides[FILTER_OUT].lets_go);
	}
}

static void methods_that_begin_alike_are_http(void **state)
{
	(void)state;
	ask("P");
	ask("R");
	ask("OPFIND / HTTP/1.1\r\nHost: a\r\n\r\n");
	assert_asked("PROPFIND / HTTP/1.1\r\nHost: a\r\n" OURS);
}

static void head_has_a_bound(void **state)
{
	static char large[16 * 1024];

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	ask(GET "A: ");
	ask(large);
	assert_refused("431");
	start();
	large[HTTP_HEAD_MAX - strlen(GET "A: \r\n\r\n")] = '\0';
	ask(GET "A: ");
	ask(large);
	ask("\r\n\r\n");
	assert_int_equal(http_filter_requests(filter), 1);
}

static void half_a_head_at_the_end_is_refused(void **state)
{
	(void)state;
	sides[FILTER_IN].ended = true;
	ask(GET);
	assert_refused("400");
}

/*
 * What is known to be read differently by different programs. Refused are all; each stands for a
 * family: lengths against lengths, lengths against chunks, encodings that only some understand, line
 * ends, blanks, folded lines, chunks, hosts, versions. ~ stands for a zero.
 */
static const char *const refused[] = {
	GET "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	GET "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
	GET "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
	GET "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
	GET "Content-Length: 5, 5\r\n\r\n",
	GET "Content-Length: +5\r\n\r\n",
	GET "Content-Length: -5\r\n\r\n",
	GET "Content-Length: 0x5\r\n\r\n",
	GET "Content-Length: 5 5\r\n\r\n",
	GET "Content-Length: 5;\r\n\r\n",
	GET "Content-Length: \r\n\r\n",
	GET "Content-Length: 18446744073709551621\r\n\r\n",
	GET "Content-Length: 99999999999999999999999999\r\n\r\n",
	GET "Content_Length: 5\r\nContent-Length: 6\r\n\r\n",
	GET "Content-Length : 5\r\n\r\n",
	GET "Content-Length\t: 5\r\n\r\n",
	GET " Content-Length: 5\r\n\r\n",
	GET "\tContent-Length: 5\r\n\r\n",
	GET "A: b\r\n Content-Length: 5\r\n\r\n",
	GET "A: b\r\n\tfolded\r\n\r\n",
	GET "Transfer-Encoding: xchunked\r\n\r\n",
	GET "Transfer-Encoding: chunked, identity\r\n\r\n",
	GET "Transfer-Encoding: identity\r\n\r\n",
	GET "Transfer-Encoding: chunked, chunked\r\n\r\n",
	GET "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	GET "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n",
	GET "Transfer-Encoding: chunked;q=1\r\n\r\n",
	GET "Transfer-Encoding: \"chunked\"\r\n\r\n",
	GET "Transfer-Encoding: ,chunked\r\n\r\n",
	GET "Transfer-Encoding: chunked,\r\n\r\n",
	GET "Transfer-Encoding:\r\n chunked\r\n\r\n",
	GET "Transfer-Encoding: \x0b"
	    "chunked\r\n\r\n",
	GET "Transfer-Encoding: \x0c"
	    "chunked\r\n\r\n",
	GET "Transfer-Encoding : chunked\r\n\r\n",
	GET "Transfer-Encoding\r\n: chunked\r\n\r\n",
	GET "Transfer-Encoding: chun~ked\r\n\r\n",
	GET "Transfer_Encoding: chunked\r\nTransfer-Encoding: cow\r\n\r\n",
	"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	GET "A: b\rC: d\r\n\r\n",
	GET "A: b\nC: d\r\n\r\n",
	GET "A: b\r\n\n",
	"GET / HTTP/1.1\nHost: a\n\n",
	"GET / HTTP/1.1\rHost: a\r\r",
	"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
	GET "A\r\n\r\n",
	GET ": b\r\n\r\n",
	GET "A B: c\r\n\r\n",
	GET "A(B): c\r\n\r\n",
	GET "\x80: c\r\n\r\n",
	GET "A: \x7f\r\n\r\n",
	GET "A: \x01\r\n\r\n",
	"GET / HTTP/1.1\r\n\r\n",
	"GET / HTTP/1.1\r\nA: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a@b\r\n\r\n",
	"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a@b/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET http://a?b HTTP/1.1\r\nHost: \r\n\r\n",
	"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
	"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Forwarded-For\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: close, content-length\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: a\r\nConnection: Forwarded\r\n\r\n",
	"GET /\r\n\r\n",
	"GET / HTTP/0.9\r\n\r\n",
	"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
	"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
	"GET / HTTP/01.1\r\nHost: a\r\n\r\n",
	"GET / http/1.1\r\nHost: a\r\n\r\n",
	" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
	"G~T / HTTP/1.1\r\nHost: a\r\n\r\n",
	"BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	CHUNKED "5\nhello\r\n0\r\n\r\n",
	CHUNKED "5\r\nhello\n0\r\n\r\n",
	CHUNKED "5\r\nhelloo\r\n0\r\n\r\n",
	CHUNKED "5 \r\nhello\r\n0\r\n\r\n",
	CHUNKED " 5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "0x5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "+5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "-5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5_\r\nhello\r\n0\r\n\r\n",
	CHUNKED "\r\nhello\r\n0\r\n\r\n",
	CHUNKED ";a\r\nhello\r\n0\r\n\r\n",
	CHUNKED "ffffffffffffffff5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "00000000000000005\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a\nb\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a\rb\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a=\"b\"\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a=b;c\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a=b;5\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;a=b=c\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5;\r\nhello\r\n0\r\n\r\n",
	CHUNKED "5,a\r\nhello\r\n0\r\n\r\n",
	CHUNKED "0\r\nContent-Length: 5\r\n\r\n",
	CHUNKED "0\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n",
	CHUNKED "0\r\nHost: b\r\n\r\n",
	CHUNKED "0\r\nA : b\r\n\r\n",
	CHUNKED "0\r\n folded\r\n\r\n",
	CHUNKED "0\r\n\n",
};

/* Of a text in which ~ stands for a zero. */
static size_t with_zeros(const char *text, char ret[512])
{
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i++)
		ret[i] = (char)(text[i] == '~' ? '\0' : text[i]);
	return length;
}

static void what_can_be_read_in_two_ways_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT_OF(refused); i++) {
		char text[512];
		size_t length = with_zeros(refused[i], text);

		start();
		put(FILTER_IN, text, length);
		if (sides[FILTER_IN].verdict == FILTER_WANTS_MORE) {
			sides[FILTER_IN].ended = true;
			ask("x");
		}
		if (sides[FILTER_IN].verdict != FILTER_REFUSES)
			fail_msg("passed: %s", refused[i]);
		assert_in_range(http_filter_requests(filter), 0, 1);
	}
}

static void what_is_odd_and_clear_passes(void **state)
{
	static const char *const passed[] = {
		"GET * HTTP/1.1\r\nHost: \r\n",
		"GET http://A:80/ HTTP/1.1\r\nHost: a:80\r\n",
		"GET http://a HTTP/1.1\r\nHost: a\r\n",
		"GET http://b/ HTTP/1.0\r\n",
		"GET /http://b/ HTTP/1.1\r\nHost: a\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n",
		"GET /?a=b&c=%20#f HTTP/1.1\r\nhost:a\r\n",
		"GET / HTTP/1.0\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nA:\r\nB: \t c\td \t\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nA: \x80\xff\r\n",
		"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 000\r\n",
	};
	char expected[512];

	(void)state;
	for (size_t i = 0; i < COUNT_OF(passed); i++) {
		start();
		ask(passed[i]);
		ask("\r\n");
		(void)snprintf(expected, sizeof(expected), "%s%s", passed[i], OURS);
		assert_asked(expected);
	}
}

int main(void)
{
#define WITH_FILTER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		WITH_FILTER(client_is_named),
		WITH_FILTER(names_are_a_choice),
		WITH_FILTER(what_a_client_says_of_itself_is_taken_out),
		WITH_FILTER(what_a_trusted_one_says_is_added_to),
		WITH_FILTER(trusted_one_that_says_nothing_is_named),
		WITH_FILTER(each_request_of_a_connection_is_edited),
		WITH_FILTER(it_matters_not_how_bytes_come),
		WITH_FILTER(answers_pass_as_they_are),
		WITH_FILTER(bytes_behind_an_upgrade_wait_for_its_answer),
		WITH_FILTER(declined_upgrade_leaves_http),
		WITH_FILTER(connect_is_a_tunnel_once_it_is_granted),
		WITH_FILTER(connect_that_is_answered_with_a_body_is_no_tunnel),
		WITH_FILTER(head_with_an_upgrade_is_head),
		WITH_FILTER(upgrade_to_http2_is_not_passed_on),
		WITH_FILTER(upgrade_that_cannot_be_followed_is_refused),
		WITH_FILTER(unasked_101_opens_nothing),
		WITH_FILTER(too_many_requests_wait),
		WITH_FILTER(refusal_comes_behind_the_answers),
		WITH_FILTER(refusal_comes_behind_an_answer_in_chunks),
		WITH_FILTER(refused_body_is_not_waited_for),
		WITH_FILTER(refused_body_of_what_is_answered_is_the_end),
		WITH_FILTER(other_protocols_are_refused_or_passed),
		WITH_FILTER(methods_that_begin_alike_are_http),
		WITH_FILTER(head_has_a_bound),
		WITH_FILTER(half_a_head_at_the_end_is_refused),
		WITH_FILTER(what_can_be_read_in_two_ways_is_refused),
		WITH_FILTER(what_is_odd_and_clear_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
