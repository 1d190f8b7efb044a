/* SPDX-License-Identifier: Apache-2.0 */
/* From the client: requests are checked, edited, and framed. */
#include <string.h>

#include "identity/http_state.h"
#include "wire/http_chunk.h"

#define REPLY(status, sentence) \
	"HTTP/1.1 " status "\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n" sentence "\n"

static const char bad_request[] =
	REPLY("400 Bad Request", "The request is malformed, or can be read in more than one way.");
static const char too_large[] = REPLY("431 Request Header Fields Too Large",
				      "The head of the request is over 15 KiB.");
static const char bad_version[] = REPLY("505 HTTP Version Not Supported",
					"Only HTTP/1.0 and HTTP/1.1 are understood here.");
static const char bad_method[] = REPLY("501 Not Implemented", "The method is not known here.");

static const char http2_preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"; /* RFC 9113 section 3.4 */
#define HTTP2_PREFACE_BYTES (sizeof(http2_preface) - 1)
#define TLS_HANDSHAKE 0x16 /* RFC 8446 section 5.1 */
#define TLS_MAJOR 3

static bool is_answering(const struct http_filter *filter)
{
	return filter->filter.sides[FILTER_OUT].skip_bytes > 0 ||
	       filter->response_state == HTTP_AT_RESPONSE_CHUNK ||
	       filter->response_state == HTTP_AT_RESPONSE_TRAILERS;
}

/*
 * Answers to what came before go first; if they cannot be followed, nothing is said. A request whose
 * body is refused has passed: the container waits for the rest of it, so its answer is not waited
 * for, and where that has begun, there is nothing to be said but the end.
 */
static enum filter_verdict refuse(struct http_filter *filter, struct filter_io *io)
{
	bool is_lost = filter->response_state == HTTP_LOST;
	bool is_answered = filter->refuses_body && filter->outstanding == 0;
	uint8_t before = filter->outstanding;

	if (filter->refuses_body && before > 0)
		before--;
	if (!is_lost && !is_answered && (before > 0 || is_answering(filter)))
		return FILTER_WAITS;
	io->refusal = filter->refusal;
	if (is_answered)
		io->refusal.reply_bytes = 0;
	if (is_lost)
		io->refusal.reply = NULL;
	return FILTER_REFUSES;
}

static bool is_in_body(const struct http_filter *filter)
{
	return filter->request_state == HTTP_AT_CHUNK ||
	       filter->request_state == HTTP_BEHIND_CHUNK ||
	       filter->request_state == HTTP_AT_TRAILERS;
}

static enum filter_verdict refuse_with(struct http_filter *filter, struct filter_io *io,
				       const char *reply, enum end_reason reason)
{
	filter->refuses_body = is_in_body(filter);
	filter->request_state = HTTP_REFUSING;
	filter->refusal = (struct filter_refusal){ .reply = reply,
						   .reply_bytes = reply ? strlen(reply) : 0,
						   .reason = reason };
	return refuse(filter, io);
}

static enum filter_verdict refuse_bad(struct http_filter *filter, struct filter_io *io)
{
	return refuse_with(filter, io, bad_request, END_BAD_REQUEST);
}

/* More is needed, of which there is none, or too much has come already. */
static enum filter_verdict wait_for_more(struct http_filter *filter, struct filter_io *io,
					 size_t most)
{
	if (io->in_bytes >= most)
		return refuse_with(filter, io, too_large, END_BAD_REQUEST);
	return io->ended ? refuse_bad(filter, io) : FILTER_WANTS_MORE;
}

/* What is no HTTP/1. */

static bool is_tls(const struct filter_io *io)
{
	return io->in[0] == TLS_HANDSHAKE && (io->in_bytes < 2 || io->in[1] == TLS_MAJOR);
}

static enum filter_verdict other_protocol(struct http_filter *filter, struct filter_io *io)
{
	if (filter->other == HTTP_OTHER_REFUSE)
		return refuse_with(filter, io, NULL, END_NOT_HTTP);
	filter->response_state = HTTP_LOST;
	return FILTER_LETS_GO;
}

