# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The same container once more, published by fairleadd with an identity: it learns who is calling.

start_daemon() {
	local pool enter=()
	pool=$(choose_prefix -4 240.0.0.0/5 198.18.0.0/15)
	export FAIRLEAD_SOCKET=$work/fairlead.sock
	cat >"$work/fairlead.json" <<-end
		{ "daemon": {
			"api_socket": "$FAIRLEAD_SOCKET", "drop_in_socket": "off", "status_listen": "off",
			"state_file": "$work/rules.json",
			"pseudo_pool": "$pool", "pseudo_store": "$work/pseudo.db"
		} }
	end
	[ -z "$host" ] || enter=(nsenter --net="/run/netns/$host" --)
	at_end end_daemon
	FAIRLEAD_LOG=stderr "${enter[@]}" fairleadd --config "$work/fairlead.json" \
		>"$work/fairleadd.log" 2>&1 &
	daemon=$!
	wait_for_line "$work/fairleadd.log" 'serving' "$daemon" ||
		fail "fairleadd did not start: $(cat "$work/fairleadd.log")"
}

end_daemon() {
	[ -z "${daemon:-}" ] || end_process TERM "$daemon"
}

# One Fairlead of a host gives such addresses out.
is_given_out_by_another() {
	[ -n "$(inside "$host" ip -4 route show table local proto 70)" ]
}

show_identity() {
	if is_given_out_by_another; then
		say "Another Fairlead of this machine gives out pseudo-IPv4 addresses: the last scene, who" \
			"is calling, is left out."
		return
	fi
	start_daemon
	say "Now fairleadd publishes it once more, on port $identity_port, with an identity:"
	show '$ ' "$host" \
		"fairlead publish -d -p $identity_port:80 --identity pseudo-ipv4,http $container_ip" ||
		fail "the port could not be published: $(cat "$work/fairleadd.log")"
	say "The same two requests: the client has an IPv4 address of its own, and the true one is in" \
		"the headers:"
	show 'client$ ' "$client" \
		"curl http://[$host_ip6]:$identity_port/" \
		"curl http://[$host_ip6]:$identity_port/headers" ||
		fail "the client outside had no answer"
	local seen
	seen=$(inside "$client" curl "http://[$host_ip6]:$identity_port/" |
		sed -n 's/^Remote IP: //p')
	say "And who was that?"
	show '$ ' "$host" "fairlead whois $seen" || fail "nobody knows who has $seen"
}
