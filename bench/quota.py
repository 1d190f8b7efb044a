# SPDX-License-Identifier: Apache-2.0
"""A share of one processor for a peer, as a container's limit gives (docker run --cpus).

Where client, proxy and backend share few processors, most of the time is the load's own, and peers
look more alike than they are. With a share that the load does not need, requests in a second are
what a peer makes of its processor time.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from topology import Failed, tree

# cgroups(7): the hierarchy of version 1 that has the controller cpu, and that of version 2.
V1, V2 = Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup")
# Short, so that a peer that has used its share up does not stand still for long.
PERIOD_US = 10_000


class Quota:
    """A control group, made before the peer is started and taken away when it has ended."""

    def __init__(self, group: Path) -> None:
        self.group = group

    def confine(self, pid: int) -> None:
        """A process with all its threads, and all below it."""
        for member in tree(pid):
            (self.group / "cgroup.procs").write_text(str(member), encoding="ascii")


def make_group(name: str, share_us: int) -> Path:
    if (V1 / "cpu.cfs_quota_us").exists():
        group = V1 / name
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US), encoding="ascii")
        (group / "cpu.cfs_quota_us").write_text(str(share_us), encoding="ascii")
        return group
    (V2 / "cgroup.subtree_control").write_text("+cpu", encoding="ascii")
    group = V2 / name
    group.mkdir()
    (group / "cpu.max").write_text(f"{share_us} {PERIOD_US}", encoding="ascii")
    return group


@contextlib.contextmanager
def quota(processors: float) -> Iterator[Quota]:
    try:
        group = make_group(f"fairlead-bench-{os.getpid()}", round(processors * PERIOD_US))
    except OSError as error:
        raise Failed(f"no control group with a limit can be made: {error}") from None
    try:
        yield Quota(group)
    finally:
        group.rmdir()
