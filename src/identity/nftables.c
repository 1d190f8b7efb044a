/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/nftables.h"

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <string.h>

#include "identity/netlink.h"

int nftables_find_table(uint8_t family, const char *name)
{
	char buffer[NETLINK_REQUEST_MAX];
	void *header;
	struct nlmsghdr *request = netlink_begin(buffer,
						 (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETTABLE,
						 NLM_F_ACK, sizeof(struct nfgenmsg), &header);

	((struct nfgenmsg *)header)->nfgen_family = family;
	mnl_attr_put_strz(request, NFTA_TABLE_NAME, name);
	return netlink_ask(NETLINK_NETFILTER, request, NULL, NULL);
}

struct nft_ctx *nftables_new(void)
{
	struct nft_ctx *nft = nft_ctx_new(NFT_CTX_DEFAULT);

	if (nft && (nft_ctx_buffer_output(nft) != 0 || nft_ctx_buffer_error(nft) != 0)) {
		nft_ctx_free(nft);
		return NULL;
	}
	return nft;
}

const char *nftables_said(struct nft_ctx *nft, char buffer[NFTABLES_SAID_MAX])
{
	(void)snprintf(buffer, NFTABLES_SAID_MAX, "%s", nft_ctx_get_error_buffer(nft));
	buffer[strcspn(buffer, "\n")] = '\0';
	return buffer;
}
