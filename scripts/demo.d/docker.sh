# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# With a real Docker Engine, one of the demo's own: all that it makes is in a network namespace, the
# host of this demo, or below the demo's folder; its firewall rules, bridge and sysctls end with the
# namespace.
#
#	client      2001:db8::100 --+
#	namespace                   eth1, a bridge: 2001:db8::2    host      172.17.0.1 -- web_1
#	a terminal  2001:db8::3 ----+                            namespace    172.17.0.2, IPv4 only
#	of this machine

begin() {
	host=$name-host
	client=$name-client
	terminal_link=fl$$-host
	port=8080
	identity_port=8091
	relay_port=8093
	kernel_port=8094
	container_ip=172.17.0.2
	choose_outside
	export DOCKER_HOST=unix://$work/docker.sock DOCKER_CONFIG=$work
	unset DOCKER_CONTEXT
}

addresses_format='{{range .NetworkSettings.Networks}}IPv4: {{.IPAddress}} IPv6: {{.GlobalIPv6Address}}'
addresses_format+='{{end}}'

start_container() {
	make_host
	start_engine
	make_image
	say "A web application runs in web_1, a container of a Docker Engine, published as always:"
	show '$ ' "$host" \
		"docker run --rm -d --name web_1 -p $port:80 webapp" \
		"docker inspect --format '$addresses_format' web_1" ||
		fail "the container could not be started"
	say "It has IPv4 only. In docker-proxy's place, the engine has started Fairlead, for each family:"
	show '$ ' "$host" "pgrep --list-full --parent $engine fairlead" ||
		fail "the engine started no proxy"
}

make_image() {
	"$root/examples/webapp/image" "$webapp" >"$work/image.log" 2>&1 ||
		fail "the image could not be made: $(cat "$work/image.log")"
}

make_host() {
	make_namespace "$host"
	make_namespace "$client"
	ip -n "$host" link add eth1 type bridge
	set_ipv6 "$host" eth1 "$host_ip6/64"
	make_link eth0 "$client" to-client "$host"
	set_ipv6 "$client" eth0 "$client_ip6/64"
	make_link "$terminal_link" '' to-terminal "$host"
	set_ipv6 '' "$terminal_link" "$terminal_ip6/64"
	local port_link
	for port_link in to-client to-terminal; do
		ip -n "$host" link set "$port_link" up master eth1
	done
}

# Where an engine has settings, and keeps things, whatever folders it is given: of this machine's
# own, it sees empty ones. So it meets no settings and no containerd of another engine, and leaves
# nothing behind.
private_folders=(/etc/docker /opt/containerd /run/containerd /run/docker)

# A folder must be there to be covered with an empty one.
make_private_folders() {
	local folder
	for folder in "${private_folders[@]}"; do
		[ -d "$folder" ] || at_end remove_empty "$folder"
		mkdir -p "$folder"
	done
}

# Not while another demo runs: a folder that is removed takes what covers it there with it.
remove_empty() { # FOLDER
	[ "$(ip netns list | grep -c '^fairlead-demo-.*-host')" -gt 1 ] || rmdir "$1" 2>/dev/null
}

# The engine is process 1 of a process namespace, so that containers, shims and proxies end with it
# whatever happens. A control group of the demo's name holds its containers.
start_engine() {
	at_end remove_control_groups
	make_private_folders
	echo '{}' >"$work/daemon.json"
	at_end end_engine
	# shellcheck disable=SC2016 # expanded by the inner shell
	nsenter --net="/run/netns/$host" -- \
		unshare --mount --pid --fork --kill-child --mount-proc bash -euc '
			for folder in $0; do mount --no-mtab -t tmpfs tmpfs "$folder"; done
			exec setsid dockerd "$@"' "${private_folders[*]}" \
		--config-file "$work/daemon.json" --host "$DOCKER_HOST" \
		--pidfile "$work/docker.pid" --data-root "$work/data" --exec-root "$work/exec" \
		--exec-opt native.cgroupdriver=cgroupfs --cgroup-parent "/$name" \
		--userland-proxy-path "$root/build/fairlead-docker-proxy" >"$work/engine.log" 2>&1 &
	keeper=$!
	wait_for_line "$work/engine.log" 'API listen on' "$keeper" || {
		tail -n 5 "$work/engine.log" | indent
		fail "the Docker Engine did not start"
	}
	engine=$(pgrep --parent "$keeper")
}

# SIGTERM lets the engine end its containers; with the keeper, whatever is left of it ends too.
end_engine() {
	[ -z "${engine:-}" ] || end_process TERM "$engine"
	[ -z "${keeper:-}" ] || end_process KILL "$keeper"
}

remove_control_groups() {
	find /sys/fs/cgroup -depth -type d -path "*/$name*" -exec rmdir {} + 2>/dev/null
}

stay_up() {
	until_interrupted "$keeper" \
		"It stays up until Ctrl-C. Try it yourself, from another terminal of this machine, which" \
		"for the host of this demo is a client outside; or on that host:" '' \
		"    curl http://[$host_ip6]:$port/" \
		"    sudo nsenter --net=/run/netns/$host curl http://[::1]:$port/" \
		"    sudo docker --host $DOCKER_HOST ps" ||
		fail "the Docker Engine has ended"
}
