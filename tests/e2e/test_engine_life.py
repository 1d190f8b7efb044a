# SPDX-License-Identifier: Apache-2.0
"""Fairlead under real Docker Engines that end, start again, and look for their proxy."""

import filecmp
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.engine import PROXY, EngineFailed
from lab.lab import Lab, curl
from lab.netns import HOST_IP6
from lab.wait import wait_until

pytest_plugins = ["lab.fixtures"]
pytestmark = pytest.mark.timeout(300)

PLACES = [("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080)]


def run_always(lab: Lab) -> str:
    """The page of a container that an engine starts again."""
    container = lab.run_webapp("--name", "web_1", "--restart", "always", "-p", "8080:80")
    page = f"Hostname: {container[:12]}\nRemote IP: 172.17.0.1\n"
    assert_served(lab, page)
    return page


def assert_served(lab: Lab, page: str) -> None:
    assert lab.places() == PLACES
    assert curl(lab.host, "http://[::1]:8080/") == page
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page


def wait_until_running(lab: Lab) -> None:
    template = ".State.Running"
    wait_until(lambda: lab.engine.inspect("web_1", template) == "true", "the container runs")
    wait_until(lambda: lab.places() == PLACES, "its proxies run")
    lab.wait_for_webapp("web_1")


def test_the_engine_restarts(lab: Lab) -> None:
    page = run_always(lab)
    lab.engine.stop()
    assert lab.places() == []
    lab.engine.start()
    wait_until_running(lab)
    assert_served(lab, page)


def test_the_engine_restarts_and_its_containers_live_on(lab: Lab) -> None:
    """The engine's end ends the proxies, by their parent-death signal; its start, new ones."""
    lab.engine.stop()
    lab.engine.start("--live-restore")
    page = run_always(lab)
    began = lab.engine.inspect("web_1", ".State.StartedAt")
    before = {proxy.pid for proxy in lab.engine.proxies()}
    lab.engine.stop()
    lab.engine.wait_for_no_proxy()
    lab.engine.start("--live-restore")
    wait_until_running(lab)
    assert_served(lab, page)
    assert lab.engine.inspect("web_1", ".State.StartedAt") == began
    assert before.isdisjoint(proxy.pid for proxy in lab.engine.proxies())


@pytest.mark.parametrize("options", [[], ["--live-restore"]], ids=["plain", "live-restore"])
def test_the_engine_is_killed(lab: Lab, options: list[str]) -> None:
    lab.engine.stop()
    lab.engine.start(*options)
    page = run_always(lab)
    # With a session that is open: a proxy does not stay to serve it.
    with lab.host.connect("::1", 8080) as session:
        session.sendall(b"GET / HTTP/1.1\r\nHost: web_1\r\n\r\n")
        assert session.recv(4096).startswith(b"HTTP/1.1 200")
        lab.engine.kill()
        lab.engine.wait_for_no_proxy()
    lab.engine.start(*options)
    wait_until_running(lab)
    assert_served(lab, page)


def test_a_container_that_ends_and_starts_again(lab: Lab) -> None:
    page = run_always(lab)
    for _ in range(3):
        lab.docker("restart", "--time", "5", "web_1")
        lab.wait_for_webapp("web_1")
        assert_served(lab, page)
    lab.docker("stop", "web_1")
    assert lab.places() == []


def test_the_program_works_where_it_is_copied_to_alone(lab: Lab) -> None:
    copy = lab.engine.work / "elsewhere/docker-proxy"
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(PROXY, copy)
    lab.engine.stop()
    lab.engine.start(proxy=copy)
    run_always(lab)
    assert {proxy.words[0] for proxy in lab.engine.proxies()} == {str(copy)}


def test_the_engine_finds_it_without_configuration(lab: Lab) -> None:
    if lab.engine.installation.major < 27:
        pytest.skip("engines before 27 look in PATH alone")
    place = "usr/local/libexec/docker/docker-proxy"
    found = lab.engine.root / place
    found.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(PROXY, found)
    lab.engine.stop()
    try:
        lab.engine.start(proxy=None)
        run_always(lab)
        for proxy in lab.engine.proxies():
            assert proxy.words[0] == f"/{place}"
            assert filecmp.cmp(f"/proc/{proxy.pid}/exe", PROXY, shallow=False)
    finally:
        found.unlink()


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("fairlead-docker-proxy", "must be an absolute path"),
        ("/nowhere/fairlead-docker-proxy", "no such file or directory"),
    ],
    ids=["relative", "missing"],
)
def test_a_path_that_leads_to_no_proxy(lab: Lab, path: str, reason: str) -> None:
    """Engines since 25 refuse to start; earlier ones, to publish a port."""
    lab.engine.stop()
    if lab.engine.installation.major >= 25:
        with pytest.raises(EngineFailed, match=reason):
            lab.engine.start(proxy=path)
        return
    lab.engine.start(proxy=path)
    failed = lab.engine.try_docker("run", "-d", "-p", "8080:80", "webapp")
    assert failed.returncode != 0
    assert f"{path}: no such file or directory" in failed.stderr
    assert lab.places() == []
