/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The programs that translate (translate.bpf.c): loaded, attached to links, and their maps.
 *
 * tc filters of ours have a handle and a priority of their own; filters of others stay as they are.
 * One thread at a time.
 */
#ifndef FAIRLEAD_KERNEL_TRANSLATOR_H
#define FAIRLEAD_KERNEL_TRANSLATOR_H

#include <stdbool.h>

#include "base/error.h"
#include "kernel/inside.h"
#include "kernel/maps.h"
#include "net/prefix.h"
#include "net/protocol.h"

struct translate;
struct ring_buffer;

struct translator_settings {
	struct prefix pool, transit;
	struct inside inside;
	uint32_t mtu; /* of IPv4, for what then fits to clients */

	/* A packet of a client that has no address yet; it may be changed. */
	void (*called_up)(void *context, struct upcall *upcall);
	void *context;
};

#define TRANSLATOR_LINKS_MAX 256

struct translator {
	struct translator_settings settings;
	struct translate *programs;
	struct ring_buffer *upcalls;
	struct translator_link {
		uint32_t ifindex;
		bool made_qdisc;
	} links[TRANSLATOR_LINKS_MAX]; /* those of others that have a filter of ours */
	uint32_t links_count;
};

/*
 * Loads the programs, and attaches those of the devices inside. Returns 0 or -errno with a sentence;
 * to be closed in either case.
 */
int translator_open(struct translator *translator, const struct translator_settings *settings,
		    struct error *err);
void translator_close(struct translator *translator);

/*
 * A link to clients, or to containers. Returns 0 or -errno, -ENOSPC where there are too many. May be
 * called again and again: a filter that somebody has taken away is there then, and one that an
 * earlier run has left is replaced.
 */
int translator_attach_uplink(struct translator *translator, uint32_t ifindex, bool has_header);
int translator_attach_containers(struct translator *translator, uint32_t ifindex);

/*
 * An address of the host's at which clients find a container. Packets are sent to `aim`, which is the
 * container, or stands for it (forwarding.h). Returns 0 or -errno.
 */
int translator_publish(struct translator *translator, enum protocol protocol,
		       const struct address *host, const struct address *container,
		       const struct address *aim, uint32_t rule);

int translator_add_client(struct translator *translator, const struct address *client,
			  const struct address *pseudo);
int translator_remove_client(struct translator *translator, const struct address *client);

/* To be waited for; then translator_take_upcalls() calls called_up. */
int translator_upcall_fd(const struct translator *translator);
void translator_take_upcalls(struct translator *translator);

/*
 * Ends flows that have ended, or that nothing was seen of for so long, and shows the clients of
 * those that go on.
 */
struct flow_limits {
	uint64_t now_ns, tcp_idle_ns, udp_idle_ns;
};
void translator_sweep(struct translator *translator, const struct flow_limits *limits,
		      void (*goes_on)(void *context, const struct address *client), void *context);

#endif
