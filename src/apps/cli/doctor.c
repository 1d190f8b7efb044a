/* SPDX-License-Identifier: Apache-2.0 */
/* fairlead doctor: what of Fairlead this host can use, and what is missing for the rest. */
#include "apps/cli/doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "apps/cli/command.h"
#include "apps/cli/command_line.h"

void doctor_find(struct doctor *doctor, enum finding finding, const char *format, ...)
{
	static const char *const marks[] = {
		[FINDING_GOOD] = "  ok   ",
		[FINDING_BAD] = "  NO   ",
		[FINDING_NOTE] = "  --   ",
	};
	va_list arguments;

	doctor->bad += finding == FINDING_BAD;
	(void)fputs(marks[finding], stdout);
	va_start(arguments, format);
	(void)vprintf(format, arguments);
	va_end(arguments);
	(void)putchar('\n');
}

static void look_at(struct doctor *doctor, const char *title,
		    void (*chapter)(struct doctor *doctor))
{
	unsigned before = doctor->bad;

	printf("%s\n", title);
	chapter(doctor);
	printf("  => %s\n\n", doctor->bad == before ? "nothing is against it"
						    : "something is missing: see NO above");
}

int command_doctor(int argc, char **argv)
{
	static const struct command_line line = {
		.name = "doctor",
		.arguments = "[CONTAINER-IP]",
		.summary = "Say what of Fairlead this host can use, and what is missing",
		.more = "Looks at pseudo-IPv4 addresses, the kernel path and Docker. With a container, also\n"
			"whether that can do with such addresses. Run it as root: it tries things out, in a\n"
			"network namespace of its own, and leaves nothing.",
		.most = 1,
	};
	struct doctor doctor = { .bad = 0 };
	struct address container;
	int first, r = command_line_parse(&line, argc, argv, &first);

	if (r >= 0)
		return r;
	if (first < argc && address_parse_ip(argv[first], &container) < 0)
		return command_line_error("doctor", "'%.60s' is no IP address, like 172.17.0.2",
					  argv[first]);
	if (first < argc)
		doctor.container = &container;
	if (geteuid() != 0)
		doctor_find(&doctor, FINDING_NOTE,
			    "This is not root: what needs its rights is said to be missing");
	look_at(&doctor, "pseudo-IPv4 addresses (identity pseudo-ipv4)", doctor_pseudo);
	look_at(&doctor, "The kernel path (path kernel, auto)", doctor_kernel);
	look_at(&doctor, "Docker (fairlead-docker-proxy)", doctor_docker);
	return doctor.bad == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
