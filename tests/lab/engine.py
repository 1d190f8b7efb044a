# SPDX-License-Identifier: Apache-2.0
"""A real Docker Engine on a host of the lab.

A keeper, process 1 of a process namespace, holds the engine's mounts: a root that is an overlay of
the installation's, so that the engine meets no settings of another one and leaves nothing behind.
The engine itself may end and be started again below it; with the keeper, whatever is left of
containers, shims and proxies ends.
"""

import os
import select
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .installation import ROOT, Installation
from .netns import Namespace, Place, process_is_in
from .wait import wait_until

BUILD = Path(os.environ.get("FAIRLEAD_BUILD", "build"))
if not BUILD.is_absolute():
    BUILD = ROOT / BUILD
PROXY = BUILD / "fairlead-docker-proxy"
WEBAPP = BUILD / "examples/webapp/webapp"

START_LIMIT_S = 90
DOCKER_LIMIT_S = 120
END_LIMIT_S = 30


class EngineFailed(Exception):
    """The engine ended instead of starting; with the end of its log."""


# What the keeper does: $0 the installation's root, $1 the work folder, then folders to be seen in
# the engine's root as they are here. As process 1, bash also reaps what is left to it.
KEEP = """
root=$1/root
mount -t tmpfs tmpfs "$1/overlay"
mkdir "$1/overlay/upper" "$1/overlay/work"
mount -t overlay -o "lowerdir=$0,upperdir=$1/overlay/upper,workdir=$1/overlay/work" overlay "$root"
mount -t proc proc "$root/proc"
for folder in /sys /dev "$@"; do
	mkdir -p "$root$folder"
	mount --rbind "$folder" "$root$folder"
done
exec chroot "$root" bash -c 'echo ready; while :; do sleep 3600 & wait $!; done'
"""


@dataclass
class Proxy:
    pid: int
    words: list[str]

    def argument(self, name: str) -> str:
        return self.words[self.words.index(name) + 1]

    @property
    def place(self) -> tuple[str, str, int]:
        """As ("tcp", "0.0.0.0", 8080)."""
        port = int(self.argument("-host-port"))
        return self.argument("-proto"), self.argument("-host-ip"), port


