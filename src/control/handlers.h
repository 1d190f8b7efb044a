/* SPDX-License-Identifier: Apache-2.0 */
/* The handlers of control/endpoints.def, each in the file that is named before it. */
#ifndef FAIRLEAD_CONTROL_HANDLERS_H
#define FAIRLEAD_CONTROL_HANDLERS_H

#include "control/endpoints.h"

/* handle_daemon.c */
void handle_version(const struct request *request, struct answer *answer);
void handle_health(const struct request *request, struct answer *answer);
void handle_stats(const struct request *request, struct answer *answer);
void handle_history(const struct request *request, struct answer *answer);
void handle_events(const struct request *request, struct answer *answer);
void handle_reload(const struct request *request, struct answer *answer);
void handle_page(const struct request *request, struct answer *answer);

/* handle_rules.c */
void handle_rules(const struct request *request, struct answer *answer);
void handle_rules_add(const struct request *request, struct answer *answer);
void handle_rules_replace(const struct request *request, struct answer *answer);
void handle_rule(const struct request *request, struct answer *answer);
void handle_rule_change(const struct request *request, struct answer *answer);
void handle_rule_remove(const struct request *request, struct answer *answer);

/* handle_sessions.c */
void handle_sessions(const struct request *request, struct answer *answer);
void handle_session_end(const struct request *request, struct answer *answer);
void handle_clients(const struct request *request, struct answer *answer);

/* handle_identities.c */
void handle_whois(const struct request *request, struct answer *answer);
void handle_assignments(const struct request *request, struct answer *answer);

/* metrics.c */
void handle_metrics(const struct request *request, struct answer *answer);

#endif
