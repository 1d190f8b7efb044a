/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libnftables ends the process where it cannot open its socket, so it is asked nothing before the
 * kernel has answered a question of our own, and then one context is kept: a check later on opens
 * nothing.
 */
#include "identity/pool_guard.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>

#include "identity/nftables.h"

#define COMMANDS_MAX 2048

/* Adding it first makes that no error where there is none. */
#define DELETE "add table ip " POOL_GUARD_TABLE "\ndelete table ip " POOL_GUARD_TABLE "\n"

/* A source that is translated first, to what it is, is not translated by anybody else. */
#define SHIELD                                                                 \
	"  chain postrouting {\n"                                              \
	"    type nat hook postrouting priority srcnat - 10; policy accept;\n" \
	"    ip saddr %s snat to ip saddr comment \"stays what it is\"\n"      \
	"  }\n"

/*
 * Both with the pool in place of %s. A header that is not all in a first fragment matches nothing, so
 * whatever lets pass is said, and the rest ends in a refusal.
 */
#define BY_SOCKETS                                                         \
	DELETE                                                             \
	"table ip " POOL_GUARD_TABLE " {\n"                                \
	"  chain prerouting {\n"                                           \
	"    type filter hook prerouting priority raw; policy accept;\n"   \
	"    ip daddr %s goto pool comment \"pseudo-IPv4 addresses\"\n"    \
	"  }\n"                                                            \
	"  chain pool {\n"                                                 \
	"    ip frag-off & 0x1fff != 0 accept comment \"not the first\"\n" \
	"    tcp flags & (syn | ack) != syn accept comment \"no begin\"\n" \
	"    meta l4proto tcp reject with tcp reset\n"                     \
	"    socket wildcard 0 accept comment \"bound to this address\"\n" \
	"    icmp type echo-reply accept comment \"to pool_reach\"\n"      \
	"    meta l4proto udp reject with icmp type port-unreachable\n"    \
	"    drop\n"                                                       \
	"  }\n"

/* Behind connection tracking (-200), and before translation (-100). */
#define BY_TRACKING                                                         \
	DELETE                                                              \
	"table ip " POOL_GUARD_TABLE " {\n"                                 \
	"  chain prerouting {\n"                                            \
	"    type filter hook prerouting priority mangle; policy accept;\n" \
	"    ip daddr %s goto pool comment \"pseudo-IPv4 addresses\"\n"     \
	"  }\n"                                                             \
	"  chain pool {\n"                                                  \
	"    ct direction reply accept\n"                                   \
	"    ct state related accept\n"                                     \
	"    drop\n"                                                        \
	"  }\n"

static int cannot(int r, struct error *err)
{
	switch (r) {
	case -EPERM:
		return error_set(err, r,
				 "pseudo-IPv4 addresses need a guard in nftables, and to set it "
				 "this process needs CAP_NET_ADMIN");
	case -EAFNOSUPPORT:
		return error_set(
			err, r,
			"pseudo-IPv4 addresses need a guard in nftables, and this process "
			"may not use netlink: add AF_NETLINK to RestrictAddressFamilies of "
			"its unit");
	case -EPROTONOSUPPORT:
	case -EOPNOTSUPP:
	case -EINVAL:
		return error_set(err, -EOPNOTSUPP,
				 "pseudo-IPv4 addresses need a guard in nftables, and this kernel "
				 "has none: load the module nf_tables");
	default:
		return error_set(err, r, "the guard of pseudo-IPv4 addresses: nftables: %s",
				 error_name(r));
	}
}

static int failed(struct nft_ctx *nft, struct error *err)
{
	char said[NFTABLES_SAID_MAX];

	return error_set(err, -EOPNOTSUPP,
			 "the guard of pseudo-IPv4 addresses cannot be set in nftables: %s",
			 nftables_said(nft, said));
}

static int open_context(struct nft_ctx **ret, struct error *err)
{
	int r = nftables_find_table(NFPROTO_IPV4, POOL_GUARD_TABLE);

	if (r < 0 && r != -ENOENT)
		return cannot(r, err);
	*ret = nftables_new();
	if (!*ret)
		return cannot(-ENOMEM, err);
	nft_ctx_output_set_flags(*ret, NFT_CTX_OUTPUT_STATELESS);
	return 0;
}

