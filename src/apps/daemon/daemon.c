/* SPDX-License-Identifier: Apache-2.0 */
#include "apps/daemon/daemon.h"

#include <errno.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "apps/common/reporter.h"
#include "apps/daemon/options.h"
#include "apps/daemon/systemd.h"
#include "apps/version.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/processors.h"
#include "base/text.h"
#include "control/access_log.h"
#include "control/drop_ins.h"
#include "control/identity_watch.h"
#include "control/kernel_follow.h"
#include "control/record.h"
#include "control/reload.h"
#include "control/rules.h"
#include "control/server.h"
#include "kernel/pins.h"
#include "loop/signals.h"
#include "model/pseudo.h"
#include "net/socket.h"
#include "net/unix_socket.h"

/* How often it is asked, once it is to end, whether the last session has gone. */
#define ENDING_CHECK_NS (50 * NS_PER_MS)

struct helper {
	pthread_t thread;
	bool works;
	bool is_to_be_joined;
};

static struct daemon {
	struct config config; /* until it is the control's */
	struct loop loop;
	struct signals signals;
	struct systemd systemd;
	struct reporter reporter;
	struct publisher publisher;
	struct identities identities;
	struct control control;
	struct identity_watch *identity_watch;
	struct kernel_path kernel_path;
	struct kernel_follow kernel_follow;
	struct rules rules;
	struct drop_ins drop_ins;
	bool has_drop_ins;
	struct endpoints_context endpoints;
	struct server *api, *status;

	struct timeout_queue ending; /* from the first signal on */
	struct timeout ending_check;
	uint64_t ends_at_ns;
	struct helper stopper, reloader;
	bool reloads_again;	/* a signal came while the reloader was at work ... */
	bool ends_then;		/* ... or the end is due */
	bool keeps_kernel_path; /* for the daemon that follows */
} self;

/* Helpers: threads for what would keep the loop waiting, or itself waits for the loop. */

static void join(struct helper *helper)
{
	if (helper->is_to_be_joined)
		(void)pthread_join(helper->thread, NULL);
	helper->is_to_be_joined = false;
}

static bool start(struct helper *helper, void *(*run)(void *context))
{
	join(helper);
	helper->works = helper->is_to_be_joined = pthread_create(&helper->thread, NULL, run,
								 NULL) == 0;
	return helper->works;
}

/* What is seen of ports. */

static void on_kernel_session(void *context, const struct session_end *end, const struct rule *rule)
{
	(void)context;
	access_log_put(self.control.access_log, end, rule);
}

static void on_session_logged(void *context, const struct session_end *end)
{
	(void)context;
	access_log_put(self.control.access_log, end, &publisher_port_of(end->session.route)->rule);
}

/* Ending: not all at once, since requests that are under way need this loop for their answers. */

static void call_stop(void *context)
{
	loop_stop(context);
}

static void *stop_helpers(void *context)
{
	(void)context;
	server_stop(self.api);
	server_stop(self.status);
	identity_watch_stop(self.identity_watch);
	kernel_path_stop(&self.kernel_path, self.keeps_kernel_path);
	control_call(&self.control, call_stop, &self.loop);
	return NULL;
}

static void end_now(void)
{
	timeout_stop(&self.ending_check);
	self.ends_then = self.reloader.works;
	if (self.reloader.works || self.stopper.works)
		return;
	if (!start(&self.stopper, stop_helpers))
		_exit(EXIT_FAILURE);
}

static bool has_sessions(void)
{
	struct kernel_path_totals by_kernel;

	kernel_path_sum_up(&self.kernel_path, &by_kernel);
	return publisher_has_sessions(&self.publisher) ||
	       (!self.keeps_kernel_path && by_kernel.open > 0);
}

static void ending_expired(void *context, struct timeout *timeout)
{
	(void)context;
	if (!has_sessions() || self.loop.now_ns >= self.ends_at_ns)
		end_now();
	else
		timeout_start(timeout, &self.ending, &self.loop);
}

