# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What is shown once the port is published, the same for each kind of host. Set before: host, client
# (their namespaces), port, host_ip6, container_ip.

show_local_client() {
	say "A client on the host calls over IPv6; the container sees the proxy, over IPv4:"
	show '$ ' "$host" "curl http://[::1]:$port/" ||
		fail "the container could not be reached over ::1"
}

# A request on a connection that stays open: once it is answered, both sessions are there to be
# listed.
show_session_pair() {
	say "Two sessions carry it: the client's over IPv6, and the proxy's over IPv4:"
	show '$ ' "$host" \
		"exec 3<>/dev/tcp/::1/$port" \
		"printf 'GET / HTTP/1.1\r\nHost: web_1\r\n\r\n' >&3" \
		"head -n 1 <&3" \
		"ss -nt '( dst [::1]:$port or dst $container_ip:80 )'" ||
		fail "the sessions could not be listed"
}

show_outside_client() {
	say "A client outside, in a network of its own, calls the host at $host_ip6:"
	show 'client$ ' "$client" "curl http://[$host_ip6]:$port/" ||
		fail "the client outside had no answer: does this machine's firewall drop what comes in?"
}

show_headers() {
	say "Bytes pass as they are: nothing in a request tells the container who calls:"
	show 'client$ ' "$client" "curl http://[$host_ip6]:$port/headers" ||
		fail "the client outside had no answer"
}
