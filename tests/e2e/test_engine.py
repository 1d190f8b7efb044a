# SPDX-License-Identifier: Apache-2.0
"""Fairlead in docker-proxy's place, under real Docker Engines of two generations."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.engine import PROXY, Engine, Unavailable, find_installed, find_unstable
from lab.image import import_webapp
from lab.netns import HOST_IP6, Network

pytestmark = pytest.mark.timeout(300)

CURL = ["curl", "-q", "--silent", "--show-error", "--max-time", "10", "--noproxy", "*"]


class Lab:
    """A host with an engine, and a client outside."""

    def __init__(self, network: Network, engine: Engine) -> None:
        self.network = network
        self.host = network.host
        self.client = network.client
        self.engine = engine
        self.docker = engine.docker


@pytest.fixture(scope="session", params=[find_installed, find_unstable], ids=["20.10", "28"])
def shared_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One for each generation, as each start of an engine takes its time."""
    try:
        installation = request.param()
    except Unavailable as reason:
        pytest.skip(str(reason))
    print(f"Docker Engine {installation.version}")
    network = Network()
    engine = None
    try:
        engine = Engine(installation, network.host)
        engine.start()
        import_webapp(engine)
        yield Lab(network, engine)
    finally:
        if engine:
            engine.close()
        network.close()


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """It with an engine that runs, and nothing else; nor is anything left by the last test."""
    engine = shared_lab.engine
    if not engine.process:
        engine.start()
    yield shared_lab
    if not engine.process:
        engine.start()
    engine.remove_containers()
    engine.wait_for_no_proxy()


def curl(namespace, address: str) -> str:
    return namespace.run(*CURL, address)


def test_the_transcript(lab: Lab) -> None:
    container = lab.docker("run", "--rm", "-d", "--name", "web_1", "-p", "8080:80", "webapp")
    page = f"Hostname: {container[:12]}\nRemote IP: 172.17.0.1\n"
    assert curl(lab.host, "http://[::1]:8080/") == page
    assert curl(lab.client, f"http://[{HOST_IP6}]:8080/") == page

    headers = curl(lab.client, f"http://[{HOST_IP6}]:8080/headers").splitlines()
    assert sorted(line.partition(":")[0] for line in headers) == ["Accept", "Host", "User-Agent"]
    assert f"Host: [{HOST_IP6}]:8080" in headers

    started = {proxy.place for proxy in lab.engine.proxies()}
    assert started == {("tcp", "0.0.0.0", 8080), ("tcp", "::", 8080)}
    assert {proxy.words[0] for proxy in lab.engine.proxies()} == {str(PROXY)}


def test_the_pair_of_sessions_is_listed(lab: Lab) -> None:
    lab.docker("run", "--rm", "-d", "--name", "web_1", "-p", "8080:80", "webapp")
    with lab.host.connect("::1", 8080) as session:
        session.sendall(b"GET / HTTP/1.1\r\nHost: web_1\r\n\r\n")
        assert session.recv(4096).startswith(b"HTTP/1.1 200")
        port = session.getsockname()[1]
        listed = lab.host.run("netstat", "-nt")
        sockets = lab.host.run("ss", "-nt")
    established = r" +ESTABLISHED\s*$"
    assert re.search(rf"^tcp6 .* ::1:{port} +::1:8080{established}", listed, re.M), listed
    assert re.search(rf"^tcp .* 172\.17\.0\.1:\d+ +172\.17\.0\.2:80{established}", listed, re.M)
    assert re.search(rf"^ESTAB .* \[::1\]:{port} +\[::1\]:8080\b", sockets, re.M), sockets
    assert re.search(r"^ESTAB .* 172\.17\.0\.1:\d+ +172\.17\.0\.2:80\b", sockets, re.M), sockets
