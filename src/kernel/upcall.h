/* SPDX-License-Identifier: Apache-2.0 */
/* A client's first packet, as it was handed up by the program that has seen it. */
#ifndef FAIRLEAD_KERNEL_UPCALL_H
#define FAIRLEAD_KERNEL_UPCALL_H

#include <stdbool.h>

#include "kernel/maps.h"
#include "net/address.h"

/* Who has sent it. False where it is none that can be sent again. */
bool upcall_client(const struct upcall *upcall, struct address *ret);

/*
 * Makes its checksum whole: a packet that has not been on a wire yet, as one of another container's,
 * has the sum of its pseudo header there, and its device would have done the rest.
 */
void upcall_complete(struct upcall *upcall);

#endif
