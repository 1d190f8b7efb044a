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
#include "kernel/filter.h"
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

	/*
	 * For how long packets of a flow go straight to their container, after the chain FORWARD has
	 * let one of them pass. 0: all go there.
	 */
	uint64_t recheck_ns;

	/*
	 * Where connections are kept for the next run: a directory in a BPF file system (bpf(2),
	 * BPF_OBJ_PIN), which need not be there itself. NULL: they are not.
	 */
	const char *pins;

	/* A packet of a client that has no address yet; it may be changed. */
	void (*called_up)(void *context, struct upcall *upcall);
	void *context;
};

#define TRANSLATOR_LINKS_MAX 512

struct translator {
	struct translator_settings settings;
	struct translate *programs; /* NULL: it is closed */
	struct ring_buffer *upcalls;
	struct translator_link {
		uint32_t ifindex;
		enum filter_place place;
		bool made_qdisc;
	} links[TRANSLATOR_LINKS_MAX]; /* those of others that have a filter of ours */
	uint32_t links_count;
	void *batch; /* what flows are read into */
};

/*
 * Loads the programs, and attaches those of the devices inside. Returns 0 or -errno with a sentence;
 * to be closed in either case.
 */
int translator_open(struct translator *translator, const struct translator_settings *settings,
		    struct error *err);

/* keeps: what is attached and pinned stays, for the next run. */
void translator_close(struct translator *translator, bool keeps);

/*
 * A link to clients, or to containers. Returns 0 or -errno, -ENOSPC where there are too many. May be
 * called again and again: a filter that somebody has taken away is there then, and one that an
 * earlier run has left is replaced.
 */
int translator_attach_uplink(struct translator *translator, uint32_t ifindex, bool has_header);
int translator_attach_containers(struct translator *translator, uint32_t ifindex);

/* Takes ours away from what was a link to clients, if it has one. */
void translator_detach_uplink(struct translator *translator, uint32_t ifindex);

/*
 * A port at an address of the host's, where clients find a container. Packets are sent to `aim`,
 * which is the container, or stands for it (forwarding.h).
 */
struct translator_service {
	enum protocol protocol;
	bool filtered; /* by filters of this number */
	uint32_t number;
	uint32_t link; /* that leads to the container: answers come by it */
	struct address host, container, aim;
};

/* Returns 0 or -errno. */
int translator_publish(struct translator *translator, const struct translator_service *service);
void translator_withdraw(struct translator *translator, const struct translator_service *service);

/* Clients of a prefix may come, or not. Returns 0 or -errno, -ENOSPC where there are too many. */
int translator_filter(struct translator *translator, uint32_t number, const struct prefix *prefix,
		      bool allows);
void translator_unfilter(struct translator *translator, uint32_t number,
			 const struct prefix *prefix);

/* Without a pseudo address (AF_UNSPEC), it is left to the relay. */
int translator_add_client(struct translator *translator, const struct address *client,
			  const struct address *pseudo);
void translator_remove_client(struct translator *translator, const struct address *client);

/* Shows those that there are. What is shown may be added or removed meanwhile. */
void translator_list_clients(struct translator *translator,
			     void (*take)(void *context, const struct address *client,
					  const struct address *pseudo),
			     void *context);

/* To be waited for; then translator_take_upcalls() calls called_up. */
int translator_upcall_fd(const struct translator *translator);
void translator_take_upcalls(struct translator *translator);

/* Shows all flows, first what clients have sent, then what was sent to them. */
struct translator_reader {
	void (*take_from_client)(void *context, const struct flow6_key *key,
				 const struct flow6 *flow);
	void (*take_to_client)(void *context, const struct flow6_key *key,
			       const struct flow4 *flow);
	void *context;
};

/* Returns 0 or -errno. */
int translator_read_flows(struct translator *translator, const struct translator_reader *reader);

/* The key of the other direction. */
struct flow4_key translator_answers_of(const struct flow6_key *key, __be32 pseudo, __be32 target,
				       __be16 target_port);

/* Forgets a flow; or has what else comes of it reset by the host. */
void translator_forget_flow(struct translator *translator, const struct flow6_key *key,
			    const struct flow4_key *answers);
void translator_stop_flow(struct translator *translator, const struct flow6_key *key,
			  const struct flow4_key *answers);

void translator_count(const struct translator *translator, uint64_t ret[TRANSLATOR_COUNTERS]);

/* Takes away what earlier runs have left, filters on all links and pins. Returns how many. */
int translator_cleanup(const char *pins);

#endif
