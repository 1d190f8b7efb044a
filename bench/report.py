# SPDX-License-Identifier: Apache-2.0
"""From what a run recorded to tables that a person reads. Nothing here measures.

A record is what one JSON file holds:
	machine, versions, command, plan
	peers      by name: title, version; or missing: what to install
	figures    list of {round, workload, peer, values: {name: number}} or {..., error: sentence};
		   others: the share of the processors that the rest of the machine used meanwhile

A ratio is Fairlead's figure divided by the peer's of the same round, so that what else the machine
did then touches both; its median, least and most over the rounds are shown.
"""

import statistics
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metrics import ADDED, BARS, METRICS, Bar

OURS = "fairlead"
LIMIT = "dnat"

Record = dict[str, Any]
# By metric, then peer, then round.
Figures = dict[str, dict[str, dict[int, float]]]


@dataclass(frozen=True)
class Spread:
    median: float
    least: float
    most: float


def spread(values: Iterable[float]) -> Spread:
    found = sorted(values)
    return Spread(statistics.median(found), found[0], found[-1])


def collect(record: Record) -> Figures:
    """All figures of a record, with those that are differences to the kernel's translation."""
    found: Figures = {}
    for entry in record["figures"]:
        for name, value in entry.get("values", {}).items():
            metric = f"{entry['workload']}.{name}"
            found.setdefault(metric, {}).setdefault(entry["peer"], {})[entry["round"]] = value
    for added, base in ADDED.items():
        limit = found.get(base, {}).get(LIMIT, {})
        for peer, rounds in found.get(base, {}).items():
            same = {n: value - limit[n] for n, value in rounds.items() if n in limit}
            if peer != LIMIT and same:
                found.setdefault(added, {})[peer] = same
    return {metric: found[metric] for metric in METRICS if metric in found}


def ratios(figures: Figures, metric: str, peer: str, of: str = OURS) -> list[float]:
    """Ours divided by the peer's, round by round, where both have a figure."""
    ours = figures.get(metric, {}).get(of, {})
    theirs = figures.get(metric, {}).get(peer, {})
    return [ours[n] / theirs[n] for n in sorted(ours) if theirs.get(n)]


def best_peer(figures: Figures, metric: str, names: Iterable[str]) -> str | None:
    """The one of the named with the best median."""
    medians = {
        name: spread(figures[metric][name].values()).median
        for name in names
        if figures.get(metric, {}).get(name)
    }
    if not medians:
        return None
    choose = max if METRICS[metric].more_is_better else min
    return choose(medians, key=medians.__getitem__)


@dataclass(frozen=True)
class Verdict:
    bar: Bar
    value: Spread
    peer: str | None
    reached: bool


def judge(figures: Figures, bar: Bar) -> Verdict | None:
    """None: there is no figure to hold against the bar."""
    if bar.against:
        peer = best_peer(figures, bar.metric, bar.against)
        values = ratios(figures, bar.metric, peer, bar.ours) if peer else []
        up = METRICS[bar.metric].more_is_better
    else:
        peer, up = None, False
        values = list(figures.get(bar.metric, {}).get(bar.ours, {}).values())
    if not values:
        return None
    value = spread(values)
    reached = value.median >= bar.limit if up else value.median <= bar.limit
    return Verdict(bar, value, peer, reached)


def number(value: float) -> str:
    """Three digits that count, and no more."""
    size = abs(value)
    if size >= 1000:
        return f"{value:,.0f}"
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:.{decimals}f}"


def percent_spread(value: Spread) -> str:
    """Half of what lies between least and most, in percent of the median."""
    if not value.median or value.least == value.most:
        return ""
    return f" ±{abs((value.most - value.least) / 2 / value.median) * 100:.0f}%"


def figure_text(metric: str, value: Spread) -> str:
    """A difference may be near nought, and half of anything is many times that."""
    if metric in ADDED and value.least != value.most:
        return f"{number(value.median)} ({number(value.least)} to {number(value.most)})"
    return f"{number(value.median)}{percent_spread(value)}"


Rows = list[list[str]]


def figure_rows(record: Record, figures: Figures, by_name: bool = False) -> Rows:
    names = [name for name in record["peers"] if any(name in row for row in figures.values())]
    rows = [["", *names]]
    for metric, by_peer in figures.items():
        row = [metric if by_name else f"{METRICS[metric].title}, {METRICS[metric].unit}"]
        for name in names:
            value = spread(by_peer[name].values()) if by_peer.get(name) else None
            row.append(figure_text(metric, value) if value else "")
        rows.append(row)
    return rows


