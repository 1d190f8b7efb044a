/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A bounded queue between threads: any thread may put, one takes, and nobody waits for anybody.
 *
 * There is no lock that a thread could be stopped with: each place has a number that says whose turn
 * it is, as in Dmitry Vyukov's bounded queue. A place that was claimed and is not filled yet hides
 * those behind it for that long.
 */
#ifndef FAIRLEAD_BASE_QUEUE_H
#define FAIRLEAD_BASE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Padding is what it is for. NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding) */
struct queue {
	/* Two lines of the cache: of those who put, and of the one who takes. */
	_Alignas(64) _Atomic uint32_t put;
	_Alignas(64) uint32_t taken;
	uint32_t room; /* a power of two */
	uint8_t *places;
	size_t place_bytes;
};

/* room is a power of two. Returns 0 or -ENOMEM. */
int queue_init(struct queue *queue, uint32_t room, size_t item_bytes);
void queue_fini(struct queue *queue);

/* A place to fill in, whose number is then to be given to queue_put(); NULL: there is no room. */
void *queue_claim(struct queue *queue, uint32_t *ret_number);
void queue_put(struct queue *queue, uint32_t number);

/* The first that was put, until queue_release(); NULL: there is none. */
const void *queue_first(const struct queue *queue);
void queue_release(struct queue *queue);

#endif
