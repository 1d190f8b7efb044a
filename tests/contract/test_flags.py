# SPDX-License-Identifier: Apache-2.0
"""The command line: the syntax of Go's flag package, and what is said of bad values."""

from collections.abc import Callable

import pytest

from backends import TcpBackend, echo
from clients import echoes
from conftest import Container, Launch, fairlead_only, generation_b, original_fails
from proxy import Program, Proxy

NewPort = Callable[[], int]

HOST = "127.0.0.1"


def refused(proxy: Proxy) -> str:
    """What was said of a command line that is no good: one sentence, then the usage text."""
    assert proxy.read_status() == b""
    assert proxy.wait() == 2
    assert proxy.output() == ""
    sentence, usage, *_ = proxy.errors().split("\n")
    assert usage.startswith("Usage of ")
    return sentence


def reported(proxy: Proxy) -> str:
    """What dockerd was told of a proxy that could not serve: one sentence."""
    status = proxy.read_status().decode()
    assert status.startswith("1\n")
    assert proxy.wait() == 1
    assert "\n" not in status[2:]
    return status[2:]


@pytest.fixture
def service(container: Container) -> tuple[str, int]:
    return container(TcpBackend(echo)).address


def full(style: str, **values: str | int) -> list[str]:
    """A command line in one style of those that Go takes, such as "--{}={}"."""
    words = []
    for name, value in values.items():
        words += style.format(name.replace("_", "-"), value).split(" ")
    return words


@pytest.mark.parametrize("style", ["-{} {}", "-{}={}", "--{} {}", "--{}={}"])
def test_styles(launch: Launch, new_port: NewPort, service: tuple[str, int], style: str) -> None:
    ip, container_port = service
    port = new_port()
    ends = {"container_ip": ip, "container_port": container_port}
    proxy = launch(*full(style, proto="tcp", host_ip=HOST, host_port=port, **ends))
    assert proxy.read_status() == b"0\n"
    assert echoes((HOST, port))


INTEGERS = {
    "plain": "{}",
    "sign": "+{}",
    "hexadecimal": "0x{:x}",
    "HEXADECIMAL": "0X{:X}",
    "octal": "0o{:o}",
    "OCTAL": "0O{:o}",
    "leading zero": "0{:o}",
    "binary": "0b{:b}",
    "grouped": "{:_}",
    "grouped after the prefix": "0x_{:x}",
}


@pytest.mark.parametrize("form", INTEGERS.values(), ids=INTEGERS)
def test_integers(launch: Launch, new_port: NewPort, service: tuple[str, int], form: str) -> None:
    ip, container_port = service
    port = new_port()
    ends = {"container_ip": ip, "container_port": container_port}
    proxy = launch(*full("-{}={}", host_ip=HOST, host_port=form.format(port), **ends))
    assert proxy.read_status() == b"0\n"
    assert echoes((HOST, port))


@pytest.mark.parametrize("stop", ["--", "positional", "-"])
def test_parsing_stops(
    launch: Launch, new_port: NewPort, service: tuple[str, int], stop: str
) -> None:
    ip, container_port = service
    port = new_port()
    words = full("-{}={}", host_ip=HOST, host_port=port, container_ip=ip)
    words += [f"-container-port={container_port}", stop, "-host-port=1", "-no-such-flag"]
    proxy = launch(*words)
    assert proxy.read_status() == b"0\n"
    assert echoes((HOST, port))


def test_last_value_wins(launch: Launch, new_port: NewPort, service: tuple[str, int]) -> None:
    ip, container_port = service
    port = new_port()
    first = full("-{}={}", host_ip="192.0.2.1", host_port=1, proto="udp", container_port=1)
    last = full("-{}={}", host_ip=HOST, host_port=port, proto="tcp", container_ip=ip)
    proxy = launch(*first, *last, f"-container-port={container_port}")
    assert proxy.read_status() == b"0\n"
    assert echoes((HOST, port))


@generation_b
def test_booleans_that_are_false(
    launch: Launch, new_port: NewPort, service: tuple[str, int]
) -> None:
    """Without a descriptor 4, a true -use-listen-fd could not be served."""
    ip, container_port = service
    for value in ("0", "f", "F", "false", "FALSE", "False"):
        port = new_port()
        words = full("-{}={}", host_ip=HOST, host_port=port, container_ip=ip)
        words += [f"-container-port={container_port}", f"-use-listen-fd={value}"]
        assert launch(*words).read_status() == b"0\n"
        assert echoes((HOST, port))


@generation_b
def test_booleans_that_are_true(launch: Launch, new_port: NewPort) -> None:
    for value in ("", "=1", "=t", "=T", "=true", "=TRUE", "=True"):
        words = full("-{}={}", host_ip=HOST, host_port=new_port(), container_ip=HOST)
        reported(launch(*words, "-container-port=9", f"-use-listen-fd{value}"))


SYNTAX_ERRORS = {
    "-no-such-flag": "flag provided but not defined: -no-such-flag",
    "--no-such-flag=1": "flag provided but not defined: -no-such-flag",
    "---host-port=1": "bad flag syntax: ---host-port=1",
    "-=1": "bad flag syntax: -=1",
    "-host-port": "flag needs an argument: -host-port",
    "-host-ip": "flag needs an argument: -host-ip",
    "-host-port=": 'invalid value "" for flag -host-port: parse error',
    "-host-port=http": 'invalid value "http" for flag -host-port: parse error',
    "-host-port=80a": 'invalid value "80a" for flag -host-port: parse error',
    "-host-port=0x": 'invalid value "0x" for flag -host-port: parse error',
    "-host-port=09": 'invalid value "09" for flag -host-port: parse error',
    "-host-port=8__0": 'invalid value "8__0" for flag -host-port: parse error',
    "-host-port=80_": 'invalid value "80_" for flag -host-port: parse error',
    "-container-port=99999999999999999999": 'invalid value "99999999999999999999" '
    "for flag -container-port: value out of range",
}


