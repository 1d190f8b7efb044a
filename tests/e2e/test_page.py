# SPDX-License-Identifier: Apache-2.0
"""The page of the daemon, in a real browser, with real sessions. Its pictures go to
build-check/page/, to be looked at."""

import base64
import json
import re
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import Daemon
from lab.netns import HOST_IP4, HOST_IP6, Network
from lab.wait import wait_until

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

pytestmark = pytest.mark.timeout(180)

PICTURES = Path(__file__).resolve().parents[2] / "build-check/page"
PORT = 9469
DESKTOP = (1280, 1000)
PHONE = (360, 740)

REASONS = Path(__file__).resolve().parents[2] / "src/relay/end_reason.def"

RULES = [
    {"publish": "8080:80", "container": "127.0.0.1", "name": "web"},
    {"publish": "2525:25", "container": "127.0.0.1", "name": "mail"},
    {"publish": "5353:53/udp", "container": "127.0.0.1", "name": "dns"},
    {"publish": "9000-9009:9000-9009", "container": "172.17.0.9"},
]


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Daemon]:
    listen = {"status_listen": f"127.0.0.1:{PORT}"}
    made = Daemon(tmp_path, rules=RULES, daemon=listen, enter=network.host.enter)
    yield made
    made.kill()


@pytest.fixture
def browser(network: Network, tmp_path: Path) -> Iterator[object]:
    driver = shutil.which("chromedriver")
    if not driver or not shutil.which("chromium"):
        pytest.skip("chromium and its driver are not installed")
    # The driver and its browser live on the host's network, and are asked through it.
    wrapper = tmp_path / "chromium"
    wrapper.write_text(f'#!/bin/sh\nexec {" ".join(network.host.enter)} chromium "$@"\n')
    wrapper.chmod(0o755)
    options = webdriver.ChromeOptions()
    options.binary_location = str(wrapper)
    for word in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--remote-debugging-pipe",
    ):
        options.add_argument(word)
    options.add_argument(f"--user-data-dir={tmp_path}/profile")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    made = webdriver.Chrome(options=options, service=Service(driver))
    made.set_page_load_timeout(60)
    yield made
    made.quit()


class Traffic:
    """Sessions of several kinds, open until the end of a `with`."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.sessions: list[socket.socket] = []
        self.ending = threading.Event()
        self.sender = threading.Thread(target=self._send)
        self.backends = [
            TcpBackend(network.host.net, 80),
            UdpBackend(network.host.net, 53),
        ]

    def _send(self) -> None:
        """So that there is something to be drawn."""
        size = 1000
        while not self.ending.wait(0.2):
            assert exchange(self.sessions[0], bytes(size)) == bytes(size)
            size = size * 3 // 2 if size < 200_000 else 1000

    def __enter__(self) -> "Traffic":
        for backend in self.backends:
            backend.__enter__()
        client = self.network.client
        for address, port in [(HOST_IP6, 8080), (HOST_IP6, 8080), (HOST_IP4, 8080)]:
            self.sessions.append(client.connect(address, port))
        self.sessions.append(client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM))
        for session in self.sessions:
            assert exchange(session, b"question" * 100) == b"question" * 100
        with client.connect(HOST_IP6, 8080) as done:
            assert exchange(done, b"all") == b"all"
        with pytest.raises(ConnectionResetError), client.connect(HOST_IP6, 2525) as refused:
            refused.recv(1)
        self.sender.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.ending.set()
        self.sender.join()
        for session in self.sessions:
            session.close()
        for backend in self.backends:
            backend.__exit__(*error)


def text(browser, selector: str) -> str:
    return browser.execute_script(
        "return document.querySelector(arguments[0]).textContent", selector
    )


def rows(browser, table: str) -> list[list[str]]:
    script = """return [...document.querySelectorAll(arguments[0] + " tbody tr")]
        .map(row => [...row.cells].map(cell => cell.textContent))"""
    return browser.execute_script(script, f"#{table}")


def shoot(browser, name: str, width: int, height: int, **media: str) -> None:
    """A picture of the whole page, as a screen of that size shows it; nothing may stick out."""
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 800}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": name, "value": value} for name, value in media.items()]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    picture = browser.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True})
    PICTURES.mkdir(parents=True, exist_ok=True)
    (PICTURES / f"{name}.png").write_bytes(base64.b64decode(picture["data"]))
    assert wide <= width, f"{name}: the page is {wide} wide, the screen {width}"


def complaints(browser) -> list[str]:
    """What the browser has to say, violations of the policy among it."""
    return [entry["message"] for entry in browser.get_log("browser")]


def requests(browser) -> set[str]:
    """The addresses that the page has asked; not those of the browser's own pages before it."""
    found = set()
    for entry in browser.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":
            found.add(message["params"]["request"]["url"])
    return {it for it in found if not it.startswith(("chrome:", "data:"))}


