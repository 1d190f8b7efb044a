# SPDX-License-Identifier: Apache-2.0
"""scripts/check-spdx: which files it asks for their licence line."""

import subprocess
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "scripts/check-spdx"
LINE = "SPDX-License-Identifier: " + "Apache-2.0\n"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project with one good file, one file that git ignores, and two that need no line."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / "good.c").write_text(f"#!/bin/sh\n# {LINE}")
    (tmp_path / ".gitignore").write_text(f"# {LINE}/built\n")
    (tmp_path / "built").write_text("")
    (tmp_path / "LICENSE").write_text("")
    (tmp_path / "tests/corpus").mkdir(parents=True)
    (tmp_path / "tests/corpus/input").write_bytes(b"\0")
    return tmp_path


def check(root: Path) -> subprocess.CompletedProcess:
    return subprocess.run([TOOL, root], text=True, capture_output=True)


def test_a_good_tree_passes(tree: Path) -> None:
    result = check(tree)
    assert result.returncode == 0, result.stderr
    assert "2 files carry their licence line" in result.stdout


@pytest.mark.parametrize("text", ["", "int x;\n", "\n" * 5 + LINE, "SPDX-License-Identifier: X\n"])
@pytest.mark.parametrize("added", [True, False])
def test_a_file_without_the_line_is_named(tree: Path, text: str, added: bool) -> None:
    (tree / "bad.c").write_text(text)
    if added:
        subprocess.run(["git", "-C", tree, "add", "bad.c"], check=True)
    result = check(tree)
    assert result.returncode == 1
    assert result.stderr.startswith("bad.c:1: lacks its licence line")
    assert len(result.stderr.splitlines()) == 1


def test_what_runs_in_the_kernel_has_another_one(tree: Path) -> None:
    program = tree / "src/kernel/translate.bpf.c"
    program.parent.mkdir(parents=True)
    program.write_text(f"// {LINE}")
    assert "GPL-2.0-only OR BSD-2-Clause" in check(tree).stderr
    program.write_text("// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause\n")
    assert check(tree).returncode == 0


def test_an_empty_tree_fails(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert check(tmp_path).returncode == 1
