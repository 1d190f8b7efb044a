# SPDX-License-Identifier: Apache-2.0
"""bench/: what is computed from figures, and that a short run measures and leaves nothing.

The modules of bench/ are scripts beside each other, so their folder is put into the path.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BENCH = ROOT / "bench"
BUILD = Path(os.environ.get("FAIRLEAD_BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
sys.path.insert(0, str(BENCH))

import metrics  # noqa: E402
import peers  # noqa: E402
import report  # noqa: E402
import workloads  # noqa: E402


def record(*entries: tuple) -> report.Record:
    """Entries are (round, workload, peer, values), or an error in place of the values."""
    figures = []
    for number, workload, peer, values in entries:
        what = {"error": values} if isinstance(values, str) else {"values": values}
        figures.append({"round": number, "workload": workload, "peer": peer, **what})
    names = dict.fromkeys(entry["peer"] for entry in figures)
    return {
        "format": 1,
        "date": "2026-01-02",
        "command": ["bench/run"],
        "machine": {"kernel": "6.1"},
        "plan": {},
        "peers": {name: {"title": name, "version": "1"} for name in names},
        "figures": figures,
    }


def bulk(number: int, peer: str, gbit_s: float) -> tuple:
    return number, "bulk-1", peer, {"gbit_s": gbit_s}


def test_a_ratio_is_of_one_round() -> None:
    """The second round was slower for both: what lies between rounds does not count."""
    given = record(
        bulk(1, "fairlead", 20), bulk(1, "nginx", 10), bulk(2, "fairlead", 4), bulk(2, "nginx", 1)
    )
    assert report.ratios(report.collect(given), "bulk-1.gbit_s", "nginx") == [2, 4]


def test_a_round_without_both_figures_has_no_ratio() -> None:
    given = record(
        bulk(1, "fairlead", 20),
        (1, "bulk-1", "nginx", "it did not start"),
        bulk(2, "fairlead", 9),
        bulk(2, "nginx", 3),
        bulk(3, "nginx", 3),
    )
    assert report.ratios(report.collect(given), "bulk-1.gbit_s", "nginx") == [3]
    assert report.error_lines(given) == ["round 1, bulk-1, nginx: it did not start"]


def test_the_spread_is_median_least_and_most() -> None:
    assert report.spread([5, 1, 3]) == report.Spread(3, 1, 5)


def test_latency_is_compared_with_the_kernel_of_the_same_round() -> None:
    given = record(
        (1, "rr", "dnat", {"p50_us": 10}),
        (1, "rr", "fairlead", {"p50_us": 25}),
        (2, "rr", "dnat", {"p50_us": 40}),
        (2, "rr", "fairlead", {"p50_us": 50}),
        (3, "rr", "fairlead", {"p50_us": 50}),
    )
    figures = report.collect(given)
    assert figures["rr.added_p50_us"] == {"fairlead": {1: 15, 2: 10}}
    rows = {row[0]: row[1:] for row in report.figure_rows(given, figures)}
    assert rows["added to DNAT: p50, us"] == ["", "12.5 (10.0 to 15.0)"]


@pytest.mark.parametrize(
    ("metric", "figures", "expected"),
    [
        ("bulk-1.gbit_s", {"nginx": 3, "haproxy": 5}, "haproxy"),
        ("rr.p50_us", {"nginx": 3, "haproxy": 5}, "nginx"),
    ],
)
def test_the_best_peer_depends_on_what_is_better(
    metric: str, figures: dict[str, float], expected: str
) -> None:
    given = {metric: {name: {1: value} for name, value in figures.items()}}
    assert report.best_peer(given, metric, [*figures, "socat"]) == expected
    assert report.best_peer(given, metric, ["socat"]) is None


@pytest.mark.parametrize(("ours", "reached"), [(11, True), (10.9, False)])
def test_a_bar_of_more_is_reached_from_below(ours: float, reached: bool) -> None:
    given = report.collect(
        record(bulk(1, "fairlead", ours), bulk(1, "nginx", 10), bulk(1, "haproxy", 2))
    )
    verdict = report.judge(given, metrics.Bar("bulk-1.gbit_s", 1.1, ("haproxy", "nginx")))
    assert verdict
    assert (verdict.peer, verdict.reached) == ("nginx", reached)


@pytest.mark.parametrize(("ours", "reached"), [(0.7, True), (0.71, False)])
def test_a_bar_of_less_is_reached_from_above(ours: float, reached: bool) -> None:
    entries = [(1, "bulk-1", name, {"cpu_s_gb": v}) for name, v in [("fairlead", ours), ("p", 1)]]
    verdict = report.judge(
        report.collect(record(*entries)), metrics.Bar("bulk-1.cpu_s_gb", 0.7, ("p",))
    )
    assert verdict
    assert verdict.reached == reached


def test_a_bar_without_peers_is_held_against_the_figure() -> None:
    bar = metrics.Bar("memory-tcp.session_bytes", 400)
    for value, reached in [(400, True), (401, False)]:
        given = record((1, "memory-tcp", "fairlead", {"session_bytes": value}))
        verdict = report.judge(report.collect(given), bar)
        assert verdict
        assert verdict.reached == reached
    assert report.judge({}, bar) is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(1234567, "1,234,567"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")],
)
def test_numbers_are_short(value: float, text: str) -> None:
    assert report.number(value) == text


def test_the_table_has_a_row_for_each_metric_and_a_column_for_each_peer() -> None:
    given = record(
        bulk(1, "fairlead", 20), bulk(1, "nginx", 10), bulk(2, "fairlead", 30), bulk(2, "nginx", 10)
    )
    assert report.figure_rows(given, report.collect(given)) == [
        ["", "fairlead", "nginx"],
        ["bulk, 1 stream, Gbit/s", "25.0 ±20%", "10.0"],
    ]
    assert report.ratio_rows(given, report.collect(given)) == [
        ["ours / peer", "nginx"],
        ["bulk, 1 stream (more is better)", "2.50 (2.00-3.00)"],
    ]


def test_a_table_is_aligned() -> None:
    assert report.text_table([["", "b"], ["long", "10"], ["c", ""]]) == "       b\nlong  10\nc"


def test_a_long_command_can_be_pasted() -> None:
    command = " ".join(["bench/run", *[f"--word {n}" for n in range(30)]])
    lines = report.wrapped(command, " \\", "  ")
    assert len(lines) > 1
    assert all(len(line) <= 100 for line in lines)
    assert "\n".join(lines).replace("\\\n", " ").split() == command.split()


def test_wide_tables_are_turned_and_cut() -> None:
    head, *rows = [["", "a", "b"], *[[f"metric {n}" * 4, "1", "2"] for n in range(5)]]
    tables = report.markdown_tables([head, *rows]).split("\n\n")
    assert len(tables) > 1
    assert all(len(line) <= 100 for table in tables for line in table.splitlines())
    # Each piece begins with a column of the peers, and none of the others is lost.
    assert all(table.splitlines()[2].startswith("| a | 1 |") for table in tables)
    heads = [table.splitlines()[0].strip("| ").split(" | ") for table in tables]
    assert [name for head in heads for name in head] == [row[0] for row in rows]


def test_the_reports_name_peers_that_are_missing() -> None:
    given = record(bulk(1, "fairlead", 20))
    given["peers"]["socat"] = {"title": "socat", "missing": "socat"}
    for text in (report.text_report(given), report.markdown_report(given, [])):
        assert "socat: socat, missing: socat" in text


def test_the_report_says_how_busy_the_machine_was() -> None:
    given = record(*[bulk(n, "fairlead", 20) for n in range(3)])
    for entry, share in zip(given["figures"], [0.02, 0.01, 0.3]):
        entry["others"] = share
    line = report.others_line(given)
    assert line.startswith("Others used 2% of the processors (1%-30%). 1 of 3 figures")


def test_a_change_knows_which_way_is_worse() -> None:
    def loss(metric: str, before: float, after: float) -> float:
        spreads = report.spread([before]), report.spread([after])
        return report.Change(metric, "nginx", *spreads).loss_percent

    assert loss("bulk-1.gbit_s", 2.0, 1.5) == 25
    assert loss("rr.p50_us", 1.0, 1.25) == 25
    assert loss("rr.p50_us", 1.0, 0.5) == -50


@pytest.mark.parametrize(
    ("before", "after", "clear"),
    [([3, 4, 5], [1, 2], True), ([3, 4, 5], [1, 3], False), ([1, 2], [3, 4], True)],
)
def test_a_change_is_clear_beyond_the_spread(
    before: list[float], after: list[float], clear: bool
) -> None:
    change = report.Change("http.requests_s", "nginx", report.spread(before), report.spread(after))
    assert change.is_clear == clear


def compare(folder: Path, before: float, after: float, *words: str) -> subprocess.CompletedProcess:
    for name, ours in [("old", before), ("new", after)]:
        given = record(bulk(1, "fairlead", ours), bulk(1, "nginx", 10))
        (folder / name).write_text(json.dumps(given))
    command = [BENCH / "compare", folder / "old", folder / "new", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_compare_tells_what_fell(tmp_path: Path) -> None:
    done = compare(tmp_path, before=20, after=15)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[1].split() == [
        *("bulk, 1 stream".split()),
        *("nginx 2.00 1.50 25 % clear".split()),
    ]
    assert done.stdout.splitlines()[-1] == "1 of 1 ratios fell by more than 10 %"


@pytest.mark.parametrize(
    ("after", "words"), [(18.5, []), (25, []), (15, ["--threshold", "30"])]
)
def test_compare_is_content_with_less(tmp_path: Path, after: float, words: list[str]) -> None:
    done = compare(tmp_path, 20, after, *words)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1), done.stdout + done.stderr


def test_compare_can_leave_out_what_the_spread_explains(tmp_path: Path) -> None:
    for name, rounds in [("old", [20, 30, 20]), ("new", [12, 28, 12])]:
        entries = [bulk(n, "fairlead", ours) for n, ours in enumerate(rounds)]
        entries += [bulk(n, "nginx", 10) for n in range(3)]
        (tmp_path / name).write_text(json.dumps(record(*entries)))
    words = [BENCH / "compare", tmp_path / "old", tmp_path / "new"]
    assert subprocess.run(words, capture_output=True, timeout=60).returncode == 1
    done = subprocess.run([*words, "--clear"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (
        0,
        "0 of 1 ratios fell clearly by more than 10 %\n",
    )


def test_compare_refuses_what_cannot_be_compared(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).write_text(json.dumps(record(bulk(1, "fairlead", 20))))
    command = [BENCH / "compare", tmp_path / "old", tmp_path / "new"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (
        2,
        "bench/compare: the runs have no ratio in common\n",
    )


def test_workloads_are_chosen_by_name_and_by_group() -> None:
    assert [w.name for w in workloads.select(["http"])] == ["http"]
    assert len(workloads.select(["udp"])) == 12
    assert [w.name for w in workloads.select(["udp-64-1"])] == ["udp-64-1", "udp-64-1-reply"]
    with pytest.raises(ValueError, match="there is no workload 'bulky'"):
        workloads.select(["bulky"])


def test_each_bar_and_difference_is_of_a_known_metric() -> None:
    known = set(metrics.METRICS)
    assert {bar.metric for bar in metrics.BARS} <= known
    assert set(metrics.ADDED) | set(metrics.ADDED.values()) <= known
    names = {peer.name for peer in peers.PEERS}
    assert {name for bar in metrics.BARS for name in bar.against} <= names
    workload_names = {workload.name for workload in workloads.WORKLOADS}
    assert {metric.partition(".")[0] for metric in known} == workload_names


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Docker version 20.10.24+dfsg1, build 5d6db84", "20.10.24+dfsg1"),
        ("HAProxy version 2.6.12-1+deb12u4 2023/12/16", "2.6.12-1+deb12u4"),
        ("nginx version: nginx/1.22.1", "1.22.1"),
        ("nothing to see", "unknown"),
    ],
)
def test_versions_are_found(text: str, version: str) -> None:
    assert peers.find_version(text) == version


def can_run() -> str | None:
    """Why a run cannot be tried here, if it cannot."""
    if os.geteuid() != 0:
        return "it makes network namespaces: root only"
    if not (BUILD / "bench/load").exists():
        return f"{BUILD}/bench/load is not built"
    return None


needs_run = pytest.mark.skipif(can_run() is not None, reason=str(can_run()))


def left_over(folder: Path) -> list[str]:
    """Processes that know the run's folder for temporary files, and what is in that."""
    found = [str(path) for path in folder.iterdir()]
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if str(folder).encode() in path.read_bytes():
                found.append(path.parent.joinpath("cmdline").read_text())
        except OSError:  # it has ended
            pass
    return found


