# SPDX-License-Identifier: Apache-2.0
"""Holds the manual pages and the documents to the sources, so that they stay true.

Settings, end reasons, flags and rooms are read where the programs have them: from the tables in
src/ and from the programs' own usage texts.
"""

import os
import re
import shlex
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ.get("FAIRLEAD_BUILD") or ROOT / "build").resolve()
SRC = ROOT / "src"
DROP_IN_PAGE = ROOT / "man/fairlead-docker-proxy.8.scd"
PUBLISH_PAGE = ROOT / "man/fairlead-publish.1.scd"
COMMAND_PAGE = ROOT / "man/fairlead.1.scd"
DAEMON_PAGE = ROOT / "man/fairleadd.8.scd"
IDENTITY_PAGE = ROOT / "man/fairlead-identity.7.scd"
CONFIG_PAGE = ROOT / "man/fairlead.json.5.scd"
COLUMNS_MAX = 100
README_LINES_MAX = 200
# Named in the documents, and no setting of the programs.
OTHER_VARIABLES = {"FAIRLEAD_BUILD", "FAIRLEAD_HANDOVER", "FAIRLEAD_SOCKET"}

pytestmark = pytest.mark.timeout(60)


@cache
def project_files() -> list[str]:
    """What is in git, or about to be."""
    words = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    output = subprocess.run(words, check=True, text=True, stdout=subprocess.PIPE).stdout
    return [path for path in output.splitlines() if (ROOT / path).is_file()]


def documents() -> list[str]:
    return [path for path in project_files() if path.endswith(".md")]


def pages() -> list[str]:
    return [path for path in project_files() if path.endswith(".scd")]


def read(path: str | Path) -> str:
    return (ROOT / path).read_text()


def usage(*words: str) -> str:
    """What a program prints about itself, wherever it prints it."""
    command = [str(BUILD / words[0]), *words[1:]]
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(command, check=True, text=True, timeout=10, **output).stdout


# The tables of the sources.


@dataclass(frozen=True)
class Setting:
    variable: str
    standard: str
    least: str
    most: str


def settings() -> list[Setting]:
    row = re.compile(
        r"^(?:DURATION|NUMBER)\(\w+, \"(\w+)\", \"?(\w+)\"?, \"?(\w+)\"?, \"?(\w+)\"?, \"", re.M
    )
    text = read(SRC / "model/settings.def")
    found = [Setting(*match.groups()) for match in row.finditer(text)]
    assert len(found) == len(re.findall(r"^(?:DURATION|NUMBER)\(", text, re.M)) > 0
    return found


def daemon_settings() -> list[tuple[str, str]]:
    """Each key with its default."""
    text = read(SRC / "model/daemon_settings.def")
    row = (
        r"^(?:(?:TEXT|CHOICE)\((?P<a>\w+), [\w ]+, \"(?P<b>[^\"]+)\""
        r"|DURATION\(\w+, \"(?P<c>\w+)\", \"(?P<d>\w+)\"|NUMBER\((?P<e>\w+), (?P<f>\d+))"
    )
    found = [
        (it["a"] or it["c"] or it["e"], it["b"] or it["d"] or it["f"])
        for it in re.finditer(row, text, re.M)
    ]
    assert len(found) == len(re.findall(r"^[A-Z]+\(", text, re.M)) > 0
    return found


def identity_keys() -> list[tuple[str, str, str]]:
    """Each key of a rule's identity, with its default and meaning."""
    text = read(SRC / "model/identity.def")
    row = re.compile(r"^[A-Z]+\(\w+, (\w+), (?:\w+, \"([^\"]+)\", )?\"([^\"]+)\"\)", re.M)
    rows = [(key, standard or "none", meaning) for key, standard, meaning in row.findall(text)]
    assert len(rows) == len(re.findall(r"^[A-Z]+\(", text, re.M)) > 0
    return rows


def journal_fields() -> set[str]:
    return set(re.findall(r"\"(FAIRLEAD_\w+)=", read(SRC / "control/access_entry.c")))


