/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
/*
 * The load of the benchmark: one program that is the backend (`load serve`), the clients and what
 * starts proxies one after the other (`load ports`).
 *
 * A client measures a window: `warmup` seconds are not counted, then `seconds` are. What is
 * delivered is counted where it arrives. The backend counts into a file that the client maps, as
 * both run on one machine; so nothing is asked over the path that is being measured.
 *
 * One backend port serves all kinds of TCP connections. The first byte that a client sends says
 * what it wants:
 *	SINK	the backend discards all that comes
 *	SOURCE	the backend sends until the connection ends
 *	ECHO	the backend sends back what comes
 *	GET	HTTP: a fixed answer to each request; after "GET /close", the backend closes
 * A datagram that begins with ECHO is sent back; any other is counted only.
 *
 * The clients are processes, not threads, so that they share nothing. Each prints one line of JSON.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define SINK 'S'
#define SOURCE 'R'
#define ECHO 'E'

#define REQUEST_KEEP \
	"GET / HTTP/1.1\r\nHost: fairlead.test\r\nUser-Agent: load\r\nAccept: */*\r\n\r\n"
#define REQUEST_CLOSE \
	"GET /close HTTP/1.1\r\nHost: fairlead.test\r\nConnection: close\r\nAccept: */*\r\n\r\n"
#define RESPONSE_HEAD \
	"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 128\r\nServer: load\r\n\r\n"
#define RESPONSE_BODY_BYTES 128
#define RESPONSE_BYTES (sizeof(RESPONSE_HEAD) - 1 + RESPONSE_BODY_BYTES)

#define WORKERS_MAX 64
/* Enough for a connection never to wait for the end that discards. */
#define CHUNK_BYTES (256 * 1024)
/* One batch of recvmmsg and sendmmsg. */
#define BATCH 64
#define DATAGRAM_MAX_BYTES 2048

struct options {
	const char *address;  /* of the peer; serve: to listen at */
	const char *program;  /* ports: what is started */
	const char *listen;   /* ports: -host-ip */
	const char *proto;    /* ports: -proto */
	const char *source;   /* the client's own address; NULL: any */
	const char *counters; /* file of the backend's counters */
	long port;
	long source_port; /* where there is a source; 0: any */
	long connections; /* or UDP clients */
	long size;	  /* of a datagram or an echoed message, in bytes */
	long window;	  /* datagrams under way for each client; 0: no reply is waited for */
	long count;	  /* of ports, or of flows */
	long workers;	  /* processes among which connections are shared out */
	long reverse;	  /* the backend sends */
	double seconds;
	double warmup;
};

/* support.c: failing ends the process, as nothing can be measured then. */
uint64_t now_ns(void);
_Noreturn void fail(const char *what);
/* As fail, without an errno. */
_Noreturn void refuse(const char *what);
void *allocate(size_t count, size_t size);
int open_socket(const struct options *options, int kind, struct sockaddr_storage *address,
		socklen_t *length);
/* A connected socket; TCP has no delay and times out. */
int connect_to(const struct options *options, int kind);
void set_option(int fd, int level, int option, int value);
void set_nonblocking(int fd);
void send_whole(int fd, const void *data, size_t bytes);
void receive_whole(int fd, void *data, size_t bytes);
void raise_descriptor_limit(void);
/* Prints "ready" and waits until standard input ends. */
void hold(void);

/* counters.c: of the backend, summed over its processes. */
struct counters {
	_Atomic uint64_t bytes;
	_Atomic uint64_t datagrams;
	char unshared[48]; /* from the next process's, by a cache line */
};

struct counters *counters_map(const char *path, bool create);
void counters_sum(const struct counters *all, uint64_t *ret_bytes, uint64_t *ret_datagrams);

/* histogram.c: of times in ns; 64 buckets for each power of two, so 1.6 % is the largest error. */
#define HISTOGRAM_BUCKETS (64 * 40)

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS];
	uint64_t total;
};

void histogram_add(struct histogram *histogram, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);
/* The time that a share of all, as 0.99, does not exceed; 0 if there is none. */
uint64_t histogram_at(const struct histogram *histogram, double share);

/* worker.c: the processes of a client, and the window. */
struct result {
	uint64_t total;	  /* since the start */
	uint64_t counted; /* in the window */
	uint64_t failed;
	struct histogram times; /* in the window */
};

struct worker {
	const struct options *options;
	struct result *result;
	long connections;  /* this process's share */
	uint64_t begin_ns; /* of the window */
	uint64_t end_ns;
};

/* Counts one more that is done, which took that long. */
void worker_count(struct worker *worker, uint64_t now, uint64_t took_ns);
/*
 * Runs a client in each process, and prints what came of it. Each client runs until end_ns. It may
 * hold its result back until then: the parent reads it when all have ended.
 */
int workers_run(const struct options *options, void (*client)(struct worker *worker));

/* The modes. */
int serve_run(const struct options *options);
int stream_run(const struct options *options);
int echo_run(const struct options *options);
int http_run(const struct options *options);
int connect_run(const struct options *options);
int hold_run(const struct options *options);
int udp_run(const struct options *options);
int udp_hold_run(const struct options *options);
int udp_open_run(const struct options *options);
int ports_run(const struct options *options);
