/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A thread that looks, every half minute, whether pseudo-IPv4 addresses still do what they are for:
 * whether their route and its guard are there, which an administrator's firewall may have removed,
 * and whether the containers that are to see them can answer. Rules of the API are asked for that
 * before they are published; those of the file and of drop-ins are there first, and told of here.
 */
#ifndef FAIRLEAD_CONTROL_IDENTITY_WATCH_H
#define FAIRLEAD_CONTROL_IDENTITY_WATCH_H

#include "control/control.h"

struct identity_watch;

/*
 * `tell` is called on the thread, with a sentence for the log. NULL with a sentence where it cannot
 * be started.
 */
struct identity_watch *identity_watch_start(struct control *control,
					    void (*tell)(const struct error *err),
					    struct error *err);
void identity_watch_stop(struct identity_watch *watch);

#endif
