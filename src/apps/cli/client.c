/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "apps/cli/command.h"
#include "apps/cli/command_line.h"

/* The daemon answers within milliseconds; a list of 100,000 sessions takes seconds. */
static long limit_s = 30;

/* What the daemon's errors are read from; an answer that is none may be larger. */
#define BODY_MAX ((size_t)512 * 1024 * 1024)

#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

struct body {
	char *text;
	size_t length, room;
};

struct stream {
	bool (*line)(void *context, const char *text);
	void *context;
	CURL *curl;
	struct body rest; /* of a line; all of an answer that is an error */
	bool ended;
};

static bool append(struct body *body, const char *data, size_t length)
{
	if (length > BODY_MAX - body->length)
		return false;
	if (body->length + length + 1 > body->room) {
		size_t room = 2 * (body->length + length + 1);
		char *text = realloc(body->text, room);

		if (!text)
			return false;
		body->text = text;
		body->room = room;
	}
	memcpy(body->text + body->length, data, length);
	body->length += length;
	body->text[body->length] = '\0';
	return true;
}

static size_t receive(char *data, size_t size, size_t count, void *context)
{
	return append(context, data, size * count) ? size * count : 0;
}

static size_t receive_lines(char *data, size_t size, size_t count, void *context)
{
	struct stream *stream = context;
	char *begin, *end;
	long status = 0;

	if (!append(&stream->rest, data, size * count))
		return 0;
	(void)curl_easy_getinfo(stream->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300)
		return size * count;
	begin = stream->rest.text;
	while (!stream->ended && (end = strchr(begin, '\n'))) {
		*end = '\0';
		stream->ended = !stream->line(stream->context, begin);
		begin = end + 1;
	}
	stream->rest.length -= (size_t)(begin - stream->rest.text);
	memmove(stream->rest.text, begin, stream->rest.length + 1);
	return stream->ended ? 0 : size * count;
}

void client_set_limit(long seconds)
{
	limit_s = seconds;
}

static int unreachable(CURL *curl, CURLcode code, struct error *err)
{
	const char *path = command_line_socket();
	long number = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &number);
	if (code == CURLE_OPERATION_TIMEDOUT)
		(void)error_set(err, -ETIMEDOUT,
				"fairleadd does not answer at %.100s (waited for %ld s)", path,
				limit_s);
	else if (code == CURLE_PARTIAL_FILE || code == CURLE_GOT_NOTHING ||
		 code == CURLE_RECV_ERROR)
		(void)error_set(err, -ECONNRESET,
				"fairleadd at %.100s has ended before its answer was complete",
				path);
	else if (strlen(path) > SOCKET_PATH_MAX)
		(void)error_set(err, -ENAMETOOLONG,
				"the socket's path has more than %zu characters: %.120s",
				SOCKET_PATH_MAX, path);
	else if (number == EACCES || number == EPERM)
		(void)error_set(err, -EACCES,
				"no permission for %.100s: run this as root, or as a member of the "
				"group fairlead",
				path);
	else if (number == ENOENT || number == ECONNREFUSED)
		(void)error_set(
			err, -ENOENT,
			"fairleadd does not run: nothing listens at %.100s (systemctl start "
			"fairleadd, or name its socket with --socket)",
			path);
	else
		(void)error_set(err, -EIO, "fairleadd cannot be asked at %.100s: %s", path,
				number ? error_name((int)number) : curl_easy_strerror(code));
	return EXIT_UNREACHABLE;
}

/* Without the place of a rule among those that were sent, which nobody has written: "[0]: " */
static const char *without_place(const char *message)
{
	size_t digits = message[0] == '[' ? strspn(message + 1, "0123456789") : 0;
	const char *rest = message + 1 + digits;

	if (digits > 0 && (strncmp(rest, "]: ", 3) == 0))
		return rest + 3;
	return digits > 0 && strncmp(rest, "].", 2) == 0 ? rest + 2 : message;
}

/* The daemon's own sentence. */
static int refused(long status, const char *text, struct error *err)
{
	json_t *answer = json_loads(text ? text : "", 0, NULL);
	const char *message = json_string_value(json_object_get(answer, "message"));

	(void)error_set(err, -EIO, "%.240s", message ? without_place(message) : "");
	if (!message)
		(void)error_set(err, -EIO, "the daemon answered with status %ld and no reason",
				status);
	json_decref(answer);
	return status == 400 ? EXIT_USAGE : EXIT_FAILURE;
}

static CURL *open_request(const char *method, const char *path)
{
	CURL *curl = curl_easy_init();
	char address[CLIENT_PATH_MAX + 32];

	if (!curl)
		return NULL;
	(void)snprintf(address, sizeof(address), "http://localhost%s", path);
	(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, command_line_socket());
	(void)curl_easy_setopt(curl, CURLOPT_URL, address);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	return curl;
}

static int no_memory(struct error *err)
{
	(void)error_set(err, -ENOMEM, "no memory for the request");
	return EXIT_FAILURE;
}

static int read_answer(CURL *curl, const struct body *body, json_t **ret, struct error *err)
{
	json_error_t json;
	long status = 0;

	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 300 && status != 503) /* which is what "not healthy" comes with */
		return refused(status, body->text, err);
	*ret = json_loads(body->text ? body->text : "", 0, &json);
	if (*ret)
		return 0;
	(void)error_set(err, -EIO, "the daemon's answer is no JSON: %.100s", json.text);
	return EXIT_FAILURE;
}

int client_request(const char *method, const char *path, const json_t *content, json_t **ret,
		   struct error *err)
{
	CURL *curl = open_request(method, path);
	char *text = content ? json_dumps(content, JSON_COMPACT) : NULL;
	struct body body = { .text = NULL };
	CURLcode code;
	int r;

	if (!curl || (content && !text)) {
		free(text);
		curl_easy_cleanup(curl);
		return no_memory(err);
	}
	(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, limit_s);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
	if (text)
		(void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	code = curl_easy_perform(curl);
	r = code == CURLE_OK ? read_answer(curl, &body, ret, err) : unreachable(curl, code, err);
	curl_easy_cleanup(curl);
	free(body.text);
	free(text);
	return r;
}

int client_get(const char *path, json_t **ret, struct error *err)
{
	return client_request("GET", path, NULL, ret, err);
}

int client_stream(const char *path, bool (*line)(void *context, const char *text), void *context,
		  struct error *err)
{
	struct stream stream = { .line = line, .context = context };
	CURL *curl = open_request("GET", path);
	long status = 0;
	CURLcode code;
	int r = 0;

	if (!curl)
		return no_memory(err);
	stream.curl = curl;
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive_lines);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, &stream);
	code = curl_easy_perform(curl);
	(void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
	if (code != CURLE_OK && !stream.ended)
		r = unreachable(curl, code, err);
	else if (status >= 300)
		r = refused(status, stream.rest.text, err);
	curl_easy_cleanup(curl);
	free(stream.rest.text);
	return r;
}

void client_add_query(char *path, const char *name, const char *value)
{
	size_t length = strlen(path);
	char *escaped = value ? curl_easy_escape(NULL, value, 0) : NULL;

	if (!escaped)
		return;
	(void)snprintf(path + length, CLIENT_PATH_MAX - length, "%c%s=%s",
		       strchr(path, '?') ? '&' : '?', name, escaped);
	curl_free(escaped);
}

int client_failed(const char *command, const struct error *err, int code)
{
	(void)fprintf(stderr, "fairlead %s: %s\n", command, err->text);
	return code;
}