static enum filter_verdict at_begin(struct http_filter *filter, struct filter_io *io)
{
	size_t known = io->in_bytes < HTTP2_PREFACE_BYTES ? io->in_bytes : HTTP2_PREFACE_BYTES;

	if (is_tls(io))
		return other_protocol(filter, io);
	if (memcmp(io->in, http2_preface, known) == 0) {
		if (known == HTTP2_PREFACE_BYTES)
			return other_protocol(filter, io);
		return wait_for_more(filter, io, HTTP2_PREFACE_BYTES);
	}
	filter->request_state = HTTP_AT_REQUEST;
	return http_edit_request(filter, io);
}

/* Requests. */

/* Whether llhttp reads the head alike. */
static bool is_agreed(struct http_filter *filter, const uint8_t *bytes,
		      const struct http_head *head, llhttp_errno_t *ret_error)
{
	llhttp_t *parser = &filter->parser;
	bool is_chunked, has_length;

	llhttp_reset(parser);
	*ret_error = llhttp_execute(parser, (const char *)bytes, head->length);
	if (*ret_error != HPE_PAUSED)
		return false;
	is_chunked = parser->flags & F_CHUNKED;
	has_length = parser->flags & F_CONTENT_LENGTH;
	return is_chunked == (head->framing == HTTP_CHUNKED) &&
	       has_length == (head->framing == HTTP_LENGTH) &&
	       (!has_length || parser->content_length == head->content_length) &&
	       parser->http_major == 1 && parser->http_minor == head->minor;
}

static enum http_kind kind_of(const struct http_head *head, bool drops_upgrade)
{
	if (head->method == HTTP_METHOD_CONNECT)
		return HTTP_KIND_CONNECT;
	if (head->method == HTTP_METHOD_HEAD) /* whatever else: its answer has no body */
		return HTTP_KIND_HEAD;
	return head->upgrades && !drops_upgrade ? HTTP_KIND_UPGRADE : HTTP_KIND_PLAIN;
}

static void expect_answer(struct http_filter *filter, enum http_kind kind)
{
	uint8_t place = (uint8_t)((filter->first_kind + filter->outstanding) %
				  HTTP_OUTSTANDING_MAX);

	if (filter->response_state == HTTP_LOST)
		return;
	filter->kinds[place] = (uint8_t)kind;
	filter->outstanding++;
}

static enum filter_verdict pass_request(struct http_filter *filter, struct filter_io *io,
					const struct http_head *head)
{
	bool drops_upgrade = head->upgrades_h2c && filter->other == HTTP_OTHER_REFUSE;
	enum http_kind kind = kind_of(head, drops_upgrade);

	filter->switches = kind == HTTP_KIND_CONNECT || kind == HTTP_KIND_UPGRADE;
	if (filter->switches && filter->response_state == HTTP_LOST)
		return refuse_bad(filter, io);
	if (io->out_room < head->length + HTTP_ADDED_MAX)
		return FILTER_WANTS_ROOM;
	io->produced = http_rewrite(filter, io->in, head, drops_upgrade, io->out);
	io->consumed = head->length;
	expect_answer(filter, kind);
	filter->requests++;
	filter->switching = HTTP_SWITCH_OPEN;
	filter->request_state = filter->switches ? HTTP_AT_SWITCH : HTTP_AT_REQUEST;
	if (head->framing == HTTP_CHUNKED)
		filter->request_state = HTTP_AT_CHUNK;
	io->skip_bytes = head->framing == HTTP_LENGTH ? head->content_length : 0;
	return FILTER_SKIPS;
}

/* Lines without anything in them, as some clients send behind a body (RFC 9112 section 2.2). */
static size_t empty_lines(const struct filter_io *io)
{
	size_t length = 0;

	while (length + 1 < io->in_bytes && io->in[length] == '\r' && io->in[length + 1] == '\n')
		length += 2;
	return length;
}

static enum filter_verdict at_request(struct http_filter *filter, struct filter_io *io)
{
	llhttp_errno_t error;
	struct http_head head;