/* False also where it is not there. */
static bool list_table(struct pool_guard *guard, char listed[POOL_GUARD_LISTED_MAX])
{
	int length;

	if (nft_run_cmd_from_buffer(guard->nft, "list table ip " POOL_GUARD_TABLE) != 0)
		return false;
	length = snprintf(listed, POOL_GUARD_LISTED_MAX, "%s",
			  nft_ctx_get_output_buffer(guard->nft));
	return length > 0 && length < POOL_GUARD_LISTED_MAX;
}

/* In what nft(8) lists: whether a table but ours translates sources on their way out. */
static bool lists_translation(const char *listed)
{
	bool is_ours = false;

	for (const char *line = listed; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, "table ", 6) == 0)
			is_ours = strncmp(line, "table ip " POOL_GUARD_TABLE " {",
					  sizeof("table ip " POOL_GUARD_TABLE " {") - 1) == 0;
		else if (!is_ours &&
			 strncmp(line + strspn(line, "\t "), "type nat hook postrouting", 25) == 0)
			return true;
	}
	return false;
}

/* iptables that does not use nftables names its tables in a file, which not everybody may read. */
static bool has_iptables_nat(void)
{
	FILE *file = fopen("/proc/self/net/ip_tables_names", "re");
	bool found = false;
	char name[32];

	if (!file)
		return errno == EACCES;
	while (!found && fgets(name, sizeof(name), file))
		found = strcmp(name, "nat\n") == 0;
	(void)fclose(file);
	return found;
}

/* Whether somebody else translates sources. It needs connection tracking, so it is on then anyway. */
static bool is_translated(struct nft_ctx *nft)
{
	static const char *const families[] = { "list chains ip", "list chains inet" };

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (nft_run_cmd_from_buffer(nft, families[i]) == 0 &&
		    lists_translation(nft_ctx_get_output_buffer(nft)))
			return true;
	return has_iptables_nat();
}

static int set_kind(struct pool_guard *guard, enum pool_guard_kind kind, struct error *err)
{
	char commands[COMMANDS_MAX], pool[PREFIX_TEXT_MAX];
	size_t length;

	prefix_format(&guard->pool, pool);
	if (kind == POOL_GUARD_SOCKETS)
		length = (size_t)snprintf(commands, sizeof(commands), BY_SOCKETS, pool);
	else
		length = (size_t)snprintf(commands, sizeof(commands), BY_TRACKING, pool);
	guard->shields = is_translated(guard->nft);
	if (guard->shields)
		length += (size_t)snprintf(commands + length, sizeof(commands) - length, SHIELD,
					   pool);
	(void)snprintf(commands + length, sizeof(commands) - length, "}\n");
	if (nft_run_cmd_from_buffer(guard->nft, commands) != 0)
		return failed(guard->nft, err);
	guard->kind = kind;
	return list_table(guard, guard->listed) ? 0 : failed(guard->nft, err);
}

int pool_guard_open(struct pool_guard *guard, const struct prefix *pool, enum pool_guard_kind kind,
		    struct error *err)
{
	int r;

	guard->pool = *pool;
	r = open_context(&guard->nft, err);
	if (r < 0)
		return r;
	r = set_kind(guard, kind, err);
	if (r < 0 && kind == POOL_GUARD_SOCKETS)
		r = set_kind(guard, POOL_GUARD_TRACKING, err);
	if (r < 0)
		nft_ctx_free(guard->nft);
	return r;
}

void pool_guard_close(struct pool_guard *guard)
{
	(void)nft_run_cmd_from_buffer(guard->nft, DELETE);
	nft_ctx_free(guard->nft);
}

int pool_guard_check(struct pool_guard *guard, struct error *err)
{
	char listed[POOL_GUARD_LISTED_MAX];
	int r;

	if (list_table(guard, listed) && strcmp(listed, guard->listed) == 0 &&
	    is_translated(guard->nft) == guard->shields)
		return 0;
	r = set_kind(guard, guard->kind, err);
	return r < 0 ? r : 1;
}

int pool_guard_remove(struct error *err)
{
	struct nft_ctx *nft = NULL;
	int r = nftables_find_table(NFPROTO_IPV4, POOL_GUARD_TABLE);

	if (r == -ENOENT)
		return 0;
	r = open_context(&nft, err);
	if (r < 0 || !nft)
		return r;
	r = nft_run_cmd_from_buffer(nft, DELETE) == 0 ? 1 : failed(nft, err);
	nft_ctx_free(nft);
	return r;
}
