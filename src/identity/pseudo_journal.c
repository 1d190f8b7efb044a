/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/pseudo_journal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "wire/crc32c.h"

static const char magic[16] = "fairlead pseudo1";

/* A record as it is in the file. */
struct place {
	uint64_t number; /* of the record, from 1 on */
	struct pseudo_record record;
	uint32_t checksum; /* of all before it */
};

struct pseudo_journal_file {
	char magic[16];
	_Atomic uint64_t done; /* records that the store has */
	uint8_t unused[4096 - 24];
	struct place places[PSEUDO_JOURNAL_ROOM];
};

_Static_assert(sizeof(struct place) <= 64, "pseudo_journal: 4 MiB in all");

static uint32_t checksum_of(const struct place *place)
{
	return crc32c(0, (const uint8_t *)place, offsetof(struct place, checksum));
}

static struct place *place_of(const struct pseudo_journal *journal, uint64_t number)
{
	return &journal->file->places[(number - 1) % PSEUDO_JOURNAL_ROOM];
}

/*
 * The records behind those that are done, up to the first that was not written whole. Those behind
 * that one, which a power cut may leave, are taken away: they would else follow on what is written
 * in its place, as if they were younger.
 */
static uint64_t find_end(const struct pseudo_journal *journal)
{
	uint64_t done = journal->file->done, end = done;

	while (end - done < PSEUDO_JOURNAL_ROOM) {
		const struct place *place = place_of(journal, end + 1);

		if (place->number != end + 1 || place->checksum != checksum_of(place))
			break;
		end++;
	}
	for (uint64_t number = end + 1; number - done <= PSEUDO_JOURNAL_ROOM; number++)
		if (place_of(journal, number)->number == number)
			place_of(journal, number)->number = 0;
	return end;
}

/* Whether nothing was ever written: making it has not come to its end. */
static bool is_begun(int fd, off_t size)
{
	static const char none[sizeof(magic)];
	char begin[sizeof(magic)];
	ssize_t length = pread(fd, begin, sizeof(begin), 0);

	return size < (off_t)sizeof(struct pseudo_journal_file) && length >= 0 &&
	       memcmp(begin, none, (size_t)length) == 0;
}

static int check_size(int fd, const char *path, struct error *err)
{
	struct stat status;
	int r;

	if (fstat(fd, &status) < 0)
		return error_set(err, -errno, "%.150s: %s", path, error_name(errno));
	if (status.st_size == (off_t)sizeof(struct pseudo_journal_file))
		return 0;
	if (!is_begun(fd, status.st_size))
		return error_set(err, -EINVAL,
				 "%.150s is no journal of pseudo-IPv4 addresses: move it away",
				 path);
	r = -posix_fallocate(fd, 0, sizeof(struct pseudo_journal_file));
	if (r == 0)
		return 0;
	(void)ftruncate(fd, 0);
	return error_set(err, r, "%.150s: no room for it: %s", path, error_name(r));
}

static int check_magic(struct pseudo_journal *journal, const char *path, struct error *err)
{
	static const char none[sizeof(magic)];
	struct pseudo_journal_file *file = journal->file;

	if (memcmp(file->magic, none, sizeof(none)) == 0)
		memcpy(file->magic, magic, sizeof(magic));
	if (memcmp(file->magic, magic, sizeof(magic)) == 0)
		return 0;
	return error_set(err, -EINVAL,
			 "%.150s is no journal of pseudo-IPv4 addresses: move it away", path);
}

int pseudo_journal_open(struct pseudo_journal *journal, const char *path, struct error *err)
{
	OWNED_FD fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	void *memory;
	int r;

	*journal = (struct pseudo_journal){ .lock = -1 };
	if (fd < 0)
		return error_set(err, -errno, "%.150s: %s", path, error_name(errno));
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return error_set(
			err, -errno,
			"%.150s is another process's: end that, or use another pseudo_store", path);
	r = check_size(fd, path, err);
	if (r < 0)
		return r;
	memory = mmap(NULL, sizeof(struct pseudo_journal_file), PROT_READ | PROT_WRITE, MAP_SHARED,
		      fd, 0);
	if (memory == MAP_FAILED)
		return error_set(err, -errno, "%.150s: mmap: %s", path, error_name(errno));
	journal->file = memory;
	journal->lock = fd_take(&fd);
	r = check_magic(journal, path, err);
	if (r < 0) {
		pseudo_journal_close(journal);
		return r;
	}
	journal->written = find_end(journal);
	return 0;
}

void pseudo_journal_close(struct pseudo_journal *journal)
{
	if (!journal->file)
		return;
	(void)munmap(journal->file, sizeof(struct pseudo_journal_file));
	journal->file = NULL;
	fd_close(&journal->lock);
}

uint64_t pseudo_journal_waiting(const struct pseudo_journal *journal)
{
	return journal->file ? journal->written - journal->file->done : 0;
}

int pseudo_journal_write(struct pseudo_journal *journal, const struct pseudo_record *record)
{
	struct place place;

	if (!journal->file)
		return 0;
	if (pseudo_journal_waiting(journal) >= PSEUDO_JOURNAL_ROOM)
		return -EAGAIN;
	memset(&place, 0, sizeof(place));
	place.number = journal->written + 1;
	place.record = *record;
	place.checksum = checksum_of(&place);
	memcpy(place_of(journal, place.number), &place, sizeof(place));
	atomic_store_explicit(&journal->written, place.number, memory_order_release);
	return 0;
}

size_t pseudo_journal_read(const struct pseudo_journal *journal, struct pseudo_record *records,
			   size_t most)
{
	uint64_t waiting = pseudo_journal_waiting(journal);
	size_t count = waiting < most ? (size_t)waiting : most;

	for (size_t i = 0; i < count; i++)
		records[i] = place_of(journal, journal->file->done + 1 + i)->record;
	return count;
}

void pseudo_journal_done(struct pseudo_journal *journal, size_t count)
{
	journal->file->done += count;
}
