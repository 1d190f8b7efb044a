# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# The end: whatever was made is removed, in reverse, however the demo ends: when all was shown, by
# Ctrl-C, by SIGTERM, or by an error.

undo=()

# Notes how to remove what is about to be made: noted first, so that nothing can fall between.
at_end() { # COMMAND...
	undo+=("$(printf '%q ' "$@")")
}

remove_all() {
	trap '' INT TERM HUP
	local i
	for ((i = ${#undo[@]} - 1; i >= 0; i--)); do
		eval "${undo[i]}" || true
	done
}

trap remove_all EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Says the text, of which Ctrl-C is a part, and waits for it: it is no failure then. No program of
# its own may run from here on: one that Ctrl-C kills would count as a failure.
until_interrupted() { # PROCESS TEXT...
	trap 'echo && exit 0' INT
	printf '%s\n' '' "${@:2}"
	wait "$1"
}

# Ends a process of ours, and waits for it; one that takes too long is killed.
end_process() { # SIGNAL PROCESS
	kill -"$1" "$2" 2>/dev/null || return 0
	local tries=150
	while kill -0 "$2" 2>/dev/null && [ $((tries -= 1)) -gt 0 ]; do sleep 0.1; done
	kill -KILL "$2" 2>/dev/null
	wait "$2" 2>/dev/null
}

# Everything the demo makes carries this name and its process id, so that two can run side by side.
name=fairlead-demo-$$
work= # a folder for what must be files; its path is short, as those of sockets must be

make_work_folder() {
	at_end remove_work_folder
	work=$(mktemp -d "/tmp/$name.XXXXXX")
	use_plain_curl
}

# curl as shown, whatever this machine's own settings for it are, and bounded in time.
use_plain_curl() {
	printf '%s\n' silent show-error 'max-time = 10' 'noproxy = "*"' >"$work/.curlrc"
	export CURL_HOME=$work
}

remove_work_folder() {
	[ -z "$work" ] || rm -rf "$work"
}

make_namespace() { # NAME
	at_end ip netns del "$1"
	ip netns add "$1"
	ip -n "$1" link set lo up
}
