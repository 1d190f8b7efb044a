# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# Addresses and a port that this machine does not use. The first choice of each is what the
# documentation of Docker has; where another is taken, it is said.

# Whether a route of the machine, but for default ones, covers the prefix or is within it.
is_routed() { # -4|-6 PREFIX
	local routes
	routes=$(
		{
			ip "$1" route show table all root "$2"
			ip "$1" route show table all match "$2"
		} 2>/dev/null | grep -Ev '^((unreachable )?default|[^ ]*/[01]) '
	) || true
	[ -n "$routes" ]
}

# The first of the prefixes that is free.
choose_prefix() { # -4|-6 PREFIX...
	local family=$1 prefix
	shift
	for prefix; do
		if ! is_routed "$family" "$prefix"; then
			[ "$prefix" = "$1" ] || echo "$1 is in use on this machine; $prefix is taken." >&2
			echo "$prefix"
			return
		fi
	done
	fail "all of these are in use on this machine: $*"
}

choose_port() { # PORT...
	local port
	for port; do
		if [ -z "$(ss -Hltn "sport = :$port")" ]; then
			[ "$port" = "$1" ] || echo "Port $1 is busy on this machine; $port is taken." >&2
			echo "$port"
			return
		fi
	done
	fail "all of these ports are busy: $*"
}

# The outside: a network of 2001:db8::/32, which is for documentation and routed nowhere.
choose_outside() {
	local prefix
	prefix=$(choose_prefix -6 2001:db8::/64 2001:db8:{1..9}::/64)
	prefix=${prefix%/64}
	host_ip6=${prefix}2
	terminal_ip6=${prefix}3
	client_ip6=${prefix}100
}

# A link with two ends, each in a namespace, gone with either; the empty name is the machine's own.
make_link() { # LINK NAMESPACE PEER PEER-NAMESPACE
	[ -n "$2" ] || at_end remove_link "$1"
	ip link add "$1" ${2:+netns "$2"} type veth peer name "$3" ${4:+netns "$4"}
}

# The machine's end may have gone already, with its peer's namespace.
remove_link() {
	ip link del "$1" 2>/dev/null
}

set_ipv4() { # NAMESPACE LINK ADDRESS/LENGTH
	ip ${1:+-n "$1"} link set "$2" up
	ip ${1:+-n "$1"} address add "$3" dev "$2"
}

# nodad: nobody else is on these links who could have the same address, so it is used at once.
set_ipv6() { # NAMESPACE LINK ADDRESS/LENGTH
	ip ${1:+-n "$1"} link set "$2" up
	inside "$1" bash -c "echo 0 >/proc/sys/net/ipv6/conf/$2/disable_ipv6"
	ip ${1:+-n "$1"} address add "$3" dev "$2" nodad
}

# As a container of a Docker Engine without IPv6 is set up.
disable_ipv6() { # NAMESPACE
	inside "$1" bash -c \
		'echo 1 | tee /proc/sys/net/ipv6/conf/{all,default}/disable_ipv6' >/dev/null
}
