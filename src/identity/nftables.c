/* SPDX-License-Identifier: Apache-2.0 */
#include "identity/nftables.h"

#include <stdio.h>
#include <string.h>

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
