# SPDX-License-Identifier: Apache-2.0
"""scripts/check-layers: what it must find in a bad tree, and must let pass in a good one."""

import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "scripts/check-layers"

LAYERS = """\
# the rooms
base:
net: base
relay: base net
apps/*: all
"""

GOOD = {
    "base/text.h": "#include <stdio.h>\n",
    "net/socket.c": '#include "net/socket.h"\n#include "base/text.h"\n',
    "net/socket.h": "",
    "relay/pump.c": '#include "base/text.h"\n# include "net/socket.h"\n',
    "relay/reasons.def": "",
    "apps/cli/main.c": '#include "relay/pump.h"\n#include "apps/version.h"\n',
    "apps/cli/help.c": '#include "apps/common/help.h"\n',
    "apps/common/help.h": "",
}


def check(root: Path, layers: str = LAYERS, **files: str) -> subprocess.CompletedProcess:
    """Runs the tool on the good tree with files added to it; `__` in a name stands for a slash."""
    changed = {name.replace("__", "/") + ".c": text for name, text in files.items()}
    for name, text in {**GOOD, **changed, "LAYERS": layers}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return subprocess.run([TOOL, root], text=True, capture_output=True)


def test_a_good_tree_passes(tmp_path: Path) -> None:
    result = check(tmp_path)
    assert result.returncode == 0, result.stderr
    assert f"{len(GOOD)} files keep to" in result.stdout


@pytest.mark.parametrize(
    ("file", "text", "line", "sentence"),
    [
        ("base__bad", '#include "net/socket.h"\n', 1, "room 'base' may not include"),
        ("net__bad", '\n\n  #  include "relay/pump.h"\n', 3, "it may include base."),
        ("relay__bad", '#include "apps/common/help.h"\n', 1, "room 'relay' may not include"),
        ("apps__other__bad", '#include "kernel/map.h"\n', 1, '"kernel/map.h" names no room'),
        ("net__bad", '#include "socket.h"\n', 1, '"socket.h" names no room of LAYERS'),
        ("net__bad", '#include "../base/text.h"\n', 1, '"../base/text.h" names no room of LAYERS'),
        ("net__bad", '#include "kernel/map.h"\n', 1, '"kernel/map.h" names no room of LAYERS'),
        ("kernel__bad", "", 1, "this folder has no line in"),
        ("bad", "", 1, "this folder has no line in"),
        ("net__deep__bad", "", 1, "this folder has no line in"),
    ],
)
def test_a_fault_is_named_with_its_place(
    tmp_path: Path, file: str, text: str, line: int, sentence: str
) -> None:
    result = check(tmp_path, **{file: text})
    assert result.returncode == 1
    faults = result.stderr.splitlines()
    assert len(faults) == 1, result.stderr
    assert faults[0].startswith(f"{tmp_path}/{file.replace('__', '/')}.c:{line}: ")
    assert sentence in faults[0]


@pytest.mark.parametrize(
    ("layers", "sentence"),
    [
        (LAYERS.replace("base:\n", "base: net\n"), "LAYERS:2: room 'base' may not name 'net'"),
        (LAYERS + "net: base\n", "LAYERS:6: room 'net' has a line already"),
        (LAYERS + "loop base\n", "LAYERS:6: 'loop base' is not a line"),
    ],
)
def test_a_fault_of_the_table_is_named(tmp_path: Path, layers: str, sentence: str) -> None:
    result = check(tmp_path, layers)
    assert result.returncode == 1
    assert sentence in result.stderr


def test_a_tree_without_sources_fails(tmp_path: Path) -> None:
    (tmp_path / "LAYERS").write_text(LAYERS)
    result = subprocess.run([TOOL, tmp_path], text=True, capture_output=True)
    assert result.returncode == 1
    assert "no source file was found" in result.stderr


def test_a_tree_without_a_table_fails(tmp_path: Path) -> None:
    result = subprocess.run([TOOL, tmp_path], text=True, capture_output=True)
    assert result.returncode == 1
    assert "there is no" in result.stderr