/* Drop-ins serve their ports themselves from here on; who waits at another is left in its backlog. */
static void begin_to_end(void)
{
	char text[TEXT_DURATION_MAX];
	uint64_t patience_ns = self.control.config.daemon.drain_timeout_ns;

	systemd_stopping();
	log_write(LOG_LEVEL_NOTICE, "ending: sessions may go on for %s",
		  text_format_duration(patience_ns, text));
	events_tell(&self.control.events, EVENT_DAEMON, "end", NULL);
	self.control.ends = true;
	kernel_follow_fini(&self.kernel_follow);
	if (!self.keeps_kernel_path)
		kernel_path_drain(&self.kernel_path);
	for (struct published_port *port = publisher_next(&self.publisher, NULL); port;
	     port = publisher_next(&self.publisher, port))
		publisher_stop_listening(&self.publisher, port);
	if (self.has_drop_ins)
		drop_ins_fini(&self.drop_ins);
	self.has_drop_ins = false;
	self.ends_at_ns = self.loop.now_ns + patience_ns;
	timeout_start(&self.ending_check, &self.ending, &self.loop);
}

/* Reading the configuration again, which waits for this loop, too. */

static void start_to_reload(void);

static void call_reloaded(void *context)
{
	struct error *err = context;

	log_write(err->code < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE, "%s", err->text);
	systemd_ready(err->text);
	self.reloader.works = false;
	if (self.ends_then)
		end_now();
	else if (self.reloads_again && !self.control.ends)
		start_to_reload();
}

static void *reload(void *context)
{
	struct reloaded reloaded;
	struct error err;

	(void)context;
	processors_give_way();
	if (control_reload(&self.endpoints, &reloaded, &err) < 0)
		(void)error_prefix(&err, "nothing is changed");
	else
		(void)error_set(&err, 0, "reloaded: %zu rules added, %zu removed, %zu changed%s",
				reloaded.rules.added, reloaded.rules.removed,
				reloaded.rules.changed,
				reloaded.needs_restart ? "; new settings need a restart" : "");
	control_call(&self.control, call_reloaded, &err);
	return NULL;
}

static void start_to_reload(void)
{
	self.reloads_again = self.reloader.works;
	systemd_reloading();
	if (!self.reloader.works && !start(&self.reloader, reload))
		log_write(LOG_LEVEL_ERROR, "no thread to reload with: try again");
}

static void on_signal(void *context, int signal)
{
	(void)context;
	if (signal == SIGUSR2)
		self.keeps_kernel_path = true;
	if (signal == SIGHUP && !self.control.ends)
		start_to_reload();
	else if (signal != SIGHUP && !self.control.ends)
		begin_to_end();
	else if (signal != SIGHUP)
		end_now();
}

/* Beginning. */

static int read_config(const char *config_path, struct error *err)
{
	int r;

	config_init(&self.config);
	r = settings_from_environment(&self.config.settings, err);
	if (r < 0)
		return r;
	if (!config_path && access(CONFIG_PATH, F_OK) < 0 && errno == ENOENT)
		return 0;
	return config_read(&self.config, config_path ? config_path : CONFIG_PATH, err);
}

static int start_loop(struct error *err)
{
	int r = loop_init(&self.loop);

	if (r == 0)
		r = signals_init(&self.signals, &self.loop, on_signal, NULL);
	if (r == 0)
		r = signals_add(&self.signals, SIGUSR2);
	if (r < 0)
		return error_set(err, r, "epoll or signalfd: %s", error_name(r));
	timeout_queue_init(&self.ending, &self.loop, ENDING_CHECK_NS, ending_expired, NULL);
	timeout_init(&self.ending_check);
	return 0;
}

static void pseudo_troubled(void *context, const struct error *err)
{
	(void)context;
	log_write(err->code < 0 ? LOG_LEVEL_ERROR : LOG_LEVEL_NOTICE, "%s", err->text);
}

/* Before the configuration is moved: the texts stay where they are in the control's. */
static void start_identities(void)
{
	const struct daemon_settings *settings = &self.control.config.daemon;
	struct pseudo_settings pseudo = {
		.client_length = (uint8_t)self.config.daemon.pseudo_client_length,
		.lease_s = self.config.daemon.pseudo_lease_ns / NS_PER_S,
		.history_s = self.config.daemon.pseudo_history_ns / NS_PER_S,
		.troubled = pseudo_troubled,
	};
	struct error ignored; /* the configuration has been checked */

	(void)pseudo_parse_pool(self.config.daemon.pseudo_pool, &pseudo.pool, &ignored);
	if (!daemon_settings_is_off(self.config.daemon.pseudo_store))
		pseudo.store = settings->pseudo_store;
	identities_init(&self.identities, &pseudo, IDENTITIES_RUN_DIRECTORY);
	self.publisher.introducer = &self.identities.introductions.introducer;
}

