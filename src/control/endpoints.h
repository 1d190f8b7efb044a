/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The API: what can be asked, by method and path, and how it is answered. docs/openapi.json
 * describes it for others; tests/e2e/test_api.py holds both against each other.
 *
 * Handlers run on threads of HTTP. They know nothing of sockets: they get a request and fill in an
 * answer.
 */
#ifndef FAIRLEAD_CONTROL_ENDPOINTS_H
#define FAIRLEAD_CONTROL_ENDPOINTS_H

#include <jansson.h>
#include <stdio.h>

#include "control/control.h"

/* A rule in JSON has 200 bytes or so; this is more than RULESET_MAX of them. */
#define REQUEST_BODY_MAX (16 * 1024 * 1024)

struct endpoints_context {
	struct control *control;
	pthread_mutex_t changing; /* one change of rules at a time, its record included */
};

struct request {
	struct endpoints_context *context;
	const char *id;	    /* of the path's last part, if the endpoint has one */
	const json_t *body; /* NULL where there is none */
	const char *(*query)(void *of, const char *name); /* NULL where it is not given */
	void *query_of;
};

/* What is sent back. The handler sets the status, and one of the others if any. */
struct answer {
	unsigned int status;
	json_t *json;	      /* the server's from now on */
	char *text;	      /* the same; allocated with malloc() */
	const char *constant; /* a text that stays */
	size_t constant_bytes;
	const char *type;    /* Content-Type, where it is not JSON */
	const char *policy;  /* Content-Security-Policy, if any */
	const char *allowed; /* Allow: the methods of a path that has not the one asked for */
	unsigned int events; /* a stream of events of these types */
};

struct endpoint {
	const char *method;
	const char *path; /* may end in {id} */
	void (*handle)(const struct request *request, struct answer *answer);
};

#define ENDPOINT_METHODS_MAX 64

/*
 * The endpoint of a method and path; *ret_id is the part that stands for {id}, else NULL. NULL:
 * there is none, and ret_allowed tells the methods that the path has, or is empty.
 */
const struct endpoint *endpoint_find(const char *method, const char *path, const char **ret_id,
				     char ret_allowed[ENDPOINT_METHODS_MAX]);

void endpoints_init(struct endpoints_context *context, struct control *control);
void endpoints_fini(struct endpoints_context *context);

/* The text of the query's parameter; NULL where it is not given, or empty. */
const char *request_query(const struct request *request, const char *name);

/*
 * A number up to `most` of the query; `usual` where it is not given. Returns false where it is none,
 * and has answered so.
 */
bool request_number(const struct request *request, const char *name, uint64_t most, uint64_t usual,
		    uint64_t *ret, struct answer *answer);

/* How many items of a list are shown, unless more are asked for, and the most that can be. */
#define LIST_LIMIT_USUAL 1000
#define LIST_LIMIT_MOST 100000

/* {"message": the sentence} with that status. */
void answer_error(struct answer *answer, unsigned int status, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same for an error of the program; the status is made of its code. */
void answer_failure(struct answer *answer, const struct error *err);

/* An object or array with 200; an error where it is NULL, for lack of memory. */
void answer_json(struct answer *answer, json_t *json);

/*
 * A list that may be long, as an object with an array: made of one item after the other, so that no
 * tree of all of them is ever there, and with pauses for threads that carry data. An error where
 * there is no memory for it.
 */
struct answer_list {
	struct answer *answer;
	FILE *out;
	size_t length, count;
};

void answer_list_begin(struct answer_list *list, struct answer *answer, const char *name);
void answer_list_add(struct answer_list *list, json_t *item); /* takes the reference */

/* rest: what else the object has, or NULL; takes the reference, too. */
void answer_list_end(struct answer_list *list, json_t *rest);

#endif
