# SPDX-License-Identifier: Apache-2.0
"""Pictures of a run: a file for each kind of figure, a panel for each figure. With matplotlib."""

from pathlib import Path

import matplotlib
from metrics import METRICS
from report import LIMIT, OURS, Figures, Record, collect, number, spread

matplotlib.use("Agg")

from matplotlib import pyplot, ticker  # noqa: E402 - it asks at once what to draw on

COLORS = {OURS: "#c0392b", LIMIT: "#95a5a6"}
OTHERS = "#34607f"
# In inches.
PANEL_WIDTH, BAR_HEIGHT, MARGIN_HEIGHT = 4.2, 0.32, 1.2
# A figure so many times the median of its panel hides the others.
LOG_ABOVE = 30

UDP = [name for name in METRICS if name.startswith("udp-") and name.endswith(".datagrams_s")]

GROUPS = {
    "throughput": ["bulk-1.gbit_s", "bulk-8.gbit_s", "bulk-reverse.gbit_s"],
    "requests": ["http.requests_s", "connect.connections_s"],
    "latency": ["rr.p50_us", "rr.p99_us", "rr.p999_us"],
    "cpu": ["bulk-1.cpu_s_gb", "http.cpu_s_100k", "connect.cpu_s_10k"],
    "udp-one-way": [name for name in UDP if "-reply" not in name],
    "udp-replies": [name for name in UDP if "-reply" in name],
    "memory": ["memory-tcp.idle_kib", "memory-tcp.session_bytes", "memory-udp.client_bytes"],
    "ports": ["ports-1000.publish_s", "ports-1000.withdraw_s", "ports-1000.kib_port"],
}


def draw_panel(axes: "matplotlib.axes.Axes", figures: Figures, metric: str, peers: list) -> None:
    """A bar for each peer, as long as its median, with a line from its least to its most."""
    found = {name: spread(figures[metric][name].values()) for name in peers}
    places = range(len(peers))
    medians = [found[name].median for name in peers]
    below = [found[name].median - found[name].least for name in peers]
    above = [found[name].most - found[name].median for name in peers]
    colors = [COLORS.get(name, OTHERS) for name in peers]
    axes.barh(places, medians, xerr=[below, above], color=colors, ecolor="#222222", capsize=2)
    axes.set_yticks(places, peers)
    axes.invert_yaxis()
    positive = sorted(value for value in medians if value > 0)
    if positive and positive[-1] > LOG_ABOVE * positive[len(positive) // 2]:
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(ticker.MaxNLocator(4))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    axes.margins(x=0.25)
    for place, name in enumerate(peers):
        text = f"  {number(found[name].median)}"
        axes.text(max(found[name].most, 0), place, text, va="center", fontsize=8)
    better = "more" if METRICS[metric].more_is_better else "less"
    axes.set_title(METRICS[metric].title, fontsize=9)
    axes.set_xlabel(f"{METRICS[metric].unit} ({better} is better)", fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(record: Record, folder: Path) -> list[Path]:
    """Writes the pictures; those for which there are no figures are left out."""
    figures = collect(record)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, wanted in GROUPS.items():
        metrics = [metric for metric in wanted if metric in figures]
        if not metrics:
            continue
        columns = min(3, len(metrics))
        lines = -(-len(metrics) // columns)
        peers = max(len(figures[metric]) for metric in metrics)
        size = (PANEL_WIDTH * columns, (BAR_HEIGHT * peers + MARGIN_HEIGHT) * lines)
        picture, axes = pyplot.subplots(lines, columns, figsize=size, squeeze=False)
        for place, metric in zip(axes.flat, metrics):
            draw_panel(place, figures, metric, [p for p in record["peers"] if p in figures[metric]])
        for place in list(axes.flat)[len(metrics) :]:
            place.set_visible(False)
        picture.tight_layout()
        written.append(folder / f"{name}.png")
        picture.savefig(written[-1], dpi=110)
        pyplot.close(picture)
    return written
