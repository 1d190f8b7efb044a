/* SPDX-License-Identifier: Apache-2.0 */
/* From the container: answers pass unchanged, and are followed as long as that can be. */
#include "identity/http_state.h"
#include "wire/http_chunk.h"

static enum filter_verdict lose(struct http_filter *filter)
{
	filter->response_state = HTTP_LOST;
	return FILTER_LETS_GO;
}

static enum http_kind take_kind(struct http_filter *filter)
{
	enum http_kind kind = filter->kinds[filter->first_kind];

	filter->first_kind = (uint8_t)((filter->first_kind + 1) % HTTP_OUTSTANDING_MAX);
	filter->outstanding--;
	return kind;
}

/* Whether the answer makes another protocol of the connection. */
static bool is_switch(const struct http_head *head, enum http_kind kind)
{
	return (kind == HTTP_KIND_UPGRADE && head->status == 101) ||
	       (kind == HTTP_KIND_CONNECT && head->status / 100 == 2);
}

/*
 * A success of CONNECT has no such field (RFC 9110 section 9.3.6): who sends one takes CONNECT for a
 * method as any other, and the connection is still HTTP's.
 */
static bool is_false_tunnel(const struct http_head *head, enum http_kind kind)
{
	return kind == HTTP_KIND_CONNECT && head->status / 100 == 2 &&
	       (head->framing == HTTP_LENGTH || head->framing == HTTP_CHUNKED);
}

/* RFC 9112 section 6.3. */
static bool has_body(const struct http_head *head, enum http_kind kind)
{
	return kind != HTTP_KIND_HEAD && head->status != 204 && head->status != 304;
}

static enum filter_verdict final_answer(struct http_filter *filter, struct filter_io *io,
					const struct http_head *head)
{
	enum http_kind kind = take_kind(filter);

	if (is_false_tunnel(head, kind))
		return lose(filter);
	if (is_switch(head, kind)) {
		filter->switching = HTTP_SWITCH_TAKEN;
		return FILTER_LETS_GO;
	}
	if (head->status == 101)
		return lose(filter); /* nobody has asked for that */
	if (kind == HTTP_KIND_UPGRADE || kind == HTTP_KIND_CONNECT)
		filter->switching = HTTP_SWITCH_DECLINED;
	if (!has_body(head, kind) || head->framing == HTTP_NO_BODY)
		return http_pass(io, head->length, 0);
	if (head->framing == HTTP_LENGTH)
		return http_pass(io, head->length, head->content_length);
	if (head->framing != HTTP_CHUNKED)
		return lose(filter); /* it ends with the connection */
	filter->response_state = HTTP_AT_RESPONSE_CHUNK;
	return http_pass(io, head->length, 0);
}

static enum filter_verdict more_or_lose(struct http_filter *filter, const struct filter_io *io,
					size_t most)
{
	return io->ended || io->in_bytes >= most ? lose(filter) : FILTER_WANTS_MORE;
}

static enum filter_verdict at_response(struct http_filter *filter, struct filter_io *io)
{
	struct http_head head;

	if (filter->outstanding == 0)
		return lose(filter); /* an answer to nothing */
	switch (http_response_parse(io->in, io->in_bytes, &head)) {
	case HTTP_MORE:
		return more_or_lose(filter, io, HTTP_HEAD_MAX);
	case HTTP_GOOD:
		break;
	default:
		return lose(filter);
	}
	if (head.status < 200 && head.status != 101)
		return http_pass(io, head.length, 0); /* the answer is still to come */
	return final_answer(filter, io, &head);
}

static enum filter_verdict at_chunk(struct http_filter *filter, struct filter_io *io)
{
	uint64_t chunk;
	size_t line;

	switch (http_chunk_line(io->in, io->in_bytes, &line, &chunk)) {
	case HTTP_MORE:
		return more_or_lose(filter, io, HTTP_CHUNK_LINE_MAX);
	case HTTP_GOOD:
		break;
	default:
		return lose(filter);
	}
	if (chunk > 0)
		return http_pass(io, line, chunk + 2);
	filter->response_state = HTTP_AT_RESPONSE_TRAILERS;
	return http_pass(io, line, 0);
}

static enum filter_verdict at_trailers(struct http_filter *filter, struct filter_io *io)
{
	size_t length;

	switch (http_trailers(io->in, io->in_bytes, &length)) {
	case HTTP_MORE:
		return more_or_lose(filter, io, HTTP_TRAILERS_MAX);
	case HTTP_GOOD:
		filter->response_state = HTTP_AT_RESPONSE;
		return http_pass(io, length, 0);
	default:
		return lose(filter);
	}
}

enum filter_verdict http_follow_response(struct http_filter *filter, struct filter_io *io)
{
	switch (filter->response_state) {
	case HTTP_AT_RESPONSE:
		return at_response(filter, io);
	case HTTP_AT_RESPONSE_CHUNK:
		return at_chunk(filter, io);
	case HTTP_AT_RESPONSE_TRAILERS:
		return at_trailers(filter, io);
	default:
		return lose(filter);
	}
}