static uint64_t next_session_id(void *context)
{
	(void)context;
	return relay_next_id(&self.publisher.relay);
}

static void tell_of_kernel_path(void *context, const struct error *err)
{
	(void)context;
	log_write(err->code < 0 ? LOG_LEVEL_WARNING : LOG_LEVEL_NOTICE, "%s", err->text);
}

/* Before the first rule. Nothing of the host is touched until one wants it. */
static int start_kernel_path(struct error *err)
{
	const struct daemon_settings *settings = &self.control.config.daemon;
	struct carrier_settings path = {
		.identities = &self.identities,
		.udp_idle_ns = self.control.config.settings.udp_idle_timeout_ns,
		.recheck_ns = settings->kernel_recheck_ns,
		.observer = { .next_id = next_session_id, .ended = on_kernel_session },
		.told = tell_of_kernel_path,
	};
	int r = pseudo_parse_transit(settings->pseudo_transit, &path.transit, err);

	path.pins = pins_directory(settings->kernel_pins);
	if (r == 0)
		r = kernel_path_start(&self.kernel_path, &path, err);
	if (r < 0)
		return r;
	self.control.kernel_path = &self.kernel_path;
	self.control.history.kernel_path = &self.kernel_path;
	kernel_follow_init(&self.kernel_follow, &self.rules, &self.kernel_path, &self.loop);
	return 0;
}

static int start_control(const char *config_path, struct error *err)
{
	struct publisher_observer observer = reporter_observer(&self.reporter, &self.loop);
	const struct rules_keeper keeper = { .take = systemd_take_port,
					     .keep = systemd_store_port,
					     .forget = systemd_forget_port,
					     .context = &self.systemd };
	int r;

	observer.session_logged = on_session_logged;
	publisher_init(&self.publisher, &self.loop, &self.config.settings, socket_raise_limit(),
		       &observer);
	start_identities();
	r = control_init(&self.control, &self.loop, &self.publisher, &self.config);
	if (r < 0)
		return error_set(err, r, "eventfd: %s", error_name(r));
	self.control.version = FAIRLEAD_VERSION;
	self.control.commit = FAIRLEAD_COMMIT;
	self.control.config_path = config_path ? config_path : CONFIG_PATH;
	self.control.rules = &self.rules;
	self.control.identities = &self.identities;
	rules_init(&self.rules, &self.publisher, &self.control.events, &keeper);
	self.control.access_log = access_log_start(&self.control, err);
	return self.control.access_log ? start_kernel_path(err) : err->code;
}

/* What the API had been told before: each by itself, so that one that fails does not stop others. */
static void publish_recorded(void)
{
	struct ruleset recorded;
	struct error err;

	ruleset_init(&recorded);
	if (record_read(self.control.config.daemon.state_file, &recorded, &err) < 0)
		log_write(LOG_LEVEL_ERROR, "rules of the API are left out: %s", err.text);
	for (size_t i = 0; i < recorded.count; i++) {
		struct ruleset one = { .rules = &recorded.rules[i], .count = 1 };
		char text[RULE_TEXT_MAX];

		if (identities_prepare_all(&self.identities, &one, &err) < 0 ||
		    rules_add(&self.rules, &one, &err) < 0)
			log_write(LOG_LEVEL_ERROR, "the API's rule %s is left out: %s",
				  rule_format(&recorded.rules[i], text), err.text);
	}
	ruleset_fini(&recorded);
}

static int publish(struct error *err)
{
	struct rules_changed changed;
	int r = identities_prepare_all(&self.identities, &self.control.config.rules, err);

	if (r == 0)
		r = rules_replace(&self.rules, RULE_FROM_FILE, &self.control.config.rules, &changed,
				  err);
	if (r == 0)
		publish_recorded();
	return r;
}

static gid_t group_of(const char *name)
{
	const struct group *group = getgrnam(name);

	return group ? group->gr_gid : (gid_t)-1;
}

