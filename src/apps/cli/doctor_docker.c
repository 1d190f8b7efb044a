/* SPDX-License-Identifier: Apache-2.0 */
/* A chapter of `fairlead doctor`: which engine there is, and whose proxy it starts. */
#include <curl/curl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apps/cli/doctor.h"

#define ENGINE_SOCKET "/var/run/docker.sock"
#define ENGINE_CONFIG "/etc/docker/daemon.json"
#define OURS "fairlead-docker-proxy"
#define LIMIT_S 5L

/* Docker Engine 20.10 is the oldest that it is tested with. */
#define MAJOR_LEAST 20

static size_t receive(char *data, size_t size, size_t count, void *context)
{
	return fwrite(data, size, count, context);
}

/* The answer of the engine's API, which the caller frees; NULL where there is none. */
static json_t *ask_engine(const char *path)
{
	char *text = NULL;
	size_t length;
	FILE *answer = open_memstream(&text, &length);
	CURL *curl = curl_easy_init();
	json_t *object = NULL;
	char url[64];

	(void)snprintf(url, sizeof(url), "http://docker%s", path);
	if (answer && curl) {
		(void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, ENGINE_SOCKET);
		(void)curl_easy_setopt(curl, CURLOPT_URL, url);
		(void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, LIMIT_S);
		(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive);
		(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, answer);
		if (curl_easy_perform(curl) == CURLE_OK && fflush(answer) == 0)
			object = json_loads(text, 0, NULL);
	}
	curl_easy_cleanup(curl);
	if (answer)
		(void)fclose(answer);
	free(text);
	return object;
}

static void look_at_version(struct doctor *doctor)
{
	json_t *answer = ask_engine("/version");
	const char *version = json_string_value(json_object_get(answer, "Version"));

	if (!version)
		doctor_find(doctor, FINDING_NOTE,
			    "no engine answers at " ENGINE_SOCKET
			    ": Docker is not needed for the rest");
	else if (strtol(version, NULL, 10) < MAJOR_LEAST)
		doctor_find(doctor, FINDING_BAD, "the engine is Docker %.40s: 20.10 is the oldest",
			    version);
	else
		doctor_find(doctor, FINDING_GOOD, "the engine is Docker %.40s", version);
	json_decref(answer);
}

static bool is_ours(const char *path)
{
	const char *name = strrchr(path, '/');

	return strcmp(name ? name + 1 : path, OURS) == 0;
}

static void look_at_path(struct doctor *doctor, const char *path)
{
	if (!path)
		doctor_find(doctor, FINDING_NOTE,
			    ENGINE_CONFIG
			    " has no userland-proxy-path: the engine starts a proxy of its "
			    "own, unless it was told otherwise on its command line");
	else if (access(path, X_OK) < 0)
		doctor_find(doctor, FINDING_BAD,
			    "userland-proxy-path %.150s is no program that can be started", path);
	else if (!is_ours(path))
		doctor_find(doctor, FINDING_NOTE, "userland-proxy-path is %.150s, and not " OURS,
			    path);
	else
		doctor_find(doctor, FINDING_GOOD, "the engine starts %.150s", path);
}

static void look_at_config(struct doctor *doctor)
{
	json_error_t error;
	json_t *config;

	if (access(ENGINE_CONFIG, R_OK) < 0) {
		look_at_path(doctor, NULL);
		return;
	}
	config = json_load_file(ENGINE_CONFIG, 0, &error);
	if (!config)
		doctor_find(doctor, FINDING_BAD, ENGINE_CONFIG " is no JSON: line %d: %.100s",
			    error.line, error.text);
	else if (json_is_false(json_object_get(config, "userland-proxy")))
		doctor_find(doctor, FINDING_NOTE,
			    ENGINE_CONFIG
			    " has userland-proxy false: the engine starts no proxy, and so "
			    "serves no client of IPv6");
	else
		look_at_path(doctor,
			     json_string_value(json_object_get(config, "userland-proxy-path")));
	json_decref(config);
}

void doctor_docker(struct doctor *doctor)
{
	look_at_version(doctor);
	look_at_config(doctor);
}