def log_targets() -> list[str]:
    return re.findall(r"\[LOG_TARGET_\w+\] = \"(\w+)\"", read(SRC / "model/settings.c"))


@dataclass(frozen=True)
class Reason:
    name: str
    is_logged: bool


def end_reasons() -> list[Reason]:
    row = re.compile(r"^END_REASON\(\w+, \"([a-z-]+)\", (true|false), \"", re.M)
    text = read(SRC / "relay/end_reason.def")
    found = [Reason(name, telling == "true") for name, telling in row.findall(text)]
    assert len(found) == len(re.findall(r"^END_REASON\(", text, re.M)) > 0
    return found


def rooms() -> list[str]:
    return re.findall(r"^([a-z*/]+):", read(SRC / "LAYERS"), re.M)


# What the manual pages say.


def section(page: Path, name: str) -> str:
    match = re.search(rf"^# {name}\n(.*?)(?=^# |\Z)", read(page), re.M | re.S)
    assert match, f"{page.name} has no section {name}"
    return match.group(1)


def flags_of_page(page: Path) -> set[str]:
    """The flags that have a paragraph of their own in OPTIONS."""
    heads = re.findall(r"^\*-.*$", section(page, "OPTIONS"), re.M)
    return {flag for head in heads for flag in re.findall(r"\*(-[\w-]+)\*", head)}


def test_manual_has_every_setting_with_its_default_and_range() -> None:
    row = re.compile(r"^\*(FAIRLEAD_\w+)\* \((\w+); (\w+) to (\w+)\)$", re.M)
    described = [Setting(*match) for match in row.findall(section(DROP_IN_PAGE, "ENVIRONMENT"))]
    assert described == settings()


def test_manual_has_every_target_of_the_log() -> None:
    head = re.search(
        r"^\*FAIRLEAD_LOG\* \((\w+); ([\w, ]+)\)$", section(DROP_IN_PAGE, "ENVIRONMENT"), re.M
    )
    assert head, "FAIRLEAD_LOG has no paragraph"
    assert head.group(1) == "auto"
    assert sorted(re.split(r", | or ", head.group(2))) == sorted(log_targets())


def test_readme_has_every_setting_with_its_default() -> None:
    described = re.findall(r"^\| `(FAIRLEAD_\w+)` \| (\w+) \|", read("README.md"), re.M)
    expected = [(it.variable, it.standard) for it in settings()] + [("FAIRLEAD_LOG", "auto")]
    assert described == expected


@pytest.mark.parametrize("path", documents() + pages())
def test_no_other_variable_is_named(path: str) -> None:
    known = {it.variable for it in settings()} | {"FAIRLEAD_LOG"} | OTHER_VARIABLES
    known |= journal_fields()
    assert set(re.findall(r"\bFAIRLEAD_\w+", read(path))) <= known


def test_manual_has_every_setting_of_the_daemon_with_its_default() -> None:
    row = re.compile(r"^\*(\w+)\* \((\S+)\)$", re.M)
    assert row.findall(section(CONFIG_PAGE, "DAEMON")) == daemon_settings()


def test_manual_has_every_key_of_the_identity_with_default_and_meaning() -> None:
    row = re.compile(r"^\*(\w+)\* \(([\w,-]+)\)\n((?:\t.*\n)+)", re.M)
    described = [
        (key, standard, " ".join(text.split()).rstrip("."))
        for key, standard, text in row.findall(section(IDENTITY_PAGE, "RULES"))
    ]
    assert described == [
        (key, standard, meaning[0].upper() + meaning[1:]) for key, standard, meaning in identity_keys()
    ]


def test_manual_has_the_keys_of_all_other_settings() -> None:
    variables = [it.variable for it in settings()] + ["FAIRLEAD_LOG"]
    keys = [variable.removeprefix("FAIRLEAD_").lower() for variable in variables]
    assert re.findall(r"\*([a-z_]+)\*", section(CONFIG_PAGE, "SETTINGS")) == keys


def test_manual_has_every_field_of_the_journal() -> None:
    assert set(re.findall(r"\*(FAIRLEAD_\w+)\*", section(DAEMON_PAGE, "ACCESS LOG"))) == (
        journal_fields()
    )