/* Before anything is published: a daemon that runs already has the ports, too, but is the reason. */
static int listen_for_api(gid_t group, struct error *err)
{
	return self.systemd.api >= 0 ? self.systemd.api
				     : unix_socket_listen(self.control.config.daemon.api_socket,
							  SOCK_STREAM, 0660, group, err);
}

static int start_api(int listener, gid_t group, struct error *err)
{
	self.api = server_start(&self.endpoints, listener, false, group, err);
	return self.api ? 0 : err->code;
}

static int start_status(struct error *err)
{
	const char *where = self.control.config.daemon.status_listen;
	struct address address;
	int fd = self.systemd.status;

	if (fd < 0 && daemon_settings_is_off(where))
		return 0;
	if (fd < 0) {
		(void)address_parse(where, &address); /* the configuration has been checked */
		fd = socket_listen(PROTOCOL_TCP, &address, err);
		if (fd < 0)
			return error_prefix(err, "status_listen %s", where);
	}
	self.status = server_start(&self.endpoints, fd, true, (gid_t)-1, err);
	return self.status ? 0 : err->code;
}

static int start_drop_ins(struct error *err)
{
	const struct daemon_settings *settings = &self.control.config.daemon;
	const char *path = settings->drop_in_socket;
	struct identity identity;
	int fd = self.systemd.drop_in, r;

	if (fd < 0 && daemon_settings_is_off(path))
		return 0;
	if (fd < 0)
		fd = unix_socket_listen(path, SOCK_SEQPACKET, 0600, (gid_t)-1, err);
	if (fd < 0)
		return fd;
	r = daemon_settings_drop_in_identity(settings, &identity, err);
	if (r == 0)
		r = identities_prepare(&self.identities, &identity, err);
	if (r < 0)
		return r;
	r = drop_ins_init(&self.drop_ins, &self.loop, &self.rules, &identity, fd);
	if (r < 0)
		return error_set(err, r, "epoll_ctl: %s", error_name(r));
	self.has_drop_ins = true;
	return 0;
}

static void tell_of_identities(const struct error *err)
{
	log_write(LOG_LEVEL_WARNING, "%s", err->text);
}

/* For whoever asks about them: rules that want such addresses have opened this before. */
static void recall_clients(void)
{
	struct error err;

	if (identities_recall(&self.identities, &err) < 0)
		log_write(LOG_LEVEL_ERROR, "who had which pseudo-IPv4 address is not known: %s",
			  err.text);
}

static int start_identity_watch(struct error *err)
{
	self.identity_watch = identity_watch_start(&self.control, tell_of_identities, err);
	return self.identity_watch ? 0 : err->code;
}

int daemon_start(const char *config_path, struct error *err)
{
	int r = read_config(config_path, err), listener;
	gid_t group;

	log_open(self.config.settings.log, "fairleadd");
	if (r == 0)
		r = start_loop(err);
	if (r < 0)
		return r;
	systemd_init(&self.systemd, &self.loop);
	r = start_control(config_path, err);
	if (r < 0)
		return r;
	endpoints_init(&self.endpoints, &self.control);
	group = group_of(self.control.config.daemon.api_group);
	listener = listen_for_api(group, err);
	r = listener < 0 ? listener : publish(err);
	if (r == 0) {
		recall_clients();
		r = start_api(listener, group, err);
	}
	if (r == 0)
		r = start_status(err);
	if (r == 0)
		r = start_drop_ins(err);
	if (r == 0)
		r = start_identity_watch(err);
	if (r < 0)
		return r;
	systemd_drop_rest(&self.systemd);
	systemd_ready("serving");
	log_write(LOG_LEVEL_NOTICE, "serving %zu rules; the API is at %s", self.rules.count,
		  self.control.config.daemon.api_socket);
	return 0;
}

int daemon_run(void)
{
	int r = loop_run(&self.loop);

	join(&self.stopper);
	join(&self.reloader);
	if (self.has_drop_ins)
		drop_ins_fini(&self.drop_ins);
	publisher_fini(&self.publisher);
	identities_fini(&self.identities);
	access_log_stop(self.control.access_log);
	systemd_fini(&self.systemd);
	rules_fini(&self.rules);
	endpoints_fini(&self.endpoints);
	control_fini(&self.control);
	signals_fini(&self.signals);
	loop_fini(&self.loop);
	return r;
}
