# SPDX-License-Identifier: Apache-2.0
# Completion of fairlead and fairleadd for fish.
#
# Commands and flags come from the programs' own help, so there is no second list of them.

# Lines of a section of a help text: a word, a tab, what it means.
function __fairlead_lines # SECTION PROGRAM [COMMAND]
    set --local section $argv[1]
    $argv[2..-1] --help 2>/dev/null | awk -v section="$section:" '
        $0 == section { inside = 1; next }
        /^[^ ]/ || /^$/ { inside = 0 }
        inside && section == "Commands:" {
            word = $1
            sub(/^ *[^ ]+ +/, "")
            print word "\t" $0
        }
        inside && section == "Options:" && /^ +-/ {
            meaning = $0
            sub(/^ *(-[a-z], )?--[a-z-]+( [A-Za-z]+)? +/, "", meaning)
            for (i = 1; i <= NF && $i ~ /^-/; i++) {
                sub(/,$/, "", $i)
                print $i "\t" meaning
            }
        }'
end

function __fairlead_rules
    fairlead ls --quiet 2>/dev/null
    fairlead ls --json 2>/dev/null |
        string match --regex --groups-only '^ *"name": "(.*)",$' | sort -u
end

function __fairlead_complete
    set --local words (commandline --tokenize --cut-at-cursor --current-process)
    set --local current (commandline --current-token --cut-at-cursor)
    set --local before $words[-1]
    switch $before
        case --socket --config --check -c
            __fish_complete_path $current
            return
        case --protocol
            printf '%s\n' tcp udp sctp
            return
        case --state
            printf '%s\n' connecting open half-closed closing
            return
        case --type
            printf '%s\n' rule daemon session all
            return
        case --rule
            __fairlead_rules
            return
        case --client --limit -n --delay --name --at --drain --publish -p
            return
    end
    if test (basename $words[1]) = fairleadd
        __fairlead_lines Options $words[1]
    else if test (count $words) -eq 1
        __fairlead_lines Commands $words[1]
        __fairlead_lines Options $words[1]
    else if string match --quiet -- '-*' $current
        __fairlead_lines Options $words[1] $words[2]
    else if test $words[2] = unpublish
        __fairlead_rules
    end
end

complete --command fairlead --no-files --arguments '(__fairlead_complete)'
complete --command fairleadd --no-files --arguments '(__fairlead_complete)'