def ratio_rows(record: Record, figures: Figures, by_name: bool = False) -> Rows:
    names = [name for name in record["peers"] if name != OURS]
    names = [name for name in names if any(ratios(figures, m, name) for m in figures)]
    rows = [["ours / peer", *names]]
    for metric in figures:
        # A ratio of differences that may be near nought, or below, says nothing.
        if metric in ADDED:
            continue
        up = "more" if METRICS[metric].more_is_better else "less"
        row = [metric if by_name else f"{METRICS[metric].title} ({up} is better)"]
        for name in names:
            values = ratios(figures, metric, name)
            row.append(ratio_text(spread(values)) if values else "")
        if any(row[1:]):
            rows.append(row)
    return rows


def ratio_text(value: Spread) -> str:
    if value.least == value.most:
        return f"{value.median:.2f}"
    return f"{value.median:.2f} ({value.least:.2f}-{value.most:.2f})"


def bar_rows(figures: Figures, by_name: bool = False) -> Rows:
    rows = [["bar", "of", "at", "is", "against", "reached"]]
    for bar in BARS:
        verdict = judge(figures, bar)
        if not verdict:
            continue
        metric = METRICS[bar.metric]
        up = metric.more_is_better and bool(bar.against)
        value = verdict.value
        text = ratio_text(value) if bar.against else f"{number(value.median)} {metric.unit}"
        limit = f"{'least' if up else 'most'} {bar.limit:g}"
        reached = "yes" if verdict.reached else "NO"
        name = bar.metric if by_name else metric.title
        rows.append([name, bar.ours, limit, text, verdict.peer or "", reached])
    return rows


def text_table(rows: Rows) -> str:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


# Of a line of the file that is written.
COLUMNS_MAX = 100


def markdown_width(cells: list[list[str]]) -> int:
    """Of the widest line of a table with these columns."""
    return max(sum(len(cell) + 3 for cell in line) + 1 for line in zip(*cells))


def markdown_tables(rows: Rows) -> str:
    """A table turned on its side, peers below each other, in as many pieces as its width takes."""
    head, *columns = rows
    pieces: list[list[list[str]]] = []
    for column in columns:
        if not pieces or markdown_width([*pieces[-1], column]) > COLUMNS_MAX:
            pieces.append([head])
        pieces[-1].append(column)
    return "\n\n".join(markdown_table([list(line) for line in zip(*piece)]) for piece in pieces)


