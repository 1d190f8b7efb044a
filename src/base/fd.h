/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership of file descriptors.
 *
 *	OWNED_FD fd = socket(...);	closed when the scope ends ...
 *	return fd_take(&fd);		... unless it leaves here, in one visible place
 */
#ifndef FAIRLEAD_BASE_FD_H
#define FAIRLEAD_BASE_FD_H

#include <errno.h>
#include <unistd.h>

/* Closes *fd if it is open and marks it closed. errno is kept, so it may run on an error path. */
static inline void fd_close(int *fd)
{
	int saved = errno;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
	errno = saved;
}

/* Hands the descriptor to the caller and forgets it. */
static inline int fd_take(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define OWNED_FD __attribute__((cleanup(fd_close))) int

#endif