@pytest.mark.parametrize("word", SYNTAX_ERRORS)
def test_bad_syntax(launch: Launch, word: str) -> None:
    assert refused(launch(word)) == SYNTAX_ERRORS[word]


@original_fails("-use-listen-fd came with 28.0", generations="A")
def test_bad_boolean(launch: Launch) -> None:
    sentence = refused(launch("-use-listen-fd=maybe"))
    assert sentence == 'invalid boolean value "maybe" for -use-listen-fd: parse error'


@original_fails("it takes what is no address for any address", generations="A")
def test_not_an_address(launch: Launch, new_port: NewPort) -> None:
    for value in ("localhost", "127.0.0", "1.2.3.4.5", "::1::", "fe80::1%lo"):
        for flag in ("-host-ip", "-container-ip"):
            words = [f"-host-port={new_port()}", "-container-port=9", flag, value]
            beginning = f'invalid value "{value}" for flag {flag}: invalid IP address'
            assert refused(launch(*words)).startswith(beginning)


@pytest.mark.parametrize("word", ["-h", "-help", "--help"])
def test_help(launch: Launch, word: str) -> None:
    proxy = launch(word)
    assert proxy.read_status() == b""
    assert proxy.wait() == 0
    assert proxy.errors().startswith("Usage of ")
    for flag in ("-container-ip", "-container-port", "-host-ip", "-host-port", "-proto"):
        assert f"\n  {flag} " in proxy.errors()


@original_fails("-version came with 23.0", generations="A")
def test_version(launch: Launch) -> None:
    for word in ("-v", "-version", "--version", "-v=true"):
        proxy = launch(word)
        assert proxy.read_status() == b""
        assert proxy.wait() == 0
        assert proxy.errors() == ""
        line = proxy.output()
        assert line.startswith("docker-proxy (commit ") and ") version " in line
        assert line.count("\n") == 1 and line.endswith("\n")


@original_fails("it tells so on stderr only", generations="A")
def test_unknown_protocol(launch: Launch, new_port: NewPort) -> None:
    for proto in ("icmp", "TCP6", "", "tcp,udp"):
        proxy = launch(f"-proto={proto}", f"-host-port={new_port()}", "-container-port=9")
        assert f"unsupported protocol {proto}" in reported(proxy)


@pytest.mark.parametrize("port", ["-1", "65536", "70000", "4294967376"])
def test_host_port_out_of_range(launch: Launch, program: Program, port: str) -> None:
    ends = {"container_ip": HOST, "container_port": 9}
    sentence = reported(launch(*full("-{}={}", host_ip=HOST, host_port=port, **ends)))
    if program.is_ours:  # the original says that an argument is invalid, and not which
        assert f"host port {port} " in sentence and "-host-port" in sentence


@original_fails("it serves, and every client meets the error")
def test_container_port_out_of_range(launch: Launch, new_port: NewPort) -> None:
    for port in (-1, 0, 65536, 4294967376):
        ends = {"container_ip": HOST, "container_port": port}
        proxy = launch(*full("-{}={}", host_ip=HOST, host_port=new_port(), **ends))
        sentence = reported(proxy)
        assert f"container port {port} " in sentence and "-container-port" in sentence


@fairlead_only
@pytest.mark.parametrize(
    "setting",
    [
        "FAIRLEAD_CONNECT_TIMEOUT=2h",
        "FAIRLEAD_CONNECT_TIMEOUT=30",
        "FAIRLEAD_CONNECT_RETRY=6m",
        "FAIRLEAD_HALF_CLOSED_TIMEOUT=soon",
        "FAIRLEAD_HALF_CLOSED_TIMEOUT=721h",
        "FAIRLEAD_KEEPALIVE=10h",
        "FAIRLEAD_KEEPALIVE=-1s",
        "FAIRLEAD_UDP_IDLE_TIMEOUT=0",
        "FAIRLEAD_UDP_IDLE_TIMEOUT=999ms",
        "FAIRLEAD_UDP_MAX_CLIENTS=0",
        "FAIRLEAD_UDP_MAX_CLIENTS=262145",
        "FAIRLEAD_UDP_MAX_CLIENTS=many",
        "FAIRLEAD_LOG=verbose",
    ],
)
def test_bad_setting(launch: Launch, new_port: NewPort, setting: str) -> None:
    name, _, value = setting.partition("=")
    words = full("-{}={}", host_ip=HOST, host_port=new_port(), container_ip=HOST)
    sentence = reported(launch(*words, "-container-port=9", settings={name: value}))
    assert sentence.startswith(f"{setting} is ")


@fairlead_only
def test_empty_setting_is_none(
    launch: Launch, new_port: NewPort, service: tuple[str, int]
) -> None:
    ip, container_port = service
    port = new_port()
    words = full("-{}={}", host_ip=HOST, host_port=port, container_ip=ip)
    settings = {"FAIRLEAD_CONNECT_TIMEOUT": "", "FAIRLEAD_LOG": ""}
    proxy = launch(*words, f"-container-port={container_port}", settings=settings)
    assert proxy.read_status() == b"0\n"
    assert echoes((HOST, port))
