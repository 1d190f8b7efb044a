/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What every user of libnftables needs. It ends the process where it cannot open its socket, so the
 * kernel has to have answered nftables_find_table() before.
 */
#ifndef FAIRLEAD_IDENTITY_NFTABLES_H
#define FAIRLEAD_IDENTITY_NFTABLES_H

#include <nftables/libnftables.h>
#include <stdint.h>

/* Asks the kernel for a table of that family (NFPROTO_IPV4). Returns 0, -ENOENT or another -errno. */
int nftables_find_table(uint8_t family, const char *name);

/* A context that keeps what it would print. NULL: there is no memory. */
struct nft_ctx *nftables_new(void);

/* What nft(8) would say, up to the end of its first line. Returns the buffer. */
#define NFTABLES_SAID_MAX 151
const char *nftables_said(struct nft_ctx *nft, char buffer[NFTABLES_SAID_MAX]);

#endif
