/* SPDX-License-Identifier: Apache-2.0 */
/* What `fairlead doctor` finds: a line for each thing that it looks at, by chapter. */
#ifndef FAIRLEAD_APPS_CLI_DOCTOR_H
#define FAIRLEAD_APPS_CLI_DOCTOR_H

#include "model/rule.h"

enum finding {
	FINDING_GOOD,
	FINDING_BAD,  /* something is missing, and the line says what to do */
	FINDING_NOTE, /* good to know */
};

struct doctor {
	const struct address *container; /* one to be looked at, too; NULL: none */
	unsigned bad;			 /* lines that were */
};

void doctor_find(struct doctor *doctor, enum finding finding, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The chapters. */
void doctor_pseudo(struct doctor *doctor);
void doctor_kernel(struct doctor *doctor);
void doctor_docker(struct doctor *doctor);

#endif
