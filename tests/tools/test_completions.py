# SPDX-License-Identifier: Apache-2.0
"""The completions of the three shells, in the shells themselves, held to the programs' help."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAIRLEAD_BUILD") or ROOT / "build").resolve()
COMPLETIONS = ROOT / "completions"

pytestmark = pytest.mark.timeout(120)

# fairlead ls of a daemon that is not there.
LISTED = """#!/bin/sh
case "$*" in
"ls --quiet") printf '0123456789ab\\n4f17e90bf1c0\\n' ;;
"ls --json") printf '[\\n  {\\n    "name": "web",\\n    "x": 1\\n  }\\n]\\n' ;;
*) exec "{program}" "$@" ;;
esac
"""

# What zsh's completion system does with the words that a function finds: it keeps those that begin
# as what has been typed.
ZSH = r"""
words=(${(Q)${(z)LINE}})
[[ $LINE != *' ' ]] || words+=('')
CURRENT=$#words
offer() { local it; for it in "$@"; do [[ $it == ${words[CURRENT]}* ]] && print -r -- $it; done }
compadd() { if [[ $1 == -a ]]; then offer ${(P)2}; else offer "$@"; fi }
_describe() { offer ${${(P)2}%%:*} }
_files() { offer *(N) }
source $COMPLETIONS/_fairlead
true
"""


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Where the shells find our programs."""
    programs = tmp_path / "bin"
    programs.mkdir()
    command = programs / "fairlead"
    command.write_text(LISTED.replace("{program}", str(BUILD / "fairlead")), encoding="utf-8")
    command.chmod(0o755)
    (programs / "fairleadd").symlink_to(BUILD / "fairleadd")
    return f"{programs}:/usr/bin:/bin"


def run(words: list[str], path: str, folder: Path, **env: str) -> str:
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=folder,
        env={"PATH": path, "HOME": str(folder), "TERM": "dumb", "LC_ALL": "C.UTF-8", **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def complete_bash(line: str, path: str, folder: Path) -> set[str]:
    script = (
        f". {COMPLETIONS}/fairlead.bash; COMP_WORDS=({line!s}); "
        f"[[ {line!r} != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '_fairlead; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    return set(run(["bash", "-c", script], path, folder).split())


def complete_zsh(line: str, path: str, folder: Path) -> set[str]:
    env = {"LINE": line, "COMPLETIONS": str(COMPLETIONS)}
    return set(run(["zsh", "-f", "-c", ZSH], path, folder, **env).split())


def complete_fish(line: str, path: str, folder: Path) -> set[str]:
    script = f"source {COMPLETIONS}/fairlead.fish; complete --do-complete '{line}'"
    rows = run(["fish", "--no-config", "-c", script], path, folder).splitlines()
    return {row.split("\t")[0] for row in rows}


SHELLS = {"bash": complete_bash, "zsh": complete_zsh, "fish": complete_fish}


@pytest.fixture(params=SHELLS)
def complete(request: pytest.FixtureRequest, path: str, tmp_path: Path):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed")
    return lambda line: SHELLS[request.param](line, path, tmp_path)


def usage(*words: str) -> str:
    command = [BUILD / words[0], *words[1:], "--help"]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout


def commands() -> set[str]:
    section = re.search(r"^Commands:\n(.*?)\n\n", usage("fairlead"), re.M | re.S)
    assert section
    return set(re.findall(r"^  (\w+)", section[1], re.M))


def flags(*words: str) -> set[str]:
    heads = re.findall(r"^ +(?:(-\w), )?(--[a-z-]+)(?: \w+)? {3,}", usage(*words), re.M)
    return {flag for pair in heads for flag in pair if flag}


def values(command: str, flag: str) -> set[str]:
    """What the help lists as values of a flag: "tcp, udp or sctp"."""
    listed = r"([\w-]+(?:(?:, | or )[\w-]+)+)"
    found = re.search(rf"{flag} \w+ {{3,}}{listed}", usage("fairlead", command))
    assert found
    return set(re.split(", | or ", found[1]))


def with_values() -> set[str]:
    """The long flags of all commands that take a value."""
    texts = [usage("fairlead", command) for command in commands()] + [usage("fairleadd")]
    return set(re.findall(r"(--[a-z-]+) \w+ {3,}", "".join(texts))) | {"--check"}


def test_commands(complete) -> None:
    assert complete("fairlead ") >= commands()
    assert complete("fairlead s") & commands() == {"sessions", "stats"}


@pytest.mark.parametrize("command", sorted(commands() if (BUILD / "fairlead").exists() else []))
def test_flags_of_each_command(complete, command: str) -> None:
    assert complete(f"fairlead {command} --") == {
        flag for flag in flags("fairlead", command) if flag.startswith("--")
    }


def test_flags_of_the_daemon(complete) -> None:
    assert complete("fairleadd --") == {
        flag for flag in flags("fairleadd") if flag.startswith("--")
    }


@pytest.mark.parametrize(
    ("command", "flag"),
    [
        ("sessions", "--protocol"),
        ("sessions", "--state"),
        ("clients", "--protocol"),
        ("clients", "--state"),
        ("events", "--type"),
    ],
)
def test_values_that_the_help_lists(complete, command: str, flag: str) -> None:
    assert complete(f"fairlead {command} {flag} ") == values(command, flag)


def test_no_command_or_rule_stands_where_a_value_does(complete, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    rules = {"0123456789ab", "4f17e90bf1c0", "web"}
    for flag in with_values() - {"--rule", "--protocol", "--state", "--type"}:
        assert not complete(f"fairlead unpublish {flag} ") & rules, flag


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("fairlead sessions --state half", {"half-closed"}),
        ("fairlead sessions --rule ", {"0123456789ab", "4f17e90bf1c0", "web"}),
        ("fairlead unpublish ", {"0123456789ab", "4f17e90bf1c0", "web"}),
        ("fairlead unpublish w", {"web"}),
    ],
)
def test_rules_and_beginnings(complete, line: str, words: set[str]) -> None:
    assert complete(line) == words


def test_meanings_are_those_of_the_help(path: str, tmp_path: Path) -> None:
    if not shutil.which("fish"):
        pytest.skip("fish is not installed")
    script = f"source {COMPLETIONS}/fairlead.fish; complete --do-complete 'fairleadd --conf'"
    shown = run(["fish", "--no-config", "-c", script], path, tmp_path).strip()
    flag, meaning = shown.split("\t")
    assert (flag, meaning) == ("--config", "Read FILE instead of /etc/fairlead/fairlead.json")
