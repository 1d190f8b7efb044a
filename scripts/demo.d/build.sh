# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
#
# What must be there first: rights, IPv6, packages, programs.

check_machine() {
	[ "$(id -u)" = 0 ] ||
		fail "making network namespaces needs root: sudo scripts/demo${given[*]:+ ${given[*]}}"
	grep -qs '^00000000000000000000000000000001 ' /proc/net/if_inet6 ||
		fail "IPv6 is switched off on this machine: sysctl net.ipv6.conf.all.disable_ipv6=0"
}

# Where root has it from a user by sudo, the programs are built as that user: no file of root's is
# left in the user's tree.
as_owner() {
	if [ -n "${SUDO_USER:-}" ] && [ "$(stat -c %U "$root")" = "$SUDO_USER" ]; then
		sudo -u "$SUDO_USER" "$@"
	else
		"$@"
	fi
}

build() {
	local groups=(build demo)
	[ "$kind" != docker ] || groups+=(docker)
	"$root/scripts/install-packages" "${groups[@]}"
	make_work_folder
	echo "Building Fairlead ..."
	{
		as_owner make -C "$root" &&
			{ [ -x "$root/build/examples/webapp/webapp" ] || build_again; }
	} >"$work/build.log" 2>&1 || {
		cat "$work/build.log" >&2
		fail "Fairlead could not be built"
	}
	webapp=$root/build/examples/webapp/webapp
	PATH=$root/build:$PATH
}

# A build that was set up before libmicrohttpd was there has no webapp.
build_again() {
	as_owner meson setup --reconfigure -Ddemo=true "$root/build" && as_owner make -C "$root"
}
