/* SPDX-License-Identifier: Apache-2.0 */
/*
 * New assignments on their way to the store: a ring in a mapped file, beside the database.
 *
 * An assignment must be known after a crash of the process before a container has seen it, and the
 * thread that makes it cannot wait for a database. Writing to the mapping is a copy in memory, and
 * the pages are the kernel's: they survive the process, as long as the host does. Another thread
 * takes the records to the store, and says so in the mapping when they are there.
 *
 * Each record has its number and a checksum, so that after a crash it is seen which ones were
 * written whole.
 */
#ifndef FAIRLEAD_IDENTITY_PSEUDO_JOURNAL_H
#define FAIRLEAD_IDENTITY_PSEUDO_JOURNAL_H

#include <stdatomic.h>

#include "base/error.h"
#include "identity/pseudo_map.h"

/* New clients of some seconds, of a host under attack too; 4 MiB. */
#define PSEUDO_JOURNAL_ROOM 65536u

struct pseudo_journal_file;

struct pseudo_journal {
	struct pseudo_journal_file *file; /* NULL: none, and nothing is ever written */
	_Atomic uint64_t written;	  /* records, ever */
	int lock;			  /* the file, which is this process's alone */
};

/*
 * Opens the file, or makes it. Records that were not taken to the store are there to be read. One
 * that is no journal is refused, and one that another process has open. Returns 0 or -errno with a
 * sentence.
 */
int pseudo_journal_open(struct pseudo_journal *journal, const char *path, struct error *err);
void pseudo_journal_close(struct pseudo_journal *journal);

/* One writer at a time. Returns 0, or -EAGAIN where there is no room. */
int pseudo_journal_write(struct pseudo_journal *journal, const struct pseudo_record *record);

/* How many records wait. */
uint64_t pseudo_journal_waiting(const struct pseudo_journal *journal);

/* The one reader's: copies up to `most` records that wait, and later says that they are done. */
size_t pseudo_journal_read(const struct pseudo_journal *journal, struct pseudo_record *records,
			   size_t most);
void pseudo_journal_done(struct pseudo_journal *journal, size_t count);

#endif
