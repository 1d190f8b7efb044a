/* SPDX-License-Identifier: Apache-2.0 */
/* What an end does, drawn at random. */
#include "ends.h"

#include "base/clock.h"
#include "stream.h"

#define BYTES_MAX (UINT64_C(2) * 1024 * 1024)
#define FEW_BYTES_MAX (UINT64_C(20) * 1000)
#define CHUNKS_MAX 2000 /* of one direction: smaller ones would take a script's time */
#define PAUSES_NS_MAX (1500 * NS_PER_MS)

/* With less, the kernel drops what a window had allowed, and sends it again when its timers say so:
 * some sessions take 20 s. */
#define RECEIVE_BUFFER_LEAST 24000
#define SEND_BUFFER_LEAST 8192

struct dice {
	uint64_t seed, rolls;
};

static uint64_t roll(struct dice *dice, uint64_t sides)
{
	return stream_word(dice->seed, dice->rolls++) % sides;
}

static bool one_in(struct dice *dice, uint64_t sides)
{
	return roll(dice, sides) == 0;
}

/* 1 to `max`; each order of magnitude is as likely as another. */
static uint64_t roll_magnitude(struct dice *dice, uint64_t max)
{
	unsigned int bits = 64 - (unsigned int)__builtin_clzll(max);

	return 1 + roll(dice, max >> roll(dice, bits));
}

static enum ending roll_ending(struct dice *dice, bool may_be_second)
{
	uint64_t percent = roll(dice, 100);

	if (percent < 40)
		return ENDING_FIN;
	if (percent < 52)
		return may_be_second ? ENDING_FIN_SECOND : ENDING_FIN;
	if (percent < 74)
		return ENDING_RESET;
	if (percent < 92)
		return ENDING_CLOSE;
	return ENDING_FIN_RESET;
}

bool leaves(const struct script *script)
{
	return script->ending >= ENDING_RESET;
}

/* One that leaves always sends its header: only two that end in order may never know each other. */
static uint64_t roll_total(struct dice *dice, const struct script *script)
{
	uint64_t kind = roll(dice, 10);

	if (kind == 0 && !leaves(script))
		return 0;
	return sizeof(struct header) + roll_magnitude(dice, kind < 5 ? FEW_BYTES_MAX : BYTES_MAX);
}

static struct pace roll_pace(struct dice *dice, uint64_t bytes_max)
{
	struct pace pace = { .chunk_bytes = CHUNK_BYTES_MAX };
	uint64_t pauses;

	if (one_in(dice, 2))
		pace.chunk_bytes = bytes_max / CHUNKS_MAX + roll_magnitude(dice, 128 * 1024);
	if (one_in(dice, 3)) {
		pace.pause_every = 1 + roll(dice, 20);
		pace.pause_ns = roll_magnitude(dice, 4 * NS_PER_MS);
		pauses = bytes_max / pace.chunk_bytes / pace.pause_every;
		if (pauses * pace.pause_ns > PAUSES_NS_MAX)
			pace.pause_ns = PAUSES_NS_MAX / pauses;
	}
	return pace;
}

/* All but the first bytes, which tell who it is. */
static void roll_urgent(struct dice *dice, struct script *script)
{
	const uint64_t first = sizeof(struct header);

	if (script->total <= first || !one_in(dice, 5))
		return;
	script->urgents = 1 + (unsigned int)roll(dice, URGENT_MAX);
	for (unsigned int i = 0; i < script->urgents; i++)
		script->urgent[i] = first + roll(dice, script->total - first);
}

void roll_script(struct script *script, uint64_t seed, bool may_be_second)
{
	struct dice dice = { .seed = seed };

	script->seed = seed;
	script->ending = roll_ending(&dice, may_be_second);
	script->total = roll_total(&dice, script);
	script->write = roll_pace(&dice, script->total);
	if (one_in(&dice, 3))
		script->write.start_ns = roll_magnitude(&dice, 8 * NS_PER_MS);
	script->read = roll_pace(&dice, BYTES_MAX);
	if (one_in(&dice, 4))
		script->read.start_ns = roll_magnitude(&dice, 300 * NS_PER_MS);
	script->read_stop = UINT64_MAX;
	if (leaves(script) && one_in(&dice, 2))
		script->read_stop = one_in(&dice, 2) ? 0 : roll_magnitude(&dice, BYTES_MAX);
	if (one_in(&dice, 2))
		script->end_delay_ns = roll_magnitude(&dice, 20 * NS_PER_MS);
	if (one_in(&dice, 4))
		script->receive_buffer = RECEIVE_BUFFER_LEAST + (int)roll(&dice, 60000);
	if (one_in(&dice, 6))
		script->send_buffer = SEND_BUFFER_LEAST + (int)roll(&dice, 60000);
	script->no_delay = one_in(&dice, 2);
	roll_urgent(&dice, script);
}
