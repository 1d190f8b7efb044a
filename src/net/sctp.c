/* SPDX-License-Identifier: Apache-2.0 */
#include "net/sctp.h"

#include <netinet/in.h>
#include <stdint.h>
#include <sys/socket.h>

/* needs the above */
#include <linux/sctp.h>

#define STREAMS_MAX 0xffff

void sctp_set_streams(int fd)
{
	struct sctp_initmsg init = { .sinit_num_ostreams = STREAMS_MAX };

	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_INITMSG, &init, sizeof(init));
}

void sctp_tune(int fd)
{
	int on = 1;

	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_NODELAY, &on, sizeof(on));
	(void)setsockopt(fd, IPPROTO_SCTP, SCTP_RECVRCVINFO, &on, sizeof(on));
}