def markdown_table(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|" + "---:|" * (len(rows[0]) - 1))
    return "\n".join(lines)


def legend_rows(figures: Figures) -> Rows:
    rows = [["name", "what", "unit", "better"]]
    for metric in figures:
        about = METRICS[metric]
        way = "more" if about.more_is_better else "less"
        rows.append([f"`{metric}`", about.title, about.unit, way])
    return rows


def peer_lines(record: Record) -> list[str]:
    lines = []
    for name, peer in record["peers"].items():
        about = f"version {peer['version']}" if "version" in peer else f"missing: {peer['missing']}"
        lines.append(f"{name}: {peer['title']}, {about}")
    return lines


def error_lines(record: Record) -> list[str]:
    return [
        f"round {entry['round']}, {entry['workload']}, {entry['peer']}: {entry['error']}"
        for entry in record["figures"]
        if "error" in entry
    ]


# Above this, the figures tell of the others as much as of the peers.
OTHERS_MOST = 0.1


def others_line(record: Record) -> str:
    shares = [entry["others"] for entry in record["figures"] if "others" in entry]
    if not shares:
        return "Not known: what else the machine did."
    value = spread(shares)
    line = f"Others used {value.median:.0%} of the processors ({value.least:.0%}-{value.most:.0%})."
    disturbed = sum(share > OTHERS_MOST for share in shares)
    if disturbed:
        line += f" {disturbed} of {len(shares)} figures were taken while they used over"
        line += f" {OTHERS_MOST:.0%}: do not trust small differences."
    return line


def text_report(record: Record) -> str:
    figures = collect(record)
    parts = ["\n".join(peer_lines(record)), text_table(figure_rows(record, figures))]
    for rows in (ratio_rows(record, figures), bar_rows(figures)):
        if len(rows) > 1:
            parts.append(text_table(rows))
    parts.append(others_line(record))
    if error_lines(record):
        parts.append("No figure:\n" + "\n".join(error_lines(record)))
    return "\n\n".join(parts)


CONDITIONS = """\
Clients, host and box are network namespaces of one machine, joined by veth pairs as they come
(offloads on, MTU 1500). Clients reach the proxies over IPv6, the kernel's DNAT over IPv4; the box
has IPv4 only. Load generator, proxy and backend share the processors, and nothing is pinned. So the
rates are not those of separate machines; the ratios say who leaves more to the others.

* The peers take turns within each workload, and all of that is a round. A ratio is ours divided by
  theirs in the same round. Shown are medians, with the least and the most (±: half the distance).
* HTTP with a quarter of a processor: the proxy is in a control group of its own with that limit, as
  `docker run --cpus` sets it. The load then has what it needs, and no part in the ratio.
* Bulk: both ends discard what they receive without copying it. What is sent is copied.
* New connections: connect, one HTTP request, and the backend closes after the answer.
* UDP: datagrams are handed to the client's kernel in trains, to leave the processors to the others,
  and part on the client's link: to the host they come one by one, as those of remote clients. One
  way: as many as can be sent; what arrives at the backend is counted. With replies: 64 under way
  for one client, one for each of 100.
* CPU is user and system time of the proxy's processes. What the kernel does for packets in
  interrupts counts towards whoever runs then, so it is a share of the truth for every peer.
* Memory is PSS of the proxy's processes, without what sockets hold in the kernel. Sessions are idle
  ones that have carried one byte each way: 5,000, or what the limit of descriptors lets a peer have
  that takes six for each, and 500 for socat, which starts a process for each.
* The kernel tracks connections while DNAT is measured and not otherwise.
* Clients, proxies and backend have the same congestion control, named above. Where it is bbr, which
  sends by a timer's pace, bulk is slower for all."""


def wrapped(text: str, end: str, indent: str) -> list[str]:
    """In lines that each, but the last, have that end."""
    lines = textwrap.wrap(
        text,
        COLUMNS_MAX - len(end),
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return [line + end for line in lines[:-1]] + lines[-1:]


def markdown_report(record: Record, pictures: list[str]) -> str:
    """pictures: their paths, as seen from where the report will be."""
    figures = collect(record)
    machine = record["machine"]
    lines = ["<!-- SPDX-License-Identifier: Apache-2.0 -->", "# Fairlead beside its peers", ""]
    lines += [f"Written by `bench/run --results` on {record['date']}, from this run:", ""]
    lines += ["```", *wrapped(" ".join(record["command"]), " \\", "  "), "```", ""]
    lines += [f"* {name}: {value}" for name, value in machine.items()]
    lines += [f"* {line}" for line in peer_lines(record)]
    lines += wrapped(f"* {others_line(record)}", "", "  ")
    lines += ["", "## How", "", CONDITIONS, ""]
    if pictures:
        lines += ["## Pictures", "", *[f"![{Path(it).stem}]({it})" for it in pictures], ""]
    bars = bar_rows(figures, by_name=True)
    if len(bars) > 1:
        lines += ["## Bars", "", markdown_table(bars), ""]
    lines += ["## Ratios", "", markdown_tables(ratio_rows(record, figures, by_name=True)), ""]
    lines += ["## Figures", "", markdown_tables(figure_rows(record, figures, by_name=True)), ""]
    lines += ["## Names", "", markdown_table(legend_rows(figures)), ""]
    if error_lines(record):
        lines += ["## No figure", "", *[f"* {line}" for line in error_lines(record)], ""]
    return "\n".join(lines)


@dataclass(frozen=True)
class Change:
    metric: str
    peer: str
    before: Spread
    after: Spread

    @property
    def loss_percent(self) -> float:
        """How much worse the median became; below nought where it became better."""
        quotient = self.after.median / self.before.median
        return ((1 - quotient) if METRICS[self.metric].more_is_better else (quotient - 1)) * 100

    @property
    def is_clear(self) -> bool:
        """Whether no round of one run was like a round of the other."""
        return self.before.most < self.after.least or self.after.most < self.before.least


def changes(old: Record, new: Record) -> list[Change]:
    """The median ratio of each metric to each peer that both records have."""
    before, after = collect(old), collect(new)
    found = []
    for metric in before:
        if metric in ADDED:
            continue
        for peer in before[metric]:
            first, second = ratios(before, metric, peer), ratios(after, metric, peer)
            if peer == OURS or not first or not second:
                continue
            change = Change(metric, peer, spread(first), spread(second))
            if change.before.median > 0:
                found.append(change)
    return found
