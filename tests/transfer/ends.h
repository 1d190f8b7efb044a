/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of `ends` have in common; ends.c tells what it is. */
#ifndef FAIRLEAD_TESTS_TRANSFER_ENDS_H
#define FAIRLEAD_TESTS_TRANSFER_ENDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNK_BYTES_MAX (UINT64_C(256) * 1024)
#define URGENT_MAX 3

enum { CLIENT, SERVER, SIDES };

/* Those from ENDING_RESET on leave the other without waiting for its end. */
enum ending {
	ENDING_FIN,
	ENDING_FIN_SECOND, /* only after the other's FIN */
	ENDING_RESET,	   /* all is sent and confirmed */
	ENDING_CLOSE,	   /* as well, with whatever is unread */
	ENDING_FIN_RESET,  /* both, the second once the first is confirmed */
};

struct pace {
	uint64_t start_ns; /* after the session's begin */
	uint64_t chunk_bytes;
	uint64_t pause_ns; /* after every so many chunks; 0: none */
	uint64_t pause_every;
};

struct script {
	uint64_t seed;
	enum ending ending;
	uint64_t total; /* that it sends; 0, or enough for its header */
	struct pace read, write;
	uint64_t read_stop; /* reads no more than so many bytes */
	uint64_t end_delay_ns;
	int receive_buffer, send_buffer; /* 0: as the kernel likes */
	bool no_delay;
	uint64_t urgent[URGENT_MAX]; /* where a byte of urgent data is */
	unsigned int urgents;
};

/* What each stream begins with, in place of its first bytes. */
struct header {
	uint64_t number, total;
};

struct end {
	struct script script;
	uint64_t number; /* of the client 2 * n, of a server 2 * n + 1, of another n */
	struct end *peer;
	struct header met; /* of the peer, once `received` is as much */
	int fd;		   /* -1: has ended */
	uint64_t sent, received, reads, writes;
	uint64_t begun_ns, moved_ns, read_after_ns, write_after_ns;
	uint64_t leave_ns; /* all is confirmed, and this is when it leaves; 0: not yet */
	int unconfirmed, unread;
	int read_error, write_error;
	bool eof, shut;
	bool confirmed; /* has left by its script, after all was confirmed */
	bool mangled;	/* has received what was not sent */
	bool hung;
};

/* All that a run knows in the end. */
struct run {
	struct end *ends;      /* by number */
	uint64_t begun[SIDES]; /* ends of each side */
	uint64_t seed;
};

struct results {
	uint64_t checked, bytes, unmatched, faults, hangs;
};

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Whether it leaves the other without waiting for its end. */
bool leaves(const struct script *script);

/* Draws a script, which is the same for the same seed. */
void roll_script(struct script *script, uint64_t seed, bool may_be_second);

/* Finds out who has met whom, and holds what each has seen against both scripts. Prints faults. */
void judge(const struct run *of, struct results *ret);

#endif