def test_manual_has_the_flags_of_the_daemon() -> None:
    accepted = set(re.findall(r"(?<![\w-])(--?[\w-]+)(?= |,)", usage("fairleadd", "--help")))
    assert flags_of_page(DAEMON_PAGE) == accepted


def test_manual_has_every_end_reason() -> None:
    row = re.compile(r"^\*([a-z-]+)\*( \(logged\))?$", re.M)
    found = row.findall(section(DROP_IN_PAGE, "END REASONS"))
    assert [Reason(name, bool(logged)) for name, logged in found] == end_reasons()


def test_documents_name_no_end_reason_that_there_is_not() -> None:
    known = {it.name for it in end_reasons()}
    for path in documents():
        named = re.findall(r"end reason\s+`([a-z-]+)`", read(path))
        assert set(named) <= known, path


def test_manual_has_the_flags_of_the_drop_in() -> None:
    accepted = set(re.findall(r"^  (-[\w-]+)", usage("fairlead-docker-proxy", "-h"), re.M))
    assert len(accepted) > 2
    assert flags_of_page(DROP_IN_PAGE) == accepted


@pytest.mark.parametrize(
    ("page", "words"),
    [(COMMAND_PAGE, ["--help"]), (PUBLISH_PAGE, ["publish", "--help"])],
    ids=["fairlead", "publish"],
)
def test_manual_has_the_flags_of_the_command(page: Path, words: list[str]) -> None:
    options = re.findall(r"^ +(?:(-\w), )?(--[\w-]+)", usage("fairlead", *words), re.M)
    assert len(options) > 1
    assert flags_of_page(page) == {flag for pair in options for flag in pair if flag}


def test_manual_has_every_command() -> None:
    listed = re.search(r"^Commands:\n(.*?)\n\n", usage("fairlead", "--help"), re.M | re.S)
    assert listed, "fairlead --help lists no commands"
    commands = re.findall(r"^  (\w+)", listed.group(1), re.M)
    assert re.findall(r"^\*(\w+)\*$", section(COMMAND_PAGE, "COMMANDS"), re.M) == commands


@pytest.mark.parametrize("path", pages())
def test_manual_is_built_and_refers_to_pages_of_ours_that_exist(path: str) -> None:
    names = {Path(page).name.removesuffix(".scd") for page in pages()}
    assert f"'{Path(path).name.removesuffix('.scd')}'" in read("man/meson.build")
    for name, number in re.findall(r"\*(fairlead[\w-]*)\*\((\d)\)", read(path)):
        assert f"{name}.{number}" in names


# What the documents say.


def without_code(text: str) -> str:
    text = re.sub(r"^( *)```.*?^\1```$", "", text, flags=re.M | re.S)
    return re.sub(r"`[^`]*`", "", text)


