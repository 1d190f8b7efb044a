/* SPDX-License-Identifier: Apache-2.0 */
#include "control/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/processors.h"

/* Taken out of the queue at a time. */
#define BATCH 64

/* How long a pipe or terminal may take no bytes before lines are left out. */
#define PATIENCE_MS 1000

/* A line may come so much later than its session's end. */
#define NAP_NS (20L * 1000000)

/* Whether it takes some bytes now, or within a while; a log at its end does not wait. */
static bool takes_bytes(const struct access_log *log)
{
	struct pollfd wanted = { .fd = log->fd, .events = POLLOUT };
	int patience_ms = atomic_load(&log->stopping) ? 0 : PATIENCE_MS;

	return poll(&wanted, 1, patience_ms) == 1 && (wanted.revents & POLLOUT);
}

/* A pipe that has room takes PIPE_BUF bytes without making anybody wait (pipe(7)). */
static bool write_all(const struct access_log *log, const char *text, size_t length)
{
	while (length > 0) {
		size_t piece = length < PIPE_BUF ? length : PIPE_BUF;
		ssize_t written = takes_bytes(log)
					  ? write(log->fd, text, log->is_file ? length : piece)
					  : -1;

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
	if (lines->length > 0 && !write_all(log, lines->bytes, lines->length))
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

static void write_entry(struct access_log *log, struct lines *lines,
			const struct access_entry *entry, uint64_t offset_ns)
{
	bool as_json = log->settings->access_log_format == ACCESS_LOG_JSON;
	struct timespec when = clock_timespec(entry->end.ended_ns + offset_ns);
	char *line;

	if (events_are_wanted(&log->control->events, EVENT_SESSION))
		events_tell(&log->control->events, EVENT_SESSION, "end", access_entry_json(entry));
	if (!log->to_journal && log->fd < 0)
		return;
	line = as_json ? access_entry_json_line(entry, &when) : access_entry_text(entry, &when);
	if (!line || (log->to_journal && !access_entry_to_journal(entry, line)))
		count_dropped(log, 1);
	else if (!log->to_journal)
		add_line(log, lines, line);
	free(line);
}

/* Returns whether there was anything. */
static bool write_batch(struct access_log *log)
{
	uint64_t offset_ns = clock_wall_offset_ns();
	const struct access_entry *entry;
	struct lines lines;
	size_t count = 0;

	lines.length = lines.count = 0;
	for (; count < BATCH && (entry = queue_first(&log->queue)); count++) {
		write_entry(log, &lines, entry, offset_ns);
		queue_release(&log->queue);
	}
	flush(log, &lines);
	return count > 0;
}

static int open_file(const struct daemon_settings *settings)
{
	/* a pipe that nobody reads is an error, and nothing to wait for */
	int fd = open(settings->access_log,
		      O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640);

	return fd < 0 ? -errno : fd;
}

static bool has_path(const struct daemon_settings *settings)
{
	return settings->access_log[0] == '/';
}

static bool is_file(int fd)
{
	struct stat status;

	return fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

/* Should the new one not open, the old one is written on. */
static void reopen(struct access_log *log)
{
	int fd = has_path(log->settings) ? open_file(log->settings) : -1;

	if (fd < 0)
		return;
	fd_close(&log->fd);
	log->fd = fd;
	log->is_file = is_file(fd);
}

/*
 * Nothing was there. First for a moment only, in which those who put something need not wake this
 * thread; then, if nothing came, until somebody does.
 */
static bool rest(struct access_log *log, bool has_napped)
{
	static const struct timespec nap = { .tv_nsec = NAP_NS };

	if (!has_napped) {
		(void)nanosleep(&nap, NULL);
		return true;
	}
	atomic_store(&log->sleeping, true);
	if (queue_first(&log->queue) || atomic_load(&log->stopping) || atomic_load(&log->reopening))
		return true; /* it came just before; whoever wakes this thread for it does no harm */
	while (sem_wait(&log->wake) < 0 && errno == EINTR)
		;
	return false;
}

static void wake(struct access_log *log)
{
	if (atomic_exchange(&log->sleeping, false))
		(void)sem_post(&log->wake);
}

static void *run(void *context)
{
	struct access_log *log = context;
	bool has_napped = false;

	processors_give_way();
	for (;;) {
		bool stops = atomic_load(&log->stopping); /* before the last look at the queue */

		if (atomic_exchange(&log->reopening, false))
			reopen(log);
		if (write_batch(log))
			has_napped = false;
		else if (stops)
			return NULL;
		else
			has_napped = rest(log, has_napped);
	}
}

static int open_target(struct access_log *log, struct error *err)
{
	const struct daemon_settings *settings = log->settings;

	log->fd = -1;
	log->to_journal = strcmp(settings->access_log, "journal") == 0;
	if (strcmp(settings->access_log, "stdout") == 0)
		log->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	else if (has_path(settings))
		log->fd = open_file(settings);
	else
		return 0;
	if (log->fd < 0)
		return error_set(err, log->fd, "the access log %.100s cannot be opened: %s",
				 settings->access_log, error_name(log->fd));
	log->is_file = is_file(log->fd);
	return 0;
}

static void log_free(struct access_log *log)
{
	fd_close(&log->fd);
	queue_fini(&log->queue);
	(void)sem_destroy(&log->wake);
	free(log);
}

struct access_log *access_log_start(struct control *control, struct error *err)
{
	struct access_log *log = calloc(1, sizeof(*log));

	if (!log || queue_init(&log->queue, ACCESS_LOG_ROOM, sizeof(struct access_entry)) < 0) {
		free(log);
		error_set(err, -ENOMEM, "no memory for the access log");
		return NULL;
	}
	log->control = control;
	log->settings = &control->config.daemon;
	(void)sem_init(&log->wake, 0, 0);
	if (open_target(log, err) == 0) {
		if (pthread_create(&log->thread, NULL, run, log) == 0)
			return log;
		error_set(err, -EAGAIN, "no thread for the access log");
	}
	log_free(log);
	return NULL;
}

void access_log_stop(struct access_log *log)
{
	if (!log)
		return;
	atomic_store(&log->stopping, true);
	wake(log);
	(void)pthread_join(log->thread, NULL);
	log_free(log);
}

void access_log_put(struct access_log *log, const struct session_end *end, const struct rule *rule)
{
	uint32_t number;
	struct access_entry *entry = queue_claim(&log->queue, &number);

	if (!entry) {
		count_dropped(log, 1);
		return;
	}
	entry->end = *end;
	rule_label(rule, &entry->rule);
	queue_put(&log->queue, number);
	/* after what was put is to be seen, as rest() looks for it after it has said that it sleeps */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&log->sleeping, memory_order_relaxed))
		wake(log);
}

void access_log_reopen(struct access_log *log)
{
	atomic_store(&log->reopening, true);
	wake(log);
}
