/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocking one-to-one SCTP sockets (RFC 6458 section 4) and the messages that cross them.
 *
 * Every call succeeds or ends the process with a sentence: each test is a process of its own.
 */
#ifndef FAIRLEAD_TESTS_SCTP_MESSAGE_H
#define FAIRLEAD_TESTS_SCTP_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The largest message of these tests. */
#define MESSAGE_BYTES_MAX (1024 * 1024)

struct message {
	uint16_t stream;
	uint32_t ppid; /* in the order in which it is on the wire */
	bool unordered;
	size_t length;
	uint8_t *bytes;
};

/* What ended a run of receives. */
enum ending {
	ENDED_IN_ORDER,
	ENDED_BY_RESET,
};

/* Ends the process as failed, with a sentence. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A listener on `host`; port 0 lets the kernel choose. */
int sctp_listen(const char *host, uint16_t port);
uint16_t sctp_port(int fd);
int sctp_connect(const char *host, uint16_t port);
/* The same, for a peer that may abort at once: returns -errno then. */
int sctp_try_connect(const char *host, uint16_t port);
int sctp_accept(int listener);

/* Ends the association with an ABORT. */
void sctp_abort(int fd);

/* Sends one message; its bytes are made from its length and `seed`. */
void message_send(int fd, uint16_t stream, uint32_t ppid, bool unordered, size_t length,
		  uint32_t seed);

/*
 * Receives one whole message into memory of this module, valid until the next call. Returns false
 * when the association has ended, with *ret_ending telling how.
 */
bool message_receive(int fd, struct message *ret, enum ending *ret_ending);

/* Sends a message as it was received. Returns 0 or an errno. */
int message_send_again(int fd, const struct message *message);

/* Ends the process unless the message is the one that message_send() would make of these. */
void message_expect(const struct message *message, uint16_t stream, uint32_t ppid, bool unordered,
		    size_t length, uint32_t seed);

/* The bytes that a message of this seed consists of. */
void message_fill(uint8_t *bytes, size_t length, uint32_t seed);

#endif