def anchors(path: Path) -> set[str]:
    """The fragments of a document's headings, as hosts of repositories make them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.M | re.S)
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    text = without_code(text)
    inline = re.findall(r"\]\(([^)\s]+)\)", text)
    return inline + re.findall(r"^\[[^\]]+\]: (\S+)$", text, re.M)


@pytest.mark.parametrize("path", documents())
def test_links_lead_somewhere(path: str) -> None:
    for link in links(read(path)):
        if re.match(r"[a-z]+://", link):
            continue
        target, _, anchor = link.partition("#")
        file = (ROOT / path).parent / target if target else ROOT / path
        assert file.exists(), link
        assert not anchor or anchor in anchors(file), link


@pytest.mark.parametrize("path", documents())
def test_references_are_defined(path: str) -> None:
    text = without_code(read(path))
    defined = set(re.findall(r"^\[([^\]]+)\]: ", text, re.M))
    assert set(re.findall(r"\]\[([^\]]+)\]", text)) == defined


@cache
def known_paths() -> set[str]:
    """Every file of the project, also without its suffix, and every folder that has one."""
    files = [Path(path) for path in project_files()]
    return {str(path) for file in files for path in [file, file.with_suffix(""), *file.parents]}


def paths_named(text: str) -> set[str]:
    """What looks like a path below a folder of the project, or of a room: src/base, relay/flow.c.

    Of one with a word that stands for others, as src/ROOM/FILE.c, what is before it counts.
    """
    folders = {path.split("/")[0] for path in project_files() if "/" in path}
    folders |= {room.split("/")[0] for room in rooms()}
    first = "|".join(re.escape(folder) for folder in sorted(folders))
    found = re.findall(rf"(?<![\w/.<-])(?:{first})(?:/[\w.-]*[\w-])+", text)
    return {re.sub(r"/(?:ROOM|FILE|NAME|PROXY)\b.*", "", path) for path in found}


@pytest.mark.parametrize("path", documents())
def test_paths_exist(path: str) -> None:
    for named in paths_named(read(path)):
        assert {named, f"src/{named}"} & known_paths(), f"{named} is not there"


@pytest.mark.parametrize("path", documents())
def test_functions_exist(path: str) -> None:
    sources = "".join(read(name) for name in project_files() if re.match(r"src/.*\.[ch]$", name))
    for function in re.findall(r"`(\w+)\(\)`", read(path)):
        assert re.search(rf"\b{function}\(", sources), f"{function} is not there"


def test_architecture_has_every_room_and_what_it_may_include() -> None:
    table = read("ARCHITECTURE.md").partition("\n## The rooms\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z*/]+)` \|([\w, ]*)\|", table, re.M)
    described = [(room, allowed.replace(",", "").split()) for room, allowed in rows]
    layers = re.findall(r"^([a-z*/]+):(.*)$", read(SRC / "LAYERS"), re.M)
    assert described == [(room, allowed.split()) for room, allowed in layers]


@pytest.mark.parametrize("kind", ["kernel", "tests"])
def test_architecture_has_every_test(kind: str) -> None:
    text = read("ARCHITECTURE.md")
    if kind == "kernel":
        expected = {path.name for path in (ROOT / "tests/kernel").glob("*_test.c")}
        named = set(re.findall(r"`(\w+_test\.c)`", text))
    else:
        below = [path.split("/") for path in project_files() if path.startswith("tests/")]
        expected = {parts[1] for parts in below if len(parts) > 2}
        named = set(re.findall(r"`tests/(\w+)`", text))
    assert named == expected


def test_targets_of_make_exist() -> None:
    targets = set(re.findall(r"^([\w-]+):", read("Makefile"), re.M))
    for path in documents():
        named = re.findall(r"(?:^ {4}|`)make ([a-z][\w-]*)", read(path), re.M)
        assert set(named) <= targets, path


def examples(text: str) -> list[list[str]]:
    """The command lines of our programs, as a shell takes them."""
    text = text.replace("\\\\\n", "\\\n").replace("\\\n", " ")
    line = r"^ *(?:\$ )?(?:build/)?((?:fairlead publish|fairlead-docker-proxy) -\w.*)$"
    return [shlex.split(found, comments=True) for found in re.findall(line, text, re.M)]


@pytest.mark.parametrize("path", documents() + pages())
def test_examples_are_understood(path: str) -> None:
    """A flag that no program has is put at the end: it is refused if all before it is well."""
    for command in examples(read(path)):
        words = [str(BUILD / command[0]), *command[1:], "-nope"]
        done = subprocess.run(words, text=True, timeout=10, stderr=subprocess.PIPE)
        assert done.returncode == 2
        assert re.match(r".*(unknown flag|flag provided but not defined): -n", done.stderr), command


def test_examples_are_found() -> None:
    """Lest the test above looks at none."""
    found = [command for path in documents() + pages() for command in examples(read(path))]
    assert {command[0] for command in found} == {"fairlead", "fairlead-docker-proxy"}
    assert len(found) >= 6


def test_readme_is_short() -> None:
    assert len(read("README.md").splitlines()) <= README_LINES_MAX


@pytest.mark.parametrize("path", documents() + pages())
def test_lines_have_few_columns(path: str) -> None:
    lines = read(path).expandtabs(8).splitlines()
    assert [line for line in lines if len(line) > COLUMNS_MAX] == []
