/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/timestamp.h"

/* Taken off the ring at a time. */
#define BATCH 64

/* A line may come so much later than its session's end. */
#define NAP_NS (20 * (long)NS_PER_MS)

static const char *address_text(const struct address *address, char buffer[ADDRESS_TEXT_MAX])
{
	return address->family == AF_UNSPEC ? "-" : address_format(address, buffer);
}

static double seconds(const struct session_end *end)
{
	return (double)(end->ended_ns - end->session.started_ns) / 1e9;
}

char *access_log_format_text(const struct access_log_entry *entry, const struct timespec *when)
{
	const struct session *session = &entry->end.session;
	char time[TIMESTAMP_MAX], client[ADDRESS_TEXT_MAX], host[ADDRESS_TEXT_MAX];
	char source[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	char *line = NULL;
	int length = asprintf(
		&line, "%s %s %s %s %s %s in=%" PRIu64 " out=%" PRIu64 " duration=%.3f end=%s%s%s",
		timestamp_format(when, time), protocol_name(entry->rule.protocol),
		address_text(&session->client, client), address_text(&session->host, host),
		address_text(&session->source, source),
		address_text(&session->container, container), session->in_bytes, session->out_bytes,
		seconds(&entry->end), end_reason_name(entry->end.reason),
		entry->rule.name[0] ? " rule=" : "", entry->rule.name);

	return length < 0 ? NULL : line;
}

static json_t *json_address(const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	return address->family == AF_UNSPEC ? json_null()
					    : json_string(address_format(address, text));
}

json_t *access_log_format_json(const struct access_log_entry *entry)
{
	const struct session *session = &entry->end.session;
	char id[RULE_ID_MAX];

	return json_pack("{s:I, s:s, s:s, s:s*, s:o, s:o, s:o, s:o, s:I, s:I, s:f, s:s}", "id",
			 (json_int_t)session->id, "protocol", protocol_name(entry->rule.protocol),
			 "rule", rule_id(&entry->rule, id), "name",
			 entry->rule.name[0] ? entry->rule.name : NULL, "client",
			 json_address(&session->client), "host", json_address(&session->host),
			 "source", json_address(&session->source), "container",
			 json_address(&session->container), "in_bytes",
			 (json_int_t)session->in_bytes, "out_bytes", (json_int_t)session->out_bytes,
			 "duration_s", seconds(&entry->end), "end",
			 end_reason_name(entry->end.reason));
}

/* One object with the time in front, as text. */
static char *json_line(const struct access_log_entry *entry, const struct timespec *when)
{
	char time[TIMESTAMP_MAX];
	json_t *object = json_pack("{s:s}", "time", timestamp_format(when, time));
	json_t *rest = access_log_format_json(entry);
	char *line = NULL;

	if (object && rest && json_object_update(object, rest) == 0)
		line = json_dumps(object, JSON_COMPACT);
	json_decref(rest);
	json_decref(object);
	return line;
}

/* The journal has fields of its own for what else would have to be parsed. */
static bool send_to_journal(const struct access_log_entry *entry, const char *line)
{
	char client[ADDRESS_TEXT_MAX], container[ADDRESS_TEXT_MAX];
	const struct session *session = &entry->end.session;

	return sd_journal_send("MESSAGE=%s", line, "PRIORITY=6", "SYSLOG_IDENTIFIER=fairleadd",
			       "FAIRLEAD_CLIENT=%s", address_text(&session->client, client),
			       "FAIRLEAD_CONTAINER=%s",
			       address_text(&session->container, container), "FAIRLEAD_END=%s",
			       end_reason_name(entry->end.reason), "FAIRLEAD_RULE=%s",
			       entry->rule.name, NULL) == 0;
}

static bool write_all(int fd, const char *text, size_t length)
{
	while (length > 0) {
		ssize_t written = write(fd, text, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		text += written;
		length -= (size_t)written;
	}
	return true;
}

static void count_dropped(struct access_log *log, size_t lines)
{
	atomic_fetch_add_explicit(&log->control->log_dropped, lines, memory_order_relaxed);
}

/* Lines that leave with one call, as thousands of sessions may end in a second. */
struct lines {
	char bytes[32768];
	size_t length, count;
};

static void flush(struct access_log *log, struct lines *lines)
{
	if (lines->length > 0 && !write_all(log->fd, lines->bytes, lines->length))
		count_dropped(log, lines->count);
	lines->length = lines->count = 0;
}

static void add_line(struct access_log *log, struct lines *lines, const char *line)
{
	size_t length = strlen(line);

	if (lines->length + length + 1 > sizeof(lines->bytes))
		flush(log, lines);
	memcpy(lines->bytes + lines->length, line, length);
	lines->bytes[lines->length + length] = '\n';
	lines->length += length + 1;
	lines->count++;
}

/* When it was on the wall clock that the session ended. */
static struct timespec ended_at(const struct access_log_entry *entry, uint64_t offset_ns)
{
	uint64_t ns = entry->end.ended_ns + offset_ns;

	return (struct timespec){ .tv_sec = (time_t)(ns / NS_PER_S),
				  .tv_nsec = (long)(ns % NS_PER_S) };
}

static void write_entry(struct access_log *log, struct lines *lines,
			const struct access_log_entry *entry, uint64_t offset_ns)
{
	bool as_json = log->settings->access_log_format == ACCESS_LOG_JSON;
	struct timespec when = ended_at(entry, offset_ns);
	char *line;

	if (events_are_wanted(&log->control->events, EVENT_SESSION))
		events_tell(&log->control->events, EVENT_SESSION, "end",
			    access_log_format_json(entry));
	if (!log->to_journal && log->fd < 0)
		return;
	line = as_json ? json_line(entry, &when) : access_log_format_text(entry, &when);
	if (!line || (log->to_journal && !send_to_journal(entry, line)))
		count_dropped(log, 1);
	else if (!log->to_journal)
		add_line(log, lines, line);
	free(line);
}

static void write_batch(struct access_log *log, const struct access_log_entry *batch, size_t count)
{
	uint64_t offset_ns = clock_wall_offset_ns();
	struct lines lines;

	lines.length = lines.count = 0;
	for (size_t i = 0; i < count; i++)
		write_entry(log, &lines, &batch[i], offset_ns);
	flush(log, &lines);
}

static int open_file(const struct daemon_settings *settings)
{
	int fd = open(settings->access_log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY,
		      0640);

	return fd < 0 ? -errno : fd;
}

static bool is_file(const struct daemon_settings *settings)
{
	return settings->access_log[0] == '/';
}

/* Should the new one not open, the old one is written on. */
static void reopen(struct access_log *log)
{
	int fd = is_file(log->settings) ? open_file(log->settings) : -1;

	if (fd < 0)
		return;
	fd_close(&log->fd);
	log->fd = fd;
}

/* With the mutex held. Returns how many were taken. */
static size_t take(struct access_log *log, struct access_log_entry batch[BATCH])
{
	size_t taken = log->count < BATCH ? log->count : BATCH;

	for (size_t i = 0; i < taken; i++)
		batch[i] = log->entries[(log->first + i) % ACCESS_LOG_ROOM];
	log->first = (log->first + taken) % ACCESS_LOG_ROOM;
	log->count -= taken;
	return taken;
}

/*
 * With the mutex held. First for a moment only, in which those who put something need not wake this
 * thread; then, if nothing came, until somebody does.
 */
static bool rest(struct access_log *log, bool has_napped)
{
	struct timespec until;

	if (has_napped) {
		log->sleeping = true;
		pthread_cond_wait(&log->changed, &log->mutex);
		log->sleeping = false;
		return false;
	}
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += NAP_NS;
	until.tv_sec += until.tv_nsec / (long)NS_PER_S;
	until.tv_nsec %= (long)NS_PER_S;
	(void)pthread_cond_timedwait(&log->changed, &log->mutex, &until);
	return true;
}

static void *run(void *context)
{
	struct access_log *log = context;
	struct access_log_entry batch[BATCH];
	bool has_napped = false;

	pthread_mutex_lock(&log->mutex);
	while (!log->stopping || log->count > 0) {
		size_t taken = take(log, batch);
		bool reopens = log->reopening;

		log->reopening = false;
		if (taken == 0 && !reopens) {
			has_napped = rest(log, has_napped);
			continue;
		}
		has_napped = false;
		pthread_mutex_unlock(&log->mutex);
		if (reopens)
			reopen(log);
		write_batch(log, batch, taken);
		pthread_mutex_lock(&log->mutex);
	}
	pthread_mutex_unlock(&log->mutex);
	return NULL;
}

static int open_target(struct access_log *log, struct error *err)
{
	const struct daemon_settings *settings = log->settings;

	log->fd = -1;
	log->to_journal = strcmp(settings->access_log, "journal") == 0;
	if (strcmp(settings->access_log, "stdout") == 0)
		log->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (is_file(settings))
		log->fd = open_file(settings);
	else
		return 0;
	if (log->fd >= 0)
		return 0;
	return error_set(err, log->fd, "the access log %.100s cannot be opened: %s",
			 settings->access_log, error_name(log->fd));
}

struct access_log *access_log_start(struct control *control, struct error *err)
{
	struct access_log *log = calloc(1, sizeof(*log));

	if (!log) {
		error_set(err, -ENOMEM, "no memory for the access log");
		return NULL;
	}
	log->control = control;
	log->settings = &control->config.daemon;
	if (open_target(log, err) < 0) {
		free(log);
		return NULL;
	}
	pthread_mutex_init(&log->mutex, NULL);
	pthread_cond_init(&log->changed, NULL);
	if (pthread_create(&log->thread, NULL, run, log) == 0)
		return log;
	error_set(err, -EAGAIN, "no thread for the access log");
	fd_close(&log->fd);
	free(log);
	return NULL;
}

void access_log_stop(struct access_log *log)
{
	if (!log)
		return;
	pthread_mutex_lock(&log->mutex);
	log->stopping = true;
	pthread_cond_signal(&log->changed);
	pthread_mutex_unlock(&log->mutex);
	(void)pthread_join(log->thread, NULL);
	fd_close(&log->fd);
	pthread_mutex_destroy(&log->mutex);
	pthread_cond_destroy(&log->changed);
	free(log);
}

void access_log_put(struct access_log *log, const struct session_end *end, const struct rule *rule)
{
	bool dropped;

	pthread_mutex_lock(&log->mutex);
	dropped = log->count == ACCESS_LOG_ROOM;
	if (!dropped) {
		struct access_log_entry *entry =
			&log->entries[(log->first + log->count++) % ACCESS_LOG_ROOM];

		entry->end = *end;
		entry->rule = *rule;
		if (log->sleeping)
			pthread_cond_signal(&log->changed);
	}
	pthread_mutex_unlock(&log->mutex);
	if (dropped)
		count_dropped(log, 1);
}

void access_log_reopen(struct access_log *log)
{
	pthread_mutex_lock(&log->mutex);
	log->reopening = true;
	pthread_cond_signal(&log->changed);
	pthread_mutex_unlock(&log->mutex);
}
