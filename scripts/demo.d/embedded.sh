# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Without Docker: the host is this machine itself, a network namespace is the container, and
# `fairlead publish` publishes its port in the foreground.
#
#	client     2001:db8::100 -- 2001:db8::2    this machine    172.17.0.1 -- web_1
#	namespace                                                   172.17.0.2, IPv4 only

host='' # the namespace of the host: the machine's own

begin() {
	web=$name-web
	client=$name-client
	web_link=fl$$-web
	client_link=fl$$-out
	choose_outside
	local prefix
	prefix=$(choose_prefix -4 172.{17..31}.0.0/16 10.{200..250}.0.0/16)
	gateway_ip=${prefix%.0/16}.1
	container_ip=${prefix%.0/16}.2
	port=$(choose_port 8080 8081 8082 8090 18080 28080)
	identity_port=$(choose_port 8091 8092 18091 28091)
	relay_port=$(choose_port 8093 18093 28093)
	kernel_port=$(choose_port 8094 18094 28094)
}

start_container() {
	make_container
	say "A web application runs on port 80 of web_1, a container that has IPv4 only:"
	show 'web_1$ ' "$web" 'ip -brief address'
	make_client
	say "Fairlead publishes that port on port $port of this machine, on IPv4 and IPv6:"
	publish "fairlead publish -p $port:80 $container_ip"
}

make_container() {
	make_namespace "$web"
	disable_ipv6 "$web"
	make_link "$web_link" '' eth0 "$web"
	set_ipv4 '' "$web_link" "$gateway_ip/16"
	set_ipv4 "$web" eth0 "$container_ip/16"
	ip -n "$web" route add default via "$gateway_ip"
	at_end end_jobs
	# shellcheck disable=SC2016 # expanded by the inner shell
	nsenter --net="/run/netns/$web" -- unshare --uts bash -c \
		'echo web_1 >/proc/sys/kernel/hostname && exec "$0" 80' "$webapp" \
		>"$work/webapp.log" 2>&1 &
	wait_for_line "$work/webapp.log" '^webapp: http' $! ||
		fail "the application did not start: $(cat "$work/webapp.log")"
}

make_client() {
	make_namespace "$client"
	make_link "$client_link" '' eth0 "$client"
	set_ipv6 '' "$client_link" "$host_ip6/64"
	set_ipv6 "$client" eth0 "$client_ip6/64"
}

# The command runs on; what it prints when it ends is shown at the end.
publish() { # COMMAND
	: >"$work/publish.log"
	at_end end_publish
	printf '$ %s\n' "$1" | indent
	eval "exec $1" >"$work/publish.log" 2>&1 &
	published=$!
	wait_for_line "$work/publish.log" '^Listening on \[::\]' "$published" || {
		indent <"$work/publish.log"
		fail "the port could not be published"
	}
	shown=$(wc -l <"$work/publish.log")
	indent <"$work/publish.log"
}

end_publish() {
	end_process INT "${published:-}"
	tail -n +$((${shown:-0} + 1)) "$work/publish.log" | indent
}

end_jobs() {
	local process
	for process in $(jobs -p); do end_process INT "$process"; done
}

stay_up() {
	until_interrupted "$published" \
		"It stays up until Ctrl-C. Try it yourself, from another terminal:" '' \
		"    curl http://[::1]:$port/" ||
		fail "fairlead publish has ended"
}
