/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The introducer: carries out, for each session, what its rule's struct identity says (which is the
 * policy that the relay hands through).
 *
 * It holds no state but what it was given; sessions own what they get.
 */
#ifndef FAIRLEAD_IDENTITY_INTRODUCTIONS_H
#define FAIRLEAD_IDENTITY_INTRODUCTIONS_H

#include "identity/pseudo.h"
#include "model/identity.h"
#include "relay/introducer.h"

struct introductions {
	struct introducer introducer;	 /* for struct publisher */
	_Atomic(struct pseudo *) pseudo; /* NULL until somebody needs it */
	uint64_t start;			 /* of this process, for unique ids */
};

/* It does not move afterwards. */
void introductions_init(struct introductions *introductions);

#endif
