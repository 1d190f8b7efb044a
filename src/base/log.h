/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The log of a program.
 *
 * Only apps write to it: the rooms below report through return values and observers. dockerd gives
 * its proxies /dev/null as standard error, so where a message goes is decided once, at the start:
 * the terminal or file that stderr is, else the journal, else syslog, else nowhere. A log that
 * cannot take a message (a full socket) loses it; it never blocks the data path.
 */
#ifndef FAIRLEAD_BASE_LOG_H
#define FAIRLEAD_BASE_LOG_H

#include "base/error.h"

enum log_target {
	LOG_TARGET_AUTO,
	LOG_TARGET_JOURNAL,
	LOG_TARGET_SYSLOG,
	LOG_TARGET_STDERR,
	LOG_TARGET_OFF,
};

/* The values of syslog(3); the journal's PRIORITY= uses them too. */
enum log_level {
	LOG_LEVEL_ERROR = 3,
	LOG_LEVEL_WARNING = 4,
	LOG_LEVEL_NOTICE = 5,
	LOG_LEVEL_INFO = 6,
};

/* Remembers where messages go and under which name. The identifier must outlive the log. */
void log_open(enum log_target target, const char *identifier);

/* One line. Connects to the journal or syslog when the first message comes. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
