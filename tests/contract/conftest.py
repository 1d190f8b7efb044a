# SPDX-License-Identifier: Apache-2.0
"""The contract of docker-proxy, as black-box tests: Debian's own and ours are held to the same.

All runs in a network namespace of its own, in which only lo exists and every port is free.
"""

import ctypes
import itertools
import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backends import Backend
from proxy import LISTEN_FD, Program, Proxy, flags, libc

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("FAIRLEAD_BUILD", "build")
ORIGINAL = Path("/usr/sbin/docker-proxy")
# The later one is there once the engine's tests have unpacked it.
LATER_ORIGINAL = ROOT / "build-check/engine-unstable/usr/sbin/docker-proxy"
CLONE_NEWNET = 0x40000000
DESCRIPTORS = 20000

# Where the original must fail, with the reason; `generations` says which if not both. `untried`: it
# fails only at times, or after long, so it is not tried.
original_fails = pytest.mark.original_fails

Serve = Callable[..., Proxy]
Launch = Callable[..., Proxy]
Container = Callable[[Backend], Backend]


def original(path: Path) -> Program:
    usage = subprocess.run([path, "-h"], stderr=subprocess.PIPE, text=True).stderr
    generation = "B" if "-use-listen-fd" in usage else "A"
    return Program(f"docker-proxy-{generation}", path, generation)


def programs() -> list[Program]:
    """Ours with sanitizers is tried alone: that adds nothing to what is known of the original."""
    ours = Program("fairlead", BUILD / "fairlead-docker-proxy")
    if ours.path.exists() and ours.is_sanitized:
        return [ours]
    originals = [original(path) for path in (ORIGINAL, LATER_ORIGINAL) if path.exists()]
    return [*originals, ours]


PROGRAMS = {program.name: program for program in programs()}

# Of what only ours has, such as its settings.
fairlead_only = pytest.mark.parametrize("program", ["fairlead"], indirect=True)
# Of what came with generation B. That A lacks it is shown once, in test_flags.py.
generation_b = pytest.mark.parametrize(
    "program", [name for name, it in PROGRAMS.items() if it.generation != "A"], indirect=True
)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", 'original_fails(why, generations="AB", untried=False): as conftest.py says'
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        parameters = item.callspec.params if hasattr(item, "callspec") else {}
        program = PROGRAMS.get(parameters.get("program"))
        item.add_marker(pytest.mark.timeout(90))
        for marker in item.iter_markers("original_fails"):
            if program and program.generation in marker.kwargs.get("generations", "AB"):
                expect_failure(item, program, marker)


def expect_failure(item: pytest.Item, program: Program, marker: pytest.Mark) -> None:
    if program.is_ours:
        return
    why = f"{program.name}: {marker.args[0]}"
    if marker.kwargs.get("untried"):
        item.add_marker(pytest.mark.skip(reason=why))
    else:
        item.add_marker(pytest.mark.xfail(reason=why, strict=True))


def check_libc(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


@pytest.fixture(scope="package", autouse=True)
def namespace() -> Iterator[None]:
    """This process moves to a network namespace of its own, and back at the end."""
    with open("/proc/self/ns/net", "rb") as before:
        check_libc(libc.unshare(CLONE_NEWNET), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
        check_libc(libc.setns(before.fileno(), CLONE_NEWNET), "setns")


@pytest.fixture(scope="package", autouse=True)
def descriptors() -> Iterator[None]:
    """
    Enough descriptors for the largest test. Those that this process was started with are kept from
    the proxies, which must find theirs at 3 and 4 and nothing else.
    """
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(DESCRIPTORS, before[1]), before[1]))
    for name in os.listdir("/proc/self/fd"):
        try:
            if int(name) > 2:
                os.set_inheritable(int(name), False)
        except OSError:  # the one that listed the folder
            continue
    # 3 and 4 stay taken here, so that what a child moves there is never there already, and
    # subprocess's own pipe is not either.
    placeholders = [os.open("/dev/null", os.O_RDONLY) for _ in range(LISTEN_FD)]
    yield
    for fd in placeholders:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.fixture(params=list(PROGRAMS))
def program(request: pytest.FixtureRequest) -> Program:
    found = PROGRAMS[request.param]
    assert found.path.exists(), f"{found.path} is missing: run make first"
    return found


def pytest_report_header() -> list[str]:
    return [f"{program.name}: {program.path}" for program in PROGRAMS.values()]


# Below the kernel's own range, so that no client socket ever has one of them.
_ports = itertools.count(10000)


@pytest.fixture
def new_port() -> Callable[[], int]:
    """A port number that nothing in the namespace has had before."""
    return lambda: next(_ports)


@pytest.fixture
def launch(program: Program) -> Iterator[Launch]:
    """
    Starts the program, or the one at `path`, with any arguments. What it has started and still runs
    after the test has to end in order, if it is ours; a sanitizer then looks for leaks.
    """
    started: list[Proxy] = []

    def start(*arguments: str, path: Path = program.path, **options) -> Proxy:
        started.append(Proxy([path, *arguments], **options))
        return started[-1]

    yield start
    try:
        for proxy in started:
            if program.is_ours and proxy.is_alive():
                status = proxy.stop()
                assert status == 0, f"exit status {status} after SIGINT\n{proxy.errors()}"
    finally:
        close_all(started)


@pytest.fixture
def serve(launch: Launch, new_port: Callable[[], int]) -> Serve:
    """Starts the program for one port and waits until it serves; `address` is where."""

    def start(
        target: tuple[str, int], host: str = "127.0.0.1", proto: str = "tcp", **options
    ) -> Proxy:
        listener = options.get("listener")
        port = listener.getsockname()[1] if listener else new_port()
        words = flags(proto, host, port, *target[:2])
        proxy = launch(*words, *(["-use-listen-fd"] if listener else []), **options)
        status = proxy.read_status()
        assert status == b"0\n", f"status {status!r}, stderr {proxy.errors()}"
        proxy.address = (host, port)
        return proxy

    return start


@pytest.fixture
def container() -> Iterator[Container]:
    """Keeps a backend for the time of the test."""
    kept: list[Backend] = []

    def keep(backend: Backend) -> Backend:
        kept.append(backend)
        return backend

    yield keep
    close_all(kept)


def close_all(things: list) -> None:
    """All of them, and then the first error."""
    errors = []
    for thing in things:
        try:
            thing.close()
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
