# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# How the demo speaks: prose, and commands. What is shown as run is what is run, by a shell in its
# place.

say() {
	printf '\n%s\n\n' "$*"
}

fail() {
	printf '\ndemo: %s\n' "$*" >&2
	exit 1
}

# Runs a command in a network namespace; the empty name is the demo's own, which is the machine's.
# nsenter and not `ip netns exec`, which would give a new /sys that lacks the cgroups.
inside() { # NAMESPACE COMMAND...
	local namespace=$1
	shift
	[ -z "$namespace" ] || set -- nsenter --net="/run/netns/$namespace" -- "$@"
	"$@"
}

# Shows and runs commands, all in one shell: a connection that one of them holds open is there for
# the next.
show() { # PROMPT NAMESPACE COMMAND...
	local prompt=$1 namespace=$2
	shift 2
	# shellcheck disable=SC2016 # expanded by the inner shell
	inside "$namespace" bash -c '
		prompt=$0
		for command; do
			printf "%s%s\n" "$prompt" "$command"
			eval "$command" || exit
		done' "$prompt" "$@" 2>&1 | indent
}

indent() {
	sed -u 's/^./    &/'
}

# Waits until a file has a line that matches, as the log of a program that then is ready. The program
# itself may still have to make it.
wait_for_line() { # FILE PATTERN PROCESS
	local tries=100
	until grep -qs -e "$2" "$1"; do
		{ kill -0 "$3" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; } || return
		sleep 0.1
	done
}