def test_page_shows_what_there_is(network: Network, daemon: Daemon, browser) -> None:
    with Traffic(network):
        browser.get(f"http://127.0.0.1:{PORT}/")
        wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
        assert text(browser, "#open") == "4"
        assert text(browser, "#all") == "6"
        assert text(browser, "#count") == "26"
        sessions = rows(browser, "sessions")
        shown = daemon.get("/v1/sessions")["sessions"]
        assert sorted(row[0] for row in sessions) == sorted(it["client"] for it in shown)
        by_client = {row[0]: row for row in sessions}
        for it in shown:
            assert by_client[it["client"]][1:6] == [
                it["host"],
                it["source"],
                it["container"],
                it["protocol"],
                it["state"],
            ]
        rules = rows(browser, "rules")
        assert len(rules) == 26
        assert rules[0][:4] == ["[::]:8080/tcp", "127.0.0.1:80", "web", "file"]
        ends = text(browser, "#ends")
        assert "done" in ends and "refused" in ends
        clients = rows(browser, "clients")
        assert sorted(row[0] for row in clients) == ["192.0.2.100", "2001:db8::100"]

        wait_until(lambda: browser.execute_script("return samples.length") > 5, "samples", 30)
        assert browser.execute_script("return document.querySelectorAll('#graph path').length") == 4
        assert max(it["in_bytes_s"] for it in daemon.get("/v1/history")["samples"]) > 1000
        # of the last sample, in which a busy machine may have sent nothing
        wait_until(lambda: text(browser, "#in") != "0 B/s", "a rate")
        shoot(browser, "light", *DESKTOP, **{"prefers-color-scheme": "light"})
        ground = "return getComputedStyle(document.body).backgroundColor"
        light = browser.execute_script(ground)
        shoot(browser, "dark", *DESKTOP, **{"prefers-color-scheme": "dark"})
        assert browser.execute_script(ground) != light
        shoot(browser, "phone", *PHONE, **{"prefers-color-scheme": "light"})

        # Read out with the keyboard; nothing moves, not even where it is narrowest.
        place = """return ["graph", "read-out", "read-when"].map(id => {
            const {x, y} = document.getElementById(id).getBoundingClientRect(); return [x, y]; })"""
        before = browser.execute_script(place)
        graph = browser.find_element("id", "graph")
        graph.send_keys(Keys.ARROW_LEFT, Keys.ARROW_LEFT)
        assert text(browser, "#read-when") == "at -2s, 4 open"
        assert text(browser, "#read-in").endswith("/s")
        assert browser.execute_script(place) == before
        graph.send_keys(Keys.ESCAPE)
        assert text(browser, "#read-in") == "to containers"

        browser.execute_script(
            "const it = document.getElementById('filter'); it.value = 'DNS';"
            "it.dispatchEvent(new Event('input'))"
        )
        assert {row[2] for row in rows(browser, "rules")} == {"dns"}
        asked = requests(browser)
        assert {urlsplit(it).netloc for it in asked} == {f"127.0.0.1:{PORT}"}

        browser.refresh()
        wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
        assert browser.execute_script("return samples.length") > 5, "not what the daemon has kept"
    assert complaints(browser) == []


