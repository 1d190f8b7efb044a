/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The commands of `fairlead`, and how they end: 0 done, 1 it failed, 2 the command line was wrong,
 * 3 there is no daemon to ask, or no permission to.
 */
#ifndef FAIRLEAD_APPS_CLI_COMMAND_H
#define FAIRLEAD_APPS_CLI_COMMAND_H

#define EXIT_USAGE 2
#define EXIT_UNREACHABLE 3

/* argv[0] is the command's name. */
int command_publish(int argc, char **argv);
int command_unpublish(int argc, char **argv);
int command_ls(int argc, char **argv);
int command_sessions(int argc, char **argv);
int command_clients(int argc, char **argv);
int command_whois(int argc, char **argv);
int command_disconnect(int argc, char **argv);
int command_top(int argc, char **argv);
int command_stats(int argc, char **argv);
int command_events(int argc, char **argv);
int command_reload(int argc, char **argv);
int command_health(int argc, char **argv);
int command_doctor(int argc, char **argv);

#endif
