/* SPDX-License-Identifier: Apache-2.0 */
#include "control/endpoints.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/processors.h"
#include "base/text.h"
#include "control/handlers.h"
#include "control/shown.h"

static const struct endpoint table[] = {
#define ENDPOINT(method, path, handler) { method, path, handler },
#include "control/endpoints.def"
#undef ENDPOINT
};

#define ENDPOINTS (sizeof(table) / sizeof(table[0]))

/* Whether the path is of that form; *ret_id is what stands for {id}. */
static bool matches(const char *form, const char *path, const char **ret_id)
{
	const char *id = strstr(form, "{id}");
	size_t length = id ? (size_t)(id - form) : strlen(form);

	*ret_id = NULL;
	if (strncmp(form, path, length) != 0)
		return false;
	if (!id)
		return path[length] == '\0';
	*ret_id = path + length;
	return path[length] != '\0' && !strchr(path + length, '/');
}

const struct endpoint *endpoint_find(const char *method, const char *path, const char **ret_id,
				     char ret_allowed[ENDPOINT_METHODS_MAX])
{
	size_t length = 0;

	ret_allowed[0] = '\0';
	for (size_t i = 0; i < ENDPOINTS; i++) {
		if (!matches(table[i].path, path, ret_id))
			continue;
		if (strcmp(table[i].method, method) == 0)
			return &table[i];
		(void)snprintf(ret_allowed + length, ENDPOINT_METHODS_MAX - length, "%s%s",
			       length > 0 ? ", " : "", table[i].method);
		length = strlen(ret_allowed);
	}
	return NULL;
}

void endpoints_init(struct endpoints_context *context, struct control *control)
{
	context->control = control;
	pthread_mutex_init(&context->changing, NULL);
}

void endpoints_fini(struct endpoints_context *context)
{
	pthread_mutex_destroy(&context->changing);
}

void answer_json(struct answer *answer, json_t *json)
{
	if (!json) {
		answer_error(answer, 500, "no memory for the answer");
		return;
	}
	answer->status = 200;
	answer->json = json;
}

void answer_error(struct answer *answer, unsigned int status, const char *format, ...)
{
	char text[ERROR_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	(void)vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	answer->status = status;
	answer->json = json_pack("{s:s%}", "message", text, strlen(text));
	if (!answer->json) {
		/* not UTF-8, from a path say, or no memory */
		answer->constant = "{\"message\":\"the request cannot be answered\"}\n";
		answer->constant_bytes = strlen(answer->constant);
	}
}

const char *request_query(const struct request *request, const char *name)
{
	const char *text = request->query(request->query_of, name);

	return text && *text ? text : NULL;
}

bool request_number(const struct request *request, const char *name, uint64_t most, uint64_t usual,
		    uint64_t *ret, struct answer *answer)
{
	const char *text = request_query(request, name);

	*ret = usual;
	if (!text || text_parse_number(text, strlen(text), most, ret) == 0)
		return true;
	answer_error(answer, 400, "%s=%.40s is not a number from 0 to %llu", name, text,
		     (unsigned long long)most);
	return false;
}

void answer_failure(struct answer *answer, const struct error *err)
{
	unsigned int status;

	switch (err->code) {
	case -EINVAL:
	case -ERANGE:
	case -E2BIG:
		status = 400;
		break;
	case -ENOENT:
		status = 404;
		break;
	case -EEXIST:
	case -EADDRINUSE:
	case -EBUSY:
	case -EHOSTUNREACH:
		status = 409;
		break;
	case -EACCES:
	case -EPERM:
		status = 403;
		break;
	default:
		status = 500;
		break;
	}
	answer_error(answer, status, "%s", err->text);
}

/* Some 100 us of work. */
#define ITEMS_PER_PAUSE 16

void answer_list_begin(struct answer_list *list, struct answer *answer, const char *name)
{
	*list = (struct answer_list){ .answer = answer };
	list->out = open_memstream(&answer->text, &list->length);
	if (list->out)
		(void)fprintf(list->out, "{\"%s\":[", name);
}

void answer_list_add(struct answer_list *list, json_t *item)
{
	if (list->out) {
		if (list->count > 0)
			(void)fputc(',', list->out);
		if (json_dumpf(item, list->out, SHOWN_FLAGS) < 0)
			(void)fputs("null", list->out);
	}
	json_decref(item);
	list->count++;
	if (list->count % ITEMS_PER_PAUSE == 0)
		processors_pause();
}

/* The members of an object, to stand behind others. */
static void write_members(FILE *out, json_t *object)
{
	const char *name;
	json_t *value;

	json_object_foreach(object, name, value)
	{
		(void)fprintf(out, ",\"%s\":", name);
		(void)json_dumpf(value, out, SHOWN_FLAGS | JSON_ENCODE_ANY);
	}
}

void answer_list_end(struct answer_list *list, json_t *rest)
{
	struct answer *answer = list->answer;
	bool is_whole = list->out;

	if (list->out) {
		(void)fputc(']', list->out);
		write_members(list->out, rest);
		(void)fputs("}\n", list->out);
		is_whole = !ferror(list->out);
		is_whole = fclose(list->out) == 0 && is_whole;
	}
	json_decref(rest);
	if (is_whole) {
		answer->status = 200;
		return;
	}
	free(answer->text);
	answer->text = NULL;
	answer_error(answer, 500, "no memory for the answer");
}
