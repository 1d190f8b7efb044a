# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The same download by the relay and by the kernel path.

# Both ends of the way are links of the demo's own, and need not change what the machine does
# elsewhere. An engine has switched it on for all.
forward_between_links() {
	local link
	for link in "${client_link:-}" "${web_link:-}"; do
		[ -z "$link" ] || inside "$host" bash -c \
			"echo 1 >/proc/sys/net/ipv4/conf/$link/forwarding"
	done
}

# Waits until the kernel carries the port. What is against it, if it does not, is said.
wait_for_kernel() {
	local tries=30
	until inside "$host" fairlead ls | grep -q ":$kernel_port/tcp.* kernel"; do
		if [ $((tries -= 1)) = 0 ]; then
			inside "$host" fairlead ls | sed -n 's/.*is carried by the relay: //p' | head -n 1
			return
		fi
		sleep 0.1
	done
	inside "$client" curl --max-time 3 --output /dev/null "http://[$host_ip6]:$kernel_port/" ||
		echo "this machine's firewall drops in FORWARD what it would forward"
}

show_race() {
	local identity="--identity pseudo-ipv4" against
	local fetch="curl -o /dev/null -w '%{size_download} bytes in %{time_total} s\\n'"
	[ -n "${daemon:-}" ] || return 0
	say "The relay ends each connection and begins another. The kernel can carry clients from" \
		"outside without that, packet by packet. A race, the one on port $relay_port, the other" \
		"on port $kernel_port:"
	forward_between_links
	show '$ ' "$host" \
		"fairlead publish -d -p [::]:$relay_port:80 $identity $container_ip" \
		"fairlead publish -d -p [::]:$kernel_port:80 $identity --path kernel $container_ip" ||
		fail "the ports could not be published: $(cat "$work/fairleadd.log")"
	against=$(wait_for_kernel)
	if [ -n "$against" ]; then
		say "The race is left out: $against."
		return
	fi
	show 'client$ ' "$client" \
		"$fetch http://[$host_ip6]:$relay_port/large" \
		"$fetch http://[$host_ip6]:$kernel_port/large" ||
		fail "the client outside had no answer"
	say "And what was carried how:"
	show '$ ' "$host" "fairlead ls"
}
