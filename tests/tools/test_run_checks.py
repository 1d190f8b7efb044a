# SPDX-License-Identifier: Apache-2.0
"""scripts/run-checks: how it counts, and that no crash can look like success."""

import importlib.machinery
import importlib.util
import signal
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

TOOL = Path(__file__).resolve().parents[2] / "scripts/run-checks"

JUNIT = """<testsuites><testsuite>
<testcase classname="room" name="one"/>
<testcase classname="room" name="two"><failure message="1 is not 2"/></testcase>
<testcase classname="room" name="three"><error message="crashed"/></testcase>
<testcase classname="room" name="four"><skipped message="no SCTP here"/></testcase>
<testcase classname="room" name="five"><skipped type="pytest.xfail" message="a fault"/></testcase>
</testsuite></testsuites>"""

ONE_PASSED = '<testsuite><testcase classname="room" name="one"/></testsuite>'
NONE = "<testsuite/>"


@pytest.fixture
def checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The tool as a module, with results of its own."""
    loader = importlib.machinery.SourceFileLoader("run_checks", str(TOOL))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("run_checks", loader))
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    monkeypatch.setitem(__import__("sys").modules, "run_checks", module)
    loader.exec_module(module)
    monkeypatch.setattr(module, "RESULTS", tmp_path)
    return module


def run(checks: ModuleType, command: str, junit: str | None = None, reports: bool = False) -> str:
    """What a step counts whose command is this, if it also writes these results."""
    path = checks.RESULTS / "results.xml"
    if junit is not None:
        command = f"echo '{junit}' >'{path}'; {command}"
    step = checks.Step("step", ["sh", "-c", command], None if junit is None else path)
    if reports:
        step.reports = checks.RESULTS / "reports"
    return str(checks.run_step(step))


def test_each_test_of_a_runner_is_counted(checks: ModuleType) -> None:
    assert run(checks, "exit 1", JUNIT) == "2 passed, 2 failed, 1 skipped"


def test_reasons_of_skipped_tests_are_kept(checks: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "results.xml").write_text(JUNIT)
    counts = checks.read_junit(tmp_path / "results.xml")
    assert counts.reasons == ["room four: no SCTP here"]


@pytest.mark.parametrize(
    ("command", "junit", "counted"),
    [
        ("true", None, "1 passed, 0 failed"),
        ("false", None, "0 passed, 1 failed"),
        ("true", ONE_PASSED, "1 passed, 0 failed"),
        ("kill -SEGV $$", ONE_PASSED, "1 passed, 1 failed"),
        ("true", NONE, "0 passed, 1 failed"),
        ("false", NONE, "0 passed, 1 failed"),
        ("true", "<testsuites>", "0 passed, 1 failed"),
    ],
)
def test_a_crash_is_a_failure(
    checks: ModuleType, command: str, junit: str | None, counted: str
) -> None:
    assert run(checks, command, junit) == counted


def test_results_of_an_earlier_run_do_not_count(checks: ModuleType) -> None:
    path = checks.RESULTS / "results.xml"
    path.write_text(ONE_PASSED)
    assert str(checks.run_step(checks.Step("step", ["true"], path))) == "0 passed, 1 failed"


def test_a_command_that_is_not_there_is_a_failure(checks: ModuleType) -> None:
    step = checks.Step("step", ["/no/such/command"])
    assert str(checks.run_step(step)) == "0 passed, 1 failed"
    assert "/no/such/command" in (checks.RESULTS / "step.log").read_text()


def test_a_report_of_a_sanitizer_is_a_failure(checks: ModuleType) -> None:
    reports = checks.RESULTS / "reports"
    command = f"echo 'heap-use-after-free' >'{reports}/asan.1'"
    assert run(checks, command, ONE_PASSED, reports=True) == "1 passed, 1 failed"
    assert "heap-use-after-free" in (checks.RESULTS / "step.log").read_text()
    assert run(checks, "true", ONE_PASSED, reports=True) == "1 passed, 0 failed"


def test_a_runner_that_hangs_is_interrupted(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "STEP_LIMIT_S", 0.2)
    command = "trap 'echo tidied; exit 0' INT; while :; do sleep 0.1; done"
    assert run(checks, command) == "0 passed, 1 failed"
    log = (checks.RESULTS / "step.log").read_text()
    assert "out of time" in log and "tidied" in log


def test_a_runner_that_cannot_be_interrupted_is_killed(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "STEP_LIMIT_S", 0.2)
    monkeypatch.setattr(checks, "END_LIMIT_S", 0.2)
    assert run(checks, "trap '' INT; while :; do sleep 0.1; done") == "0 passed, 1 failed"


def test_the_last_line_is_the_sum_and_later_steps_run(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    junit = checks.RESULTS / "results.xml"
    write = ["sh", "-c", f"echo '{JUNIT}' >'{junit}'; exit 1"]
    bad = checks.command("bad", "sh", "-c", "echo why; exit 1")
    tests = checks.Step("tests", write, junit)
    monkeypatch.setattr(checks, "STEPS", [bad, tests, checks.command("good", "true")])
    monkeypatch.setattr("sys.argv", ["run-checks"])
    assert checks.main() == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[-2:] == ["1 skipped", "3 passed, 3 failed"]
    assert "    | why" in shown
    assert "    skipped: room four: no SCTP here" in shown


@pytest.fixture
def deaf_to_ctrl_c() -> Iterator[None]:
    """As a shell leaves it to what it starts in the background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("deaf_to_ctrl_c")
def test_what_is_started_hears_ctrl_c(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    step = checks.command("step", "sh", "-c", "trap 'echo heard; exit 1' INT; kill -INT $$")
    monkeypatch.setattr(checks, "STEPS", [step])
    monkeypatch.setattr("sys.argv", ["run-checks"])
    assert checks.main() == 1
    assert "    | heard" in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize("was_set_up", [False, True])
def test_a_build_that_was_set_up_is_set_up_again(
    checks: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, was_set_up: bool
) -> None:
    meson = tmp_path / "meson"
    meson.write_text('#!/bin/sh\necho "meson $*"\n')
    meson.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    folder = tmp_path / "build"
    folder.mkdir()
    if was_set_up:
        (folder / "build.ninja").touch()
    assert str(checks.run_step(checks.build("step", str(folder), "echo", "built"))).startswith("1 ")
    again = f"meson setup --reconfigure {folder}\n" if was_set_up else ""
    assert (tmp_path / "step.log").read_text() == f"{again}built\n"
