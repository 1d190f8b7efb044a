# SPDX-License-Identifier: Apache-2.0
# Completion of fairlead and fairleadd for bash.
#
# Commands and flags come from the programs' own help, so there is no second list of them.

# The words that begin a line of the named section of a help text: "Commands" or "Options".
_fairlead_words() { # SECTION PROGRAM [COMMAND]
	local section=$1
	shift
	"$@" --help 2>/dev/null | awk -v section="$section:" '
		$0 == section { inside = 1; next }
		/^[^ ]/ || /^$/ { inside = 0 }
		inside && section == "Commands:" { print $1 }
		inside && section == "Options:" && /^ +-/ {
			for (i = 1; i <= NF && $i ~ /^-/; i++) {
				sub(/,$/, "", $i)
				print $i
			}
		}'
}

_fairlead_rules() {
	{
		fairlead ls --quiet
		fairlead ls --json | sed -n 's/^ *"name": "\(.*\)",$/\1/p' | sort -u
	} 2>/dev/null
}

_fairlead() {
	local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local program=${COMP_WORDS[0]} command=${COMP_WORDS[1]-} words=
	COMPREPLY=()

	case $before in
	--socket | --config | --check | -c)
		compopt -o filenames 2>/dev/null
		mapfile -t COMPREPLY < <(compgen -f -- "$current")
		return
		;;
	--protocol) words='tcp udp sctp' ;;
	--state) words='connecting open half-closed closing' ;;
	--type) words='rule daemon session all' ;;
	--rule) words=$(_fairlead_rules) ;;
	--client | --limit | -n | --delay | --name | --at | --drain | --publish | -p) return ;;
	-d) [ "$command" = top ] && return ;;
	esac
	if [ -z "$words" ]; then
		if [ "${program##*/}" = fairleadd ]; then
			words=$(_fairlead_words Options "$program")
		elif [ "$COMP_CWORD" -eq 1 ]; then
			words="$(_fairlead_words Commands "$program") $(_fairlead_words Options "$program")"
		elif [[ $current == -* ]]; then
			words=$(_fairlead_words Options "$program" "$command")
		elif [ "$command" = unpublish ]; then
			words=$(_fairlead_rules)
		fi
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
}

complete -F _fairlead fairlead fairleadd
