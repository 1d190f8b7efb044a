# SPDX-License-Identifier: Apache-2.0
"""The API of the daemon, and docs/openapi.json: each held against the other."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.backend import TcpBackend, UdpBackend, exchange
from lab.daemon import ApiError, Daemon, UnixConnection
from lab.netns import CLIENT_IP6, HOST_IP6, Network
from lab.wait import wait_until

jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")

pytestmark = pytest.mark.timeout(120)

ROOT = Path(__file__).resolve().parents[2]
DESCRIPTION = json.loads((ROOT / "docs/openapi.json").read_text(encoding="utf-8"))
STATUS_PORT = 9469
FILE_RULE = {"publish": "8080:80", "container": "127.0.0.1", "name": "web"}


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    made = Network()
    yield made
    made.close()


@pytest.fixture
def daemon(network: Network, tmp_path: Path) -> Iterator[Daemon]:
    listen = {"status_listen": f"127.0.0.1:{STATUS_PORT}"}
    made = Daemon(tmp_path, rules=[FILE_RULE], daemon=listen, enter=network.host.enter)
    yield made
    made.kill()


# The description.


def schema(node: dict) -> dict:
    """As jsonschema takes it: a nullable value is one of two types, as OpenAPI 3.0 cannot say."""

    def convert(it: object) -> object:
        if isinstance(it, list):
            return [convert(one) for one in it]
        if not isinstance(it, dict):
            return it
        found = {name: convert(value) for name, value in it.items() if name != "nullable"}
        if it.get("nullable"):
            found["type"] = [it["type"], "null"]
        return found

    return convert({**node, "components": DESCRIPTION["components"]})


def assert_described(method: str, path: str, status: int, text: str) -> None:
    """The answer is what the description says of this path, method and status."""
    answers = DESCRIPTION["paths"][path][method.lower()]["responses"]
    assert str(status) in answers, f"{method} {path} is not said to answer {status}: {text}"
    content = answers[str(status)]["content"]["application/json"]["schema"]
    jsonschema.validate(json.loads(text), schema(content))


def described_path(path: str) -> str:
    plain = path.partition("?")[0]
    return re.sub(r"/(rules|sessions|whois)/[^/]+$", r"/\1/{id}", plain)


def call(daemon: Daemon, method: str, path: str, body: object = None) -> tuple[int, object]:
    """Asks, and holds the answer against the description."""
    status, text = daemon.call(method, path, body)
    assert_described(method, described_path(path), status, text)
    return status, json.loads(text)


def message(daemon: Daemon, method: str, path: str, body: object = None) -> tuple[int, str]:
    status, answer = call(daemon, method, path, body)
    return status, answer["message"]


def endpoints() -> set[tuple[str, str]]:
    table = (ROOT / "src/control/endpoints.def").read_text(encoding="utf-8")
    return set(re.findall(r'^ENDPOINT\("(\w+)", "([^"]+)"', table, re.M))


def test_description_has_the_endpoints_of_the_server() -> None:
    described = {
        (method.upper(), path) for path, node in DESCRIPTION["paths"].items() for method in node
    }
    assert described == endpoints()


def test_every_reference_of_the_description_leads_somewhere() -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DESCRIPTION)))
    assert names == set(DESCRIPTION["components"]["schemas"])


@pytest.mark.parametrize("path", ["/v1/version", "/v1/health", "/v1/stats", "/v1/history"])
def test_plain_questions(daemon: Daemon, path: str) -> None:
    assert call(daemon, "GET", path)[0] == 200


def test_unknown_paths_and_methods(daemon: Daemon) -> None:
    assert daemon.call("GET", "/v1/nothing") == (404, '{"message":"there is no /v1/nothing"}\n')
    assert daemon.call("GET", "/v1/rules/a/b")[0] == 404
    connection = UnixConnection(daemon.socket)
    connection.request("DELETE", "/v1/rules")
    answer = connection.getresponse()
    said = json.loads(answer.read())["message"]
    assert answer.status == 405
    assert said == "/v1/rules has no DELETE, but GET, POST, PUT"
    assert answer.getheader("Allow") == "GET, POST, PUT"
    connection.close()


# Rules.


def places(answer: dict) -> list[tuple[str, str]]:
    return [(rule["host"], rule["container"]) for rule in answer["rules"]]


def add(daemon: Daemon, **rule: str) -> list[dict]:
    status, answer = call(daemon, "POST", "/v1/rules", rule)
    assert status == 201
    return answer["rules"]


def test_rules_are_added_in_both_ways(daemon: Daemon) -> None:
    added = add(daemon, publish="9000-9001:90-91/udp", container="172.17.0.2", name="game")
    assert [rule["host"] for rule in added] == [
        "0.0.0.0:9000",
        "[::]:9000",
        "0.0.0.0:9001",
        "[::]:9001",
    ]
    assert {rule["name"] for rule in added} == {"game"}
    one = {"host": "[2001:db8::2]:25", "container": "172.17.0.3:25", "protocol": "tcp"}
    added = add(daemon, **one)
    assert len(added) == 1 and added[0]["origin"] == "api"
    status, answer = call(daemon, "GET", "/v1/rules")
    assert status == 200 and len(answer["rules"]) == 7
    status, answer = call(daemon, "GET", f"/v1/rules/{added[0]['id']}")
    assert (answer["host"], answer["container"], answer["state"]) == (
        "[2001:db8::2]:25",
        "172.17.0.3:25",
        "listening",
    )
    assert message(daemon, "GET", "/v1/rules/0123456789ab") == (404, "there is no rule 0123456789ab")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"publish": "80", "container": "172.17.0.2"}, "publish: "),
        ({"publish": "8081:80"}, "container: is missing"),
        ({"publish": "8081:80", "container": "web_1"}, "container: 'web_1' is no IP address"),
        ({"publish": "8081:80", "container": "0.0.0.0"}, "nothing can connect to this address"),
        ({"publish": "8081-8089:80", "container": "172.17.0.2"}, "name one"),
        ({"publish": 80, "container": "172.17.0.2"}, "publish: expected a string, not a number"),
        ({"publish": "8081:80", "container": "172.17.0.2", "x": 1}, "x: there is no such key"),
        ({"host": "[::]:8081", "container": "172.17.0.2"}, "container: '172.17.0.2' is no address"),
        ({"host": "::8081", "container": "172.17.0.2:80"}, "host: '::8081' is no address"),
        (
            {"host": "[::]:81", "container": "1.2.3.4:80", "protocol": "icmp"},
            "protocol: 'icmp' is none of tcp, udp, sctp",
        ),
        (
            {"host": "[::]:81", "container": "1.2.3.4:80", "name": "<b>"},
            "the name '<b>' may have letters",
        ),
        ({"container": "172.17.0.2"}, 'a rule has "publish"'),
        ([{"publish": "8081:80", "container": "172.17.0.2"}, 17], "[1]: expected an object"),
        (
            {"host": "127.0.0.1:81", "container": "127.0.0.1:81"},
            "which is published itself: connections would go round in circles",
        ),
        ("rules", "expected an object, not a string"),
    ],
)
def test_rules_that_are_not_good(daemon: Daemon, body: object, said: str) -> None:
    before = daemon.get("/v1/rules")
    status, text = message(daemon, "POST", "/v1/rules", body)
    assert status == 400 and said in text
    assert daemon.get("/v1/rules") == before


def test_a_body_that_is_missing_or_no_json(daemon: Daemon) -> None:
    assert message(daemon, "POST", "/v1/rules")[0] == 400
    connection = UnixConnection(daemon.socket)
    connection.request("POST", "/v1/rules", '{"publish": "8081:80",}')
    answer = connection.getresponse()
    said = json.loads(answer.read())["message"]
    assert answer.status == 400 and said.startswith("the body is not JSON: line 1, column ")
    connection.close()


def test_a_body_that_is_too_large(daemon: Daemon) -> None:
    connection = UnixConnection(daemon.socket)
    connection.request("POST", "/v1/rules", b" " * (16 * 1024 * 1024 + 1))
    answer = connection.getresponse()
    text = answer.read().decode()
    assert_described("POST", "/v1/rules", answer.status, text)
    assert answer.status == 413 and "more than 16 MiB" in text
    connection.close()


def test_a_port_that_is_published_or_in_use(network: Network, daemon: Daemon) -> None:
    status, said = message(
        daemon, "POST", "/v1/rules", {"publish": "8080:80", "container": "172.17.0.2"}
    )
    assert (status, said) == (
        409,
        "port 0.0.0.0:8080/tcp is published already, by the configuration file",
    )
    add(daemon, publish="8081:80", container="172.17.0.2")
    status, said = message(
        daemon, "POST", "/v1/rules", {"publish": "8081:80", "container": "172.17.0.2"}
    )
    assert (status, said) == (409, "port 0.0.0.0:8081/tcp is published already, by the API")
    with network.host.open_socket(socket.AF_INET6, socket.SOCK_STREAM) as other:
        other.bind(("::", 8083))
        other.listen()
        both = [
            {"publish": "8082:80", "container": "172.17.0.2"},
            {"publish": "8083:80", "container": "172.17.0.2"},
        ]
        status, said = message(daemon, "POST", "/v1/rules", both)
    assert status == 409 and "8083" in said
    # Nothing of it has been done.
    with pytest.raises(ConnectionRefusedError):
        network.host.connect("127.0.0.1", 8082)
    assert len(daemon.get("/v1/rules")["rules"]) == 4


def test_rules_of_others_are_left_alone(daemon: Daemon) -> None:
    rule = daemon.get("/v1/rules")["rules"][0]
    status, said = message(daemon, "DELETE", f"/v1/rules/{rule['id']}")
    assert status == 409 and "is in the configuration file: change it there" in said
    body = {"container": "172.17.0.2:80"}
    assert message(daemon, "PUT", f"/v1/rules/{rule['id']}", body)[0] == 409
    status, changed = call(daemon, "PUT", "/v1/rules", [])
    assert (status, changed["removed"]) == (200, 0)
    assert len(daemon.get("/v1/rules")["rules"]) == 2


def test_rules_are_replaced(daemon: Daemon) -> None:
    first = {"publish": "8081:80", "container": "172.17.0.2"}
    moved = {"publish": "8081:80", "container": "172.17.0.9"}
    other = {"publish": "127.0.0.1:8082:80", "container": "172.17.0.2"}
    status, changed = call(daemon, "PUT", "/v1/rules", [first])
    assert (status, changed) == (200, {"added": 2, "removed": 0, "changed": 0, "kept": 0})
    status, changed = call(daemon, "PUT", "/v1/rules", [moved, other])
    assert (status, changed) == (200, {"added": 1, "removed": 0, "changed": 2, "kept": 0})
    status, changed = call(daemon, "PUT", "/v1/rules", other)
    assert (status, changed) == (200, {"added": 0, "removed": 2, "changed": 0, "kept": 1})


def test_another_container_for_new_connections(network: Network, daemon: Daemon) -> None:
    rule = add(daemon, host="[::]:8081", container="127.0.0.1:81")[0]
    with TcpBackend(network.host.net, 81), TcpBackend(network.host.net, 82) as second:
        with network.client.connect(HOST_IP6, 8081) as session:
            assert exchange(session, b"before") == b"before"
            body = {"container": "127.0.0.1:82", "name": "moved"}
            status, changed = call(daemon, "PUT", f"/v1/rules/{rule['id']}", body)
            assert (status, changed["container"], changed["name"]) == (200, "127.0.0.1:82", "moved")
            assert exchange(session, b"after") == b"after"
            with network.client.connect(HOST_IP6, 8081) as other:
                assert exchange(other, b"elsewhere") == b"elsewhere"
                shown = daemon.get("/v1/sessions?rule=moved")["sessions"]
                assert [it["container"] for it in shown] == ["127.0.0.1:81", "127.0.0.1:82"]
        assert len(second.clients) == 1
    body = {"container": "127.0.0.1"}
    assert message(daemon, "PUT", f"/v1/rules/{rule['id']}", body)[0] == 400


def test_rules_are_withdrawn_at_once_or_in_time(network: Network, daemon: Daemon) -> None:
    first = add(daemon, host="[::]:8081", container="127.0.0.1:81")[0]
    second = add(daemon, host="[::]:8082", container="127.0.0.1:81")[0]
    with TcpBackend(network.host.net, 81):
        one = network.client.connect(HOST_IP6, 8081)
        other = network.client.connect(HOST_IP6, 8082)
        for session in (one, other):
            assert exchange(session, b"question") == b"question"
        assert call(daemon, "DELETE", f"/v1/rules/{first['id']}")[0] == 200
        with pytest.raises(ConnectionResetError):
            one.recv(1)
        assert call(daemon, "DELETE", f"/v1/rules/{second['id']}?drain=20s")[0] == 200
        with pytest.raises(ConnectionRefusedError):
            network.client.connect(HOST_IP6, 8082)
        assert exchange(other, b"goes on") == b"goes on"
        for session in (one, other):
            session.close()
    assert message(daemon, "DELETE", f"/v1/rules/{first['id']}")[0] == 404
    third = add(daemon, host="[::]:8083", container="127.0.0.1:81")[0]
    status, said = message(daemon, "DELETE", f"/v1/rules/{third['id']}?drain=soon")
    assert (status, said) == (400, "drain=soon is not a duration like 30s")


def test_rules_of_the_api_outlive_the_daemon(daemon: Daemon) -> None:
    rules = [{"publish": "8081:80", "container": "172.17.0.2", "name": "kept"}]
    call(daemon, "PUT", "/v1/rules", rules)
    before = places(daemon.get("/v1/rules"))
    daemon.kill()
    daemon.start()
    assert places(daemon.get("/v1/rules")) == before
    call(daemon, "PUT", "/v1/rules", [])
    assert daemon.stop() == 0
    daemon.start()
    assert len(daemon.get("/v1/rules")["rules"]) == 2


def test_changes_side_by_side(daemon: Daemon) -> None:
    """Each is carried out as a whole, one after the other."""
    failures: list[str] = []

    def change(number: int) -> None:
        for turn in range(20):
            try:
                rules = add(daemon, publish=f"{9000 + number}:80", container="172.17.0.2")
                daemon.get("/v1/rules")
                if turn < 19:
                    for rule in rules:
                        call(daemon, "DELETE", f"/v1/rules/{rule['id']}")
            except (ApiError, AssertionError, OSError) as error:
                failures.append(repr(error))

    threads = [threading.Thread(target=change, args=[number]) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    left = [rule["host"] for rule in daemon.get("/v1/rules")["rules"] if rule["origin"] == "api"]
    assert len(left) == 16
    recorded = json.loads((daemon.folder / "rules.json").read_text(encoding="utf-8"))["rules"]
    assert sorted(rule["host"] for rule in recorded) == sorted(left)


# Sessions and clients.


@pytest.fixture
def sessions(network: Network, daemon: Daemon) -> Iterator[list[socket.socket]]:
    """Two of TCP over IPv6, one over IPv4, one of UDP."""
    add(daemon, publish="5353:53/udp", container="127.0.0.1", name="dns")
    with TcpBackend(network.host.net, 80), UdpBackend(network.host.net, 53):
        opened = []
        for place in [(HOST_IP6, 8080), (HOST_IP6, 8080), ("192.0.2.2", 8080)]:
            opened.append(network.client.connect(*place))
            # so that they are accepted in this order
            assert exchange(opened[-1], b"question") == b"question"
        opened.append(network.client.connect(HOST_IP6, 5353, socket.SOCK_DGRAM))
        assert exchange(opened[-1], b"question") == b"question"
        yield opened
        for session in opened:
            session.close()


def listed(daemon: Daemon, query: str) -> list[dict]:
    status, answer = call(daemon, "GET", f"/v1/sessions{query}")
    assert status == 200
    return answer["sessions"]


def test_sessions_show_both_of_their_sides(daemon: Daemon, sessions: list[socket.socket]) -> None:
    shown = listed(daemon, "")
    assert [it["client"] for it in shown] == [
        f"[{it.getsockname()[0]}]:{it.getsockname()[1]}"
        if it.family == socket.AF_INET6
        else "{}:{}".format(*it.getsockname())
        for it in sessions
    ]
    first = shown[0]
    assert first["host"] == f"[{HOST_IP6}]:8080"
    assert first["container"] == "127.0.0.1:80"
    assert first["source"].startswith("127.0.0.1:")
    assert (first["state"], first["in_bytes"], first["out_bytes"]) == ("open", 8, 8)
    assert shown[3]["protocol"] == "udp" and shown[3]["host"] == f"[{HOST_IP6}]:5353"


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("?rule=dns", [3]),
        ("?rule=nothing", []),
        ("?client=2001:db8::/32", [0, 1, 3]),
        (f"?client={CLIENT_IP6}&protocol=tcp", [0, 1]),
        ("?client=192.0.2.0/24", [2]),
        ("?protocol=udp", [3]),
        ("?state=open", [0, 1, 2, 3]),
        ("?state=closing", []),
        ("?limit=2", [0, 1]),
        ("?limit=0", []),
        ("?sort=id", [0, 1, 2, 3]),
    ],
)
def test_sessions_are_filtered(
    daemon: Daemon, sessions: list[socket.socket], query: str, numbers: list[int]
) -> None:
    everything = [it["id"] for it in listed(daemon, "")]
    assert [it["id"] for it in listed(daemon, query)] == [everything[i] for i in numbers]


def test_sessions_come_page_by_page(daemon: Daemon, sessions: list[socket.socket]) -> None:
    found, after = [], 0
    while after is not None:
        _, answer = call(daemon, "GET", f"/v1/sessions?limit=3&after={after}")
        assert answer["total"] == 4
        found += answer["sessions"]
        after = answer["next"]
    assert [it["id"] for it in found] == [it["id"] for it in listed(daemon, "")]


def test_the_busiest_session_comes_first(daemon: Daemon, sessions: list[socket.socket]) -> None:
    def busiest() -> str:
        assert exchange(sessions[2], bytes(100_000)) == bytes(100_000)
        return listed(daemon, "?sort=rate&limit=1")[0]["client"]

    wait_until(lambda: busiest() == "{}:{}".format(*sessions[2].getsockname()), "rates are known")


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/v1/sessions?client=here", "client=here is neither an IP address nor a prefix"),
        ("/v1/sessions?client=2001:db8::1/32", "client=2001:db8::1/32 is neither"),
        ("/v1/sessions?protocol=icmp", "protocol=icmp is none of tcp, udp, sctp"),
        ("/v1/sessions?state=dead", "state=dead is none of connecting, open"),
        ("/v1/sessions?limit=-1", "limit=-1 is not a number from 0 to 100000"),
        ("/v1/sessions?after=x", "after=x is not a number"),
        ("/v1/sessions?sort=age", "sort=age is neither id nor rate"),
        ("/v1/sessions?sort=rate&after=1", "after is of use with sort=id alone"),
        ("/v1/clients?limit=1e9", "limit=1e9 is not a number"),
        ("/v1/events?type=war", "type=war is none of rule, daemon, session, all"),
    ],
)
def test_questions_that_are_not_understood(daemon: Daemon, path: str, said: str) -> None:
    status, text = message(daemon, "GET", path)
    assert status == 400 and said in text


def test_a_session_is_ended(daemon: Daemon, sessions: list[socket.socket]) -> None:
    ids = [it["id"] for it in listed(daemon, "")]
    assert call(daemon, "DELETE", f"/v1/sessions/{ids[1]}") == (200, {"ended": ids[1]})
    with pytest.raises(ConnectionResetError):
        sessions[1].recv(1)
    assert call(daemon, "DELETE", f"/v1/sessions/{ids[3]}")[0] == 200
    assert [it["id"] for it in listed(daemon, "")] == [ids[0], ids[2]]
    assert exchange(sessions[0], b"goes on") == b"goes on"
    assert message(daemon, "DELETE", f"/v1/sessions/{ids[1]}")[0] == 404
    assert message(daemon, "DELETE", "/v1/sessions/first")[0] == 404
    assert daemon.get("/v1/stats")["counters"]["ended"] == {"administrative": 2}


def test_clients_are_summed_up(daemon: Daemon, sessions: list[socket.socket]) -> None:
    _, answer = call(daemon, "GET", "/v1/clients")
    assert {(it["ip"], it["sessions"], it["in_bytes"]) for it in answer["clients"]} == {
        (CLIENT_IP6, 3, 24),
        ("192.0.2.100", 1, 8),
    }
    _, answer = call(daemon, "GET", "/v1/clients?limit=1")
    assert (len(answer["clients"]), answer["total"]) == (1, 2)


# Events.


class Listener:
    """A stream of events, line by line."""

    def __init__(self, daemon: Daemon, query: str = "") -> None:
        self.connection = UnixConnection(daemon.socket)
        self.connection.request("GET", f"/v1/events{query}")
        self.answer = self.connection.getresponse()
        assert self.answer.getheader("Content-Type") == "application/x-ndjson"

    def next(self) -> dict:
        event = json.loads(self.answer.readline())
        jsonschema.validate(event, schema({"$ref": "#/components/schemas/Event"}))
        return event

    def close(self) -> None:
        self.connection.close()


def test_events_of_rules_and_of_the_daemon(daemon: Daemon) -> None:
    listener = Listener(daemon)
    rule = add(daemon, host="[::]:8081", container="127.0.0.1:81", name="new")[0]
    assert listener.next() | {"time": ""} == {
        "time": "",
        "type": "rule",
        "action": "add",
        "rule": rule,
    }
    call(daemon, "PUT", f"/v1/rules/{rule['id']}", {"container": "127.0.0.1:82"})
    event = listener.next()
    assert (event["action"], event["rule"]["container"]) == ("change", "127.0.0.1:82")
    call(daemon, "DELETE", f"/v1/rules/{rule['id']}")
    assert listener.next()["action"] == "remove"
    call(daemon, "POST", "/v1/reload")
    assert (listener.next() | {"time": ""})["action"] == "reload"
    daemon.process.terminate()
    assert listener.next()["action"] == "end"
    assert listener.answer.readline() == b""
    listener.close()


def test_events_of_sessions(network: Network, daemon: Daemon) -> None:
    listener = Listener(daemon, "?type=session")
    with TcpBackend(network.host.net, 80):
        with network.client.connect(HOST_IP6, 8080) as session:
            assert exchange(session, b"question") == b"question"
            client = session.getsockname()
        event = listener.next()
    assert (event["type"], event["action"], event["end"]) == ("session", "end", "done")
    assert event["client"] == f"[{client[0]}]:{client[1]}"
    assert (event["in_bytes"], event["out_bytes"]) == (8, 8)
    listener.close()


def test_who_listens_too_slowly_loses_the_oldest_and_is_told(daemon: Daemon) -> None:
    listener = Listener(daemon, "?type=rule")
    for turn in range(12):
        ports = "10000-10999:10000-10999"
        address = "172.17.0.2" if turn % 2 else "172.17.0.3"
        call(daemon, "PUT", "/v1/rules", {"publish": ports, "container": address})
    lost = 0
    seen = 0
    while lost == 0:
        event = listener.next()
        seen += 1
        lost = event.get("count", 0) if event["action"] == "events-lost" else 0
    assert lost > 1000 and seen > 0
    listener.close()


# Who may ask.


def ask_as_nobody(daemon: Daemon) -> str:
    words = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"]
    words += ["curl", "-q", "-sS", "--unix-socket", str(daemon.socket), "http://localhost/v1/rules"]
    return subprocess.run(words, capture_output=True, text=True, timeout=20).stdout


def test_others_may_not_ask(daemon: Daemon) -> None:
    for folder in [daemon.folder, *daemon.folder.parents]:
        if folder.stat().st_mode & 0o001 == 0:
            os.chmod(folder, folder.stat().st_mode | 0o001)
    assert daemon.socket.stat().st_mode & 0o777 == 0o660
    assert ask_as_nobody(daemon) == ""
    daemon.socket.chmod(0o777)
    assert json.loads(ask_as_nobody(daemon)) == {
        "message": "only root and the group of this socket may use it"
    }


def ask_status(network: Network, request: str, limit_s: float = 20) -> tuple[int, str]:
    with network.host.connect("127.0.0.1", STATUS_PORT) as session:
        session.settimeout(limit_s)
        session.sendall(request.replace("\n", "\r\n").encode())
        session.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := session.recv(65536):
            answer += piece
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def test_read_only_listener_reads_only(network: Network, daemon: Daemon) -> None:
    close = "Connection: close\n\n"
    assert ask_status(network, f"GET /v1/rules HTTP/1.1\nHost: 127.0.0.1:9469\n{close}")[0] == 200
    assert ask_status(network, f"GET /v1/rules HTTP/1.1\nHost: localhost\n{close}")[0] == 200
    assert ask_status(network, f"GET /v1/rules HTTP/1.1\nHost: [::1]:9469\n{close}")[0] == 200
    status, body = ask_status(network, f"GET /v1/rules HTTP/1.1\nHost: evil.example\n{close}")
    assert status == 403 and "by an IP address or as localhost" in body
    for method in ("POST", "PUT", "DELETE"):
        status, body = ask_status(network, f"{method} /v1/rules HTTP/1.1\nHost: localhost\n{close}")
        assert status == 403 and "this listener is for reading" in body
    assert len(daemon.get("/v1/rules")["rules"]) == 2


def test_requests_that_are_none(network: Network, daemon: Daemon) -> None:
    for said in ["\n\n", "GET\n\n", "\x00\x01\x02\n\n", "GET / HTTP/9.9\n\n", "A" * 100000 + "\n\n"]:
        try:
            ask_status(network, said, limit_s=1)
        except (OSError, IndexError, ValueError):  # an end, silence, or something that is no HTTP
            pass
    assert daemon.get("/v1/health") == {"status": "healthy"}
