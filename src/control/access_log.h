/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line for each session that has ended.
 *
 * Threads of the relay put what is to be told into a queue (access_log_put()), and a thread of the
 * log's own makes lines of it and writes them. Nobody waits for that thread: what finds no room is
 * left out, and counted. So a disk that is slow, or full, costs lines and nothing else.
 */
#ifndef FAIRLEAD_CONTROL_ACCESS_LOG_H
#define FAIRLEAD_CONTROL_ACCESS_LOG_H

#include <pthread.h>
#include <semaphore.h>

#include "base/queue.h"
#include "control/access_entry.h"
#include "control/control.h"

/* What 10,000 connections in a second may bring while a disk takes most of one. */
#define ACCESS_LOG_ROOM 8192

struct access_log {
	const struct daemon_settings *settings;
	struct control *control; /* its events, and its count of what was left out */
	int fd;			 /* -1: the journal, or none */
	bool is_file;		 /* and so never makes anybody wait for room */
	bool to_journal;
	pthread_t thread;
	struct queue queue;
	sem_t wake;
	_Atomic bool stopping, reopening, sleeping;
};

/*
 * Opens what the settings name, and starts the thread. NULL with a sentence where that cannot be.
 * With access_log=off it serves events of sessions alone.
 */
struct access_log *access_log_start(struct control *control, struct error *err);

/* Writes what it has been given, and ends. */
void access_log_stop(struct access_log *log);

/* From any thread. Does not wait. */
void access_log_put(struct access_log *log, const struct session_end *end, const struct rule *rule);

/* Opens the file anew, for who has moved it away (logrotate(8)). */
void access_log_reopen(struct access_log *log);

#endif