class Engine:
    """A Docker Engine on a host, with folders, a socket and control groups of its own."""

    def __init__(self, installation: Installation, host: Namespace) -> None:
        self.installation = installation
        self.host = host
        self.work = Path(tempfile.mkdtemp(prefix=f"fairlead-lab-{os.getpid()}-", dir="/tmp"))
        self.name = self.work.name
        self.log = self.work / "engine.log"
        self.process: subprocess.Popen | None = None
        self.pid = 0  # dockerd's
        self.has_other_options = False
        self.keeper: subprocess.Popen | None = None
        try:
            self._keep()
        except BaseException:
            self.close()
            raise

    def _keep(self) -> None:
        for folder in ["root", "overlay", "bin", "data", "exec", "home"]:
            (self.work / folder).mkdir()
        seen = [str(self.work), str(ROOT)] + ([] if BUILD.is_relative_to(ROOT) else [str(BUILD)])
        words = ["setpriv", "--pdeathsig", "KILL", *self.host.enter]
        words += ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        self.keeper = subprocess.Popen(
            [*words, "bash", "-euc", KEEP, str(self.installation.root), *seen],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.keeper.stdout
        assert self.keeper.stdout.readline() == "ready\n", "the engine's root could not be mounted"
        self.first = children(self.keeper.pid)[0]
        self.enter = ["nsenter", f"--target={self.first}", "--mount", "--pid", "--net"]
        # The engine's own programs: PATH may be a user's, and has the client below first at times.
        self.enter += ["--root", "--wd", "--", "env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        self._write_client()

    def _write_client(self) -> None:
        """A `docker` of the engine's own version, with its socket and no settings of a user."""
        (self.work / "daemon.json").write_text("{}\n", encoding="utf-8")
        client = self.work / "bin/docker"
        words = [*self.enter, "docker", "--config", self.work / "home", "--host", self.address]
        client.write_text(
            f'#!/bin/sh\nexec {" ".join(map(str, words))} "$@"\n', encoding="utf-8"
        )
        client.chmod(0o755)

    @property
    def address(self) -> str:
        return f"unix://{self.work}/docker.sock"

    @property
    def root(self) -> Path:
        """The engine's root folder, seen from here. Absolute links in it lead astray."""
        return Path(f"/proc/{self.first}/root")

    def start(
        self,
        *options: str,
        proxy: str | Path | None = PROXY,
        env: dict[str, str] | None = None,
    ) -> None:
        """
        Starts it and waits until it answers. No proxy: the engine is left to find its own. Proxies
        serve their ports themselves, unless `env` says otherwise.
        """
        assert self.process is None, "it is running already"
        self.has_other_options = bool(options) or proxy != PROXY or env is not None
        variables = {"FAIRLEAD_HANDOVER": "off", **(env or {})}
        enter = [*self.enter, *(f"{name}={value}" for name, value in variables.items())]
        words = ["dockerd", "--config-file", f"{self.work}/daemon.json", "--host", self.address]
        words += ["--pidfile", f"{self.work}/docker.pid", "--data-root", f"{self.work}/data"]
        words += ["--exec-root", f"{self.work}/exec", "--cgroup-parent", f"/{self.name}"]
        words += ["--exec-opt", "native.cgroupdriver=cgroupfs"]
        if proxy is not None:
            words += ["--userland-proxy-path", str(proxy)]
        with self.log.open("w", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [*self._join_control_group(), *enter, *words, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.pid = 0
        wait_until(self._has_started, "the Docker Engine answers", START_LIMIT_S)

    def _join_control_group(self) -> list[str]:
        """A command's beginning that has it, and what it starts, charged for its memory."""
        if not MEMORY_GROUPS:
            return []
        group = MEMORY_GROUPS / f"{self.name}-engine"
        group.mkdir(exist_ok=True)
        return ["sh", "-c", f'echo $$ >{group}/cgroup.procs && exec "$@"', "sh"]

    def read_memory_kb(self) -> float:
        """What the engine and its proxies are charged with, page cache excluded; or not a number.

        Unlike the machine's free memory, other jobs do not move it. Containers are in a group of
        their own.
        """
        if not MEMORY_GROUPS:
            return float("nan")
        group = MEMORY_GROUPS / f"{self.name}-engine"
        old = group / "memory.usage_in_bytes"
        used = int((old if old.exists() else group / "memory.current").read_text(encoding="ascii"))
        stat = dict(line.split() for line in (group / "memory.stat").open(encoding="ascii"))
        cache = int(stat.get("inactive_file", 0)) + int(stat.get("active_file", 0))
        return (used - cache) / 1024

    def _has_started(self) -> bool:
        assert self.process
        if self.process.poll() is not None:
            self.process = None
            raise EngineFailed("\n".join(self.read_log().splitlines()[-8:]))
        if "API listen on" not in self.read_log():
            return False
        self.pid = children(self.process.pid)[0]
        return True

    def read_log(self) -> str:
        """What it has said since its last start."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def signal_and_wait(self, number: int) -> None:
        """Sends the engine a signal that ends it, and waits for its end."""
        assert self.process
        os.kill(self.pid, number)
        self.process.wait(timeout=60)
        self.process = None

    def stop(self) -> None:
        self.signal_and_wait(signal.SIGTERM)

    def kill(self) -> None:
        self.signal_and_wait(signal.SIGKILL)

    def try_docker(
        self, *words: str, limit_s: float = DOCKER_LIMIT_S
    ) -> subprocess.CompletedProcess:
        return subprocess.run(
            [self.work / "bin/docker", *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def docker(self, *words: str, limit_s: float = DOCKER_LIMIT_S) -> str:
        """What a command of docker prints, without the last end of line."""
        done = self.try_docker(*words, limit_s=limit_s)
        assert done.returncode == 0, f"docker {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout.rstrip("\n")

    def inspect(self, container: str, template: str) -> str:
        return self.docker("inspect", "--format", "{{" + template + "}}", container)

    def container_net(self, container: str) -> Path:
        """A container's network namespace, as a file that can be entered from here."""
        key = self.inspect(container, ".NetworkSettings.SandboxKey")
        return self.root / key.lstrip("/")

    def container(self, name: str) -> Place:
        return Place(self.container_net(name))

    def remove_containers(self) -> None:
        found = self.docker("ps", "--all", "--quiet").split()
        if found:
            self.docker("rm", "--force", *found)

    def proxies(self) -> list[Proxy]:
        """Those on its host, also if the engine that started them has ended."""
        return [proxy for proxy in list_proxies() if process_is_in(proxy.pid, self.host.net)]

    def wait_for_no_proxy(self) -> None:
        wait_until(lambda: not self.proxies(), "no proxy is left")

    def close(self) -> None:
        """Ends all of it, as it may be in any state."""
        if self.process and self.pid:
            os.kill(self.pid, signal.SIGTERM)
            try:
                self.process.wait(timeout=END_LIMIT_S)
            except subprocess.TimeoutExpired:
                pass
        if self.keeper:
            self._end_keeper()
        if self.process:
            self.process.wait(timeout=END_LIMIT_S)
            self.process = None
        remove_control_groups(self.name)
        shutil.rmtree(self.work)

    def _end_keeper(self) -> None:
        """Process 1 ends with it, as the last of its namespace: then no mount is in use."""
        assert self.keeper and self.keeper.stdout
        first = [os.pidfd_open(pid) for pid in children(self.keeper.pid)]
        self.keeper.kill()
        self.keeper.wait()
        self.keeper.stdout.close()
        for handle in first:
            select.select([handle], [], [], END_LIMIT_S)
            os.close(handle)


def children(pid: int) -> list[int]:
    """The processes that a process has started, by any of its threads."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(word) for word in task.read_text(encoding="utf-8").split()]
    return found


def list_proxies() -> Iterator[Proxy]:
    """All docker-proxy processes of this machine, by what an engine gives each of them."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
        except OSError:  # it has ended
            continue
        if words[1:2] == ["-proto"] and "-container-ip" in words:
            yield Proxy(int(folder.name), words[:-1])


def find_memory_groups() -> Path | None:
    """Where groups are charged for memory: in the hierarchy of that alone, or in the one of all."""
    alone, common = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    if (alone / "cgroup.procs").exists():
        return alone
    control = common / "cgroup.subtree_control"
    if control.exists() and "memory" in control.read_text(encoding="ascii").split():
        return common
    return None


MEMORY_GROUPS = find_memory_groups()


def remove_control_groups(name: str) -> None:
    """An engine leaves the one that its containers were in; where, is for the machine to say."""
    for folder in sorted(Path("/sys/fs/cgroup").glob(f"**/{name}*"), reverse=True):
        for inner in sorted(folder.glob("**/"), reverse=True):
            try:
                inner.rmdir()
            except OSError:  # a container's is busy until it has ended
                pass
