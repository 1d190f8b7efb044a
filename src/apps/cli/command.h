/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `fairlead`, and how they end: 0 done, 1 it failed, 2 the command line was wrong.
 */
#ifndef FAIRLEAD_APPS_CLI_COMMAND_H
#define FAIRLEAD_APPS_CLI_COMMAND_H

#define EXIT_USAGE 2

/* argv[0] is the command's name. */
int command_publish(int argc, char **argv);

#endif