	io->consumed = empty_lines(io);
	if (io->consumed > 0)
		return FILTER_SKIPS;
	if (io->in[0] == '\r' && io->in_bytes == 1)
		return io->ended ? refuse_bad(filter, io) : FILTER_WANTS_MORE;
	if (filter->outstanding == HTTP_OUTSTANDING_MAX && filter->response_state != HTTP_LOST)
		return FILTER_WAITS;
	switch (http_request_parse(io->in, io->in_bytes, &head)) {
	case HTTP_MORE:
		return wait_for_more(filter, io, HTTP_HEAD_MAX);
	case HTTP_BAD:
		return refuse_bad(filter, io);
	case HTTP_BAD_VERSION:
		return refuse_with(filter, io, bad_version, END_BAD_REQUEST);
	case HTTP_GOOD:
		break;
	}
	if (head.length > HTTP_HEAD_MAX)
		return refuse_with(filter, io, too_large, END_BAD_REQUEST);
	if (!is_agreed(filter, io->in, &head, &error))
		return refuse_with(filter, io,
				   error == HPE_INVALID_METHOD ? bad_method : bad_request,
				   END_BAD_REQUEST);
	return pass_request(filter, io, &head);
}

/* Bodies in chunks. */

static enum filter_verdict at_chunk(struct http_filter *filter, struct filter_io *io)
{
	uint64_t chunk;
	size_t line;

	switch (http_chunk_line(io->in, io->in_bytes, &line, &chunk)) {
	case HTTP_MORE:
		return wait_for_more(filter, io, HTTP_CHUNK_LINE_MAX);
	case HTTP_GOOD:
		filter->request_state = chunk > 0 ? HTTP_BEHIND_CHUNK : HTTP_AT_TRAILERS;
		return http_pass(io, line, chunk);
	default:
		return refuse_bad(filter, io);
	}
}

static enum filter_verdict behind_chunk(struct http_filter *filter, struct filter_io *io)
{
	if (io->in[0] != '\r' || (io->in_bytes > 1 && io->in[1] != '\n'))
		return refuse_bad(filter, io);
	if (io->in_bytes < 2)
		return io->ended ? refuse_bad(filter, io) : FILTER_WANTS_MORE;
	filter->request_state = HTTP_AT_CHUNK;
	return http_pass(io, 2, 0);
}

static enum filter_verdict at_trailers(struct http_filter *filter, struct filter_io *io)
{
	size_t length;

	switch (http_trailers(io->in, io->in_bytes, &length)) {
	case HTTP_MORE:
		return wait_for_more(filter, io, HTTP_TRAILERS_MAX);
	case HTTP_GOOD:
		filter->request_state = filter->switches ? HTTP_AT_SWITCH : HTTP_AT_REQUEST;
		return http_pass(io, length, 0);
	default:
		return refuse_bad(filter, io);
	}
}

/* What the client sends behind such a request is of the one protocol or the other. */
static enum filter_verdict at_switch(struct http_filter *filter, struct filter_io *io)
{
	if (filter->switching == HTTP_SWITCH_TAKEN)
		return FILTER_LETS_GO;
	if (filter->response_state == HTTP_LOST)
		return refuse_bad(filter, io);
	if (filter->switching == HTTP_SWITCH_OPEN)
		return FILTER_WAITS;
	filter->request_state = HTTP_AT_REQUEST;
	return http_edit_request(filter, io);
}

enum filter_verdict http_edit_request(struct http_filter *filter, struct filter_io *io)
{
	switch (filter->request_state) {
	case HTTP_AT_BEGIN:
		return at_begin(filter, io);
	case HTTP_AT_REQUEST:
		return at_request(filter, io);
	case HTTP_AT_CHUNK:
		return at_chunk(filter, io);
	case HTTP_BEHIND_CHUNK:
		return behind_chunk(filter, io);
	case HTTP_AT_TRAILERS:
		return at_trailers(filter, io);
	case HTTP_AT_SWITCH:
		return at_switch(filter, io);
	default:
		return refuse(filter, io);
	}
}
