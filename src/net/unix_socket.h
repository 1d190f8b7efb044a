/* SPDX-License-Identifier: Apache-2.0 */
/* Listening unix sockets that have a path. */
#ifndef FAIRLEAD_NET_UNIX_SOCKET_H
#define FAIRLEAD_NET_UNIX_SOCKET_H

#include <sys/types.h>

#include "base/error.h"

/*
 * A non-blocking listening socket of that type (SOCK_STREAM, SOCK_SEQPACKET) at the path, in a
 * folder that is made if it is missing. The file gets the mode, and the group unless that is
 * (gid_t)-1. A file that a program has left behind which runs no more is replaced; where one still
 * listens, or the path is no socket, -EADDRINUSE. Returns the descriptor or -errno with a sentence.
 */
int unix_socket_listen(const char *path, int type, mode_t mode, gid_t group, struct error *err);

#endif