def test_page_of_a_daemon_without_anything(network: Network, tmp_path: Path, browser) -> None:
    listen = {"status_listen": f"127.0.0.1:{PORT}"}
    daemon = Daemon(tmp_path, daemon=listen, enter=network.host.enter)
    try:
        browser.get(f"http://127.0.0.1:{PORT}/")
        wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
        assert rows(browser, "sessions") == [["No session is open."]]
        assert "No rules yet" in rows(browser, "rules")[0][0]
        assert text(browser, "#ends") == "None has ended yet."
        shoot(browser, "empty", *DESKTOP, **{"prefers-color-scheme": "light"})
        assert complaints(browser) == []
    finally:
        daemon.kill()


def test_page_says_when_the_daemon_has_gone_and_recovers(daemon: Daemon, browser) -> None:
    browser.get(f"http://127.0.0.1:{PORT}/")
    wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
    daemon.kill()
    gone = "the daemon does not answer; what is shown was true before"
    wait_until(lambda: text(browser, "#health") == gone, "the page says so")
    assert text(browser, "#count") == "26"
    dimmed = "return document.body.classList.contains('stale')"
    assert browser.execute_script(dimmed)
    shoot(browser, "gone", *DESKTOP, **{"prefers-color-scheme": "dark"})
    daemon.start()
    wait_until(lambda: text(browser, "#health") == "healthy", "the page has recovered")
    assert not browser.execute_script(dimmed)


def test_hidden_page_asks_nothing(daemon: Daemon, browser) -> None:
    browser.get(f"http://127.0.0.1:{PORT}/")
    wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
    hide = "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true})"
    browser.execute_script(hide, True)
    # A turn that had begun ends; then as much time as for two more passes in the daemon.
    wait_until(lambda: not requests(browser), "the page is silent")
    kept = len(daemon.get("/v1/history")["samples"])
    later = kept + 2
    wait_until(lambda: len(daemon.get("/v1/history")["samples"]) >= later, "time has passed", 30)
    assert requests(browser) == set()
    browser.execute_script(hide, False)
    wait_until(lambda: requests(browser), "it asks again")


def test_page_marks_what_is_worth_telling(daemon: Daemon, browser) -> None:
    browser.get(f"http://127.0.0.1:{PORT}/")
    told = re.findall(r'^END_REASON\(\w+, "([\w-]+)", true', REASONS.read_text(), re.M)
    assert browser.execute_script("return WORTH") == told


def test_page_takes_nothing_for_html(daemon: Daemon, browser) -> None:
    """Names of rules are restricted; what reaches the page otherwise is text all the same."""
    browser.get(f"http://127.0.0.1:{PORT}/")
    wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
    evil = "<img src=x onerror=alert(1)>"
    browser.execute_script(
        "fill(document.getElementById('clients'), CLIENT_COLUMNS,"
        "[{ip: arguments[0], sessions: 1, in_bytes_s: 0, out_bytes_s: 0}], '')",
        evil,
    )
    assert rows(browser, "clients")[0][0] == evil
    assert browser.execute_script("return document.querySelectorAll('#clients img').length") == 0


def test_policy_lets_nothing_else_run(daemon: Daemon, browser) -> None:
    browser.get(f"http://127.0.0.1:{PORT}/")
    wait_until(lambda: text(browser, "#health") == "healthy", "the page has asked")
    browser.execute_script(
        "const it = document.createElement('script'); it.textContent = 'window.evil = 1';"
        "document.body.append(it)"
    )
    assert browser.execute_script("return window.evil") is None
    assert any("Content Security Policy" in it for it in complaints(browser))