def bench_run(folder: Path, *words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [BENCH / "run", *words],
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        process_group=0,
    )


@needs_run
@pytest.mark.timeout(120)
def test_a_short_run_measures_and_leaves_nothing(tmp_path: Path) -> None:
    temporary, written = tmp_path / "tmp", tmp_path / "figures.json"
    temporary.mkdir()
    words = ["--quick", "--workloads", "bulk", "--peers", "fairlead", "--rounds", "1"]
    process = bench_run(temporary, *words, "--seconds", "0.2", "--json", str(written))
    output, _ = process.communicate(timeout=100)
    assert process.returncode == 0, output
    found = report.collect(json.loads(written.read_text()))
    assert set(found) == {
        f"bulk-{which}.{what}" for which in ("1", "8", "reverse") for what in ("gbit_s", "cpu_s_gb")
    }
    assert all(value > 0 for row in found.values() for value in row["fairlead"].values())
    assert left_over(temporary) == []


@needs_run
@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("send", "number", "status"),
    [(os.killpg, signal.SIGINT, 130), (os.kill, signal.SIGTERM, 128 + signal.SIGTERM)],
    ids=["Ctrl-C", "SIGTERM"],
)
def test_an_interrupted_run_leaves_nothing(
    tmp_path: Path, send: Callable[[int, int], None], number: int, status: int
) -> None:
    """Of the kernel's translation, as that has rules to be removed."""
    process = bench_run(tmp_path, "--workloads", "http", "--peers", "dnat", "--seconds", "60")
    deadline = time.monotonic() + 30
    client = f"{BUILD}/bench/load\0http".encode()
    while not any(client in word.encode() for word in left_over(tmp_path)):
        assert time.monotonic() < deadline, "the client did not start"
        time.sleep(0.05)
    send(process.pid, number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == status, output
    assert "Traceback" not in output
    assert left_over(tmp_path) == []
