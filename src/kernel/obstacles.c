/* SPDX-License-Identifier: Apache-2.0 */
#include "kernel/obstacles.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "identity/nftables.h"
#include "identity/pool_route.h"

#define NAME_MAX_BYTES 128

/* Of nft(8) itself: how chains are listed. */
#define BLANKS " \t\n"

/* An option of a link, or of "all" or "default". 0 where it cannot be read. */
static int option_of(const char *link, const char *name)
{
	char path[96], value[8] = "";
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%.15s/%s", link, name);
	file = fopen(path, "re");
	if (!file)
		return 0;
	(void)!fgets(value, sizeof(value), file);
	(void)fclose(file);
	return value[0] - '0';
}

int obstacle_to_container(const struct address *container, uint32_t *ret_ifindex, struct error *err)
{
	char text[ADDRESS_TEXT_MAX];
	struct pool_way way;
	int r = pool_route_find_way(container, &way);

	if (r < 0)
		return error_set(err, r, "there is no way to the container %s: %s",
				 address_format_ip(container, text), error_name(r));
	*ret_ifindex = if_nametoindex(way.device);
	if (*ret_ifindex == 0 || way.is_local)
		return error_set(err, -EHOSTUNREACH,
				 "the kernel path leads to containers, and %s is this host's own",
				 address_format_ip(container, text));
	if (!link_has_ethernet(way.device))
		return error_set(
			err, -EMEDIUMTYPE,
			"the kernel path leads to containers by links of Ethernet, and %s, "
			"the one to %s, is none",
			way.device, address_format_ip(container, text));
	if (option_of(way.device, "forwarding") != 1)
		return error_set(err, -ENONET,
				 "the kernel path needs this host to forward IPv4: set "
				 "net.ipv4.ip_forward=1 with sysctl(8)");
	return 0;
}

/* The greater one of a link's own value and that of all counts. */
static int source_check_of(const char *link)
{
	int own = option_of(link, "rp_filter"), all = option_of("all", "rp_filter");

	return own > all ? own : all;
}

int obstacle_of_link(const struct link_address *link, struct error *err)
{
	char name[IF_NAMESIZE];

	if (!if_indextoname(link->ifindex, name))
		return 0; /* it has gone */
	if (source_check_of(name) == 1)
		return error_set(err, -EXDEV,
				 "the link %s drops what the kernel path makes of clients' packets "
				 "(rp_filter is 1): with net.ipv4.conf.%s.rp_filter=2 it lets them "
				 "pass, see sysctl(8)",
				 name, name);
	if (source_check_of(name) != 0 && !link->has_ipv4)
		return error_set(
			err, -EXDEV,
			"the link %s drops what the kernel path makes of clients' packets, "
			"as it checks sources (rp_filter is 2) and has no IPv4 address: give "
			"it one, or set net.ipv4.conf.all.rp_filter and that of %s to 0",
			name, name);
	if (option_of(name, "forwarding") != 1)
		return error_set(
			err, -EXDEV,
			"the link %s does not forward IPv4: set net.ipv4.ip_forward=1 with "
			"sysctl(8), or net.ipv4.conf.%s.forwarding=1",
			name, name);
	return 0;
}

int obstacle_of_links(struct error *err)
{
	struct link_address *links;
	int count = links_read(&links), r = count > 0 ? -EXDEV : 0;

	for (int i = 0; i < count && r < 0; i++)
		r = obstacle_of_link(&links[i], err);
	if (count >= 0)
		free(links);
	return r;
}

/* Filters of IPv6. */

struct chain {
	const char *family;
	char table[NAME_MAX_BYTES], name[NAME_MAX_BYTES];
};

/* What nft(8) prints of a command. The caller frees it; NULL where it has nothing to say. */
static char *ask(const char *command)
{
	struct nft_ctx *nft = nftables_new();
	char *said = NULL;

	if (nft && nft_run_cmd_from_buffer(nft, command) == 0)
		said = strdup(nft_ctx_get_output_buffer(nft));
	nft_ctx_free(nft);
	return said;
}

/* Lines of a chain: its begin, its kind, its rules, and two ends. */
static bool has_rules(const struct chain *chain)
{
	char command[2 * NAME_MAX_BYTES + 32];
	char *text, *rest, *line;
	int lines = 0;

	(void)snprintf(command, sizeof(command), "list chain %s %s %s", chain->family, chain->table,
		       chain->name);
	text = ask(command);
	line = text ? strtok_r(text, "\n", &rest) : NULL;
	for (; line; line = strtok_r(NULL, "\n", &rest))
		lines += line[strspn(line, BLANKS)] != '}';
	free(text);
	return lines > 3; /* the table, the chain, its kind */
}

static bool is_ours(const struct chain *chain)
{
	return strncmp(chain->table, "fairlead", strlen("fairlead")) == 0;
}

/* The first word behind some others: that of `table ip6 filter {`, say. */
static void take_name(const char *line, const char *behind, char ret[NAME_MAX_BYTES])
{
	line += strlen(behind);
	(void)snprintf(ret, NAME_MAX_BYTES, "%.*s", (int)strcspn(line, BLANKS), line);
}

static bool look_at_line(const char *line, const char *table, struct chain *chain)
{
	line += strspn(line, BLANKS);
	if (strncmp(line, table, strlen(table)) == 0)
		take_name(line, table, chain->table);
	else if (strncmp(line, "chain ", strlen("chain ")) == 0)
		take_name(line, "chain ", chain->name);
	else if (strncmp(line, "type filter hook input ", strlen("type filter hook input ")) == 0)
		return !is_ours(chain) && (strstr(line, "policy drop") || has_rules(chain));
	return false;
}

/* Whether there is one that filters; *ret is that. */
static bool find_chain(const char *family, struct chain *ret)
{
	char command[32], table[32];
	char *text, *rest, *line;
	bool found = false;

	*ret = (struct chain){ .family = family };
	(void)snprintf(command, sizeof(command), "list chains %s", family);
	(void)snprintf(table, sizeof(table), "table %s ", family);
	text = ask(command);
	line = text ? strtok_r(text, "\n", &rest) : NULL;
	for (; line && !found; line = strtok_r(NULL, "\n", &rest))
		found = look_at_line(line, table, ret);
	free(text);
	return found;
}

/* Those of ip6tables-legacy(8), of which it is only seen that there are some. */
static bool has_legacy_filters(void)
{
	FILE *file = fopen("/proc/net/ip6_tables_names", "re");
	char line[64];
	bool found = false;

	while (file && fgets(line, sizeof(line), file))
		found = found || strcmp(line, "filter\n") == 0;
	if (file)
		(void)fclose(file);
	return found;
}

int obstacle_of_filters(struct error *err)
{
	int r = nftables_find_table(NFPROTO_IPV6, "filter");
	struct chain chain;

	if (r < 0 && r != -ENOENT)
		return error_set(err, -EEXIST,
				 "it cannot be found out whether there are filters of IPv6: %s",
				 error_name(r));
	if (find_chain("ip6", &chain) || find_chain("inet", &chain))
		return error_set(err, -EEXIST,
				 "this host filters IPv6 in the chain %s %.60s %.60s, which the "
				 "kernel path passes by: choose path kernel if that may be",
				 chain.family, chain.table, chain.name);
	if (has_legacy_filters())
		return error_set(err, -EEXIST,
				 "this host has filters of ip6tables-legacy, which the kernel path "
				 "passes by: choose path kernel if that may be");
	return 0;
}
