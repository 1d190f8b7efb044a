/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The descriptors that dockerd leaves open for its proxy: the status pipe at 3 and, with
 * -use-listen-fd, the listening socket at 4.
 *
 * On the pipe goes "0\n" once the port is served, or "1\n" and a message, and then it is closed:
 * dockerd reads two bytes once, and in the bad case on until end of file. Started by hand there is
 * no pipe; whatever else descriptor 3 is then, it is left alone.
 */
#ifndef FAIRLEAD_APPS_DOCKER_PROXY_INHERITED_H
#define FAIRLEAD_APPS_DOCKER_PROXY_INHERITED_H

#define INHERITED_STATUS_FD 3
#define INHERITED_LISTEN_FD 4

/*
 * Finds the status pipe and keeps both from programs started later. Returns its descriptor, -1 if
 * there is none.
 */
int inherited_init(void);

/* Reports success and closes the pipe. Returns 0, or -EPIPE if dockerd has gone. */
int inherited_report_ready(int *status_fd);

/* Reports the failure and closes the pipe. */
void inherited_report_failure(int *status_fd, const char *message);

#endif
