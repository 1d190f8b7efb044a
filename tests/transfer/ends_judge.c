/* SPDX-License-Identifier: Apache-2.0 */
/* What is wrong with what both ends of a session have seen. */
#include "ends.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const char *const side_names[] = { "client", "server" };

static const char *const ending_names[] = { "fin", "fin-second", "reset", "close", "fin-reset" };

static const struct run *run;
static struct results *results;

static bool saw_reset(const struct end *end)
{
	return end->read_error || end->write_error;
}

/* What is wrong with what `to` has seen of `from`; NULL: nothing. */
static const char *fault_of(const struct end *from, const struct end *to)
{
	const enum ending ending = from->script.ending;

	if (to->mangled)
		return "bytes are not what was sent";
	if (to->received > from->script.total)
		return "more bytes than were sent";
	if (leaves(&to->script) || from->hung || to->hung)
		return NULL;
	if (!leaves(&from->script) && saw_reset(to))
		return "a reset, and both ended in order";
	if (leaves(&from->script) && !from->confirmed)
		return NULL;
	if (to->received != from->script.total)
		return "bytes were lost";
	if (leaves(&from->script) && !saw_reset(to) &&
	    (ending == ENDING_RESET || (ending == ENDING_CLOSE && from->unread > 0)))
		return "a reset became a clean end";
	return NULL;
}

static void describe(const struct end *end)
{
	const struct script *script = &end->script;

	printf("    %s %" PRIu64 ": %s; sent %" PRIu64 " of %" PRIu64 ", received %" PRIu64 "%s%s",
	       side_names[end->number % SIDES], end->number / SIDES, ending_names[script->ending],
	       end->sent, script->total, end->received, end->eof ? ", saw the end" : "",
	       end->confirmed ? ", all confirmed" : "");
	if (end->read_error)
		printf(", reading: %s", strerror(end->read_error));
	if (end->write_error)
		printf(", writing: %s", strerror(end->write_error));
	printf("; unread %d, unconfirmed %d, urgent %u, buffers %d %d\n", end->unread,
	       end->unconfirmed, script->urgents, script->receive_buffer, script->send_buffer);
}

static void print_again(const struct end *end)
{
	if (end)
		printf(" --%s-script %" PRIu64, side_names[end->number % SIDES], end->script.seed);
}

/* `other` may be NULL: it is not known. */
static void report(const struct end *end, const char *what, const struct end *other)
{
	printf("%s: %s; again: --seed %" PRIu64, side_names[end->number % SIDES], what, run->seed);
	print_again(end);
	print_again(other);
	printf(" --sessions 1\n");
	describe(end);
	if (other)
		describe(other);
}

static void fault(const struct end *end, const char *what, const struct end *other)
{
	results->faults++;
	report(end, what, other);
}

/* Makes those two peers that know of each other, if only one does. */
static void find_peer(struct end *end)
{
	uint64_t number = end->met.number, side = number % SIDES;
	struct end *peer;

	if (end->received < sizeof(end->met))
		return;
	if (number / SIDES >= run->begun[side] || side == end->number % SIDES ||
	    run->ends[number].script.total != end->met.total) {
		fault(end, "what came is from nobody", NULL);
		return;
	}
	peer = &run->ends[number];
	if ((end->peer && end->peer != peer) || (peer->peer && peer->peer != end))
		fault(end, "met one who has met another", peer);
	end->peer = peer;
	peer->peer = end;
}

static void check_pair(const struct end *client, const struct end *server)
{
	const char *up = fault_of(client, server), *down = fault_of(server, client);

	results->checked++;
	results->bytes += client->received + server->received;
	if (up)
		fault(server, up, client);
	if (down)
		fault(client, down, server);
}

/* Two that end in order and send nothing never know each other. Of others, at least one that reads
 * on has the other's header, or that was lost. */
static bool is_silent(const struct end *end)
{
	return !leaves(&end->script) && end->script.total == 0 && end->received == 0 && end->eof &&
	       !saw_reset(end);
}

static void judge_side(int side, uint64_t *ret_silent)
{
	for (uint64_t i = 0; i < run->begun[side]; i++) {
		const struct end *end = &run->ends[2 * i + (uint64_t)side];

		if (end->hung) {
			results->hangs++;
			report(end, "hangs", end->peer);
		} else if (end->peer && side == CLIENT) {
			check_pair(end, end->peer);
		} else if (!end->peer && is_silent(end)) {
			(*ret_silent)++;
		} else if (!end->peer && !leaves(&end->script)) {
			fault(end, "nothing came of a session", NULL);
		} else if (!end->peer) {
			results->unmatched++;
		}
	}
}

void judge(const struct run *of, struct results *ret)
{
	uint64_t silent[SIDES] = { 0 };

	run = of;
	results = ret;
	for (int side = CLIENT; side < SIDES; side++)
		for (uint64_t i = 0; i < run->begun[side]; i++)
			find_peer(&run->ends[2 * i + (uint64_t)side]);
	for (int side = CLIENT; side < SIDES; side++)
		judge_side(side, &silent[side]);
	if (results->hangs == 0 && silent[CLIENT] != silent[SERVER]) {
		results->faults++;
		printf("%" PRIu64 " clients and %" PRIu64 " servers sent nothing and saw nothing\n",
		       silent[CLIENT], silent[SERVER]);
	}
	results->checked += least(silent[CLIENT], silent[SERVER]);
}
