# SPDX-License-Identifier: Apache-2.0
"""pseudo-ipv4 with servers as they are: each sees its clients, in its own log or table."""

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from lab.netns import CLIENT_IP6, HOST_IP6, Place
from lab.server import needs, serving
from lab.site import BOX, NEIGHBOUR_IP6, Site, SiteDaemon
from lab.wait import wait_until

pytest_plugins = ["lab.site_fixtures"]
pytestmark = pytest.mark.timeout(120)

PSEUDO = re.compile(r"\b2[45]\d\.\d+\.\d+\.\d+\b")


def check_log(daemon: SiteDaemon, log: Path, pattern: str) -> None:
    """That the log's lines of that kind name the client, then its neighbour, and nobody else."""

    def seen() -> list[str]:
        lines = [line for line in log.read_text().splitlines() if re.search(pattern, line)]
        return [PSEUDO.findall(line)[0] for line in lines]

    first, second = wait_until(lambda: seen() if len(seen()) >= 2 else None, f"two in {log}")
    assert daemon.get(f"/v1/whois/{first}")["client"] == CLIENT_IP6
    assert daemon.get(f"/v1/whois/{second}")["client"] == NEIGHBOUR_IP6


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ }}
http {{
    access_log {folder}/access.log;
    server {{ listen 80; return 200 "hello\\n"; }}
}}
"""


@needs("nginx", "curl")
def test_log_of_a_web_server(site: Site, site_daemon: SiteDaemon, tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(NGINX.format(folder=tmp_path))
    site_daemon.publish("8080:80", "pseudo-ipv4")
    words = ["nginx", "-c", f"{tmp_path}/nginx.conf", "-e", f"{tmp_path}/error.log"]
    with serving(site.box, words, 80):
        for source in (CLIENT_IP6, NEIGHBOUR_IP6):
            url = f"http://[{HOST_IP6}]:8080/"
            assert site.client.run("curl", "-sS", "--interface", source, url) == "hello\n"
    check_log(site_daemon, tmp_path / "access.log", '"GET / HTTP/1.1" 200')


# OpenSSH, and fail2ban, which reads its log.

SSHD = """
Port 22
ListenAddress {box}
HostKey {folder}/key
PidFile none
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AuthorizedKeysFile {folder}/none
MaxAuthTries 3
"""


@contextmanager
def sshd(site: Site, folder: Path) -> Iterator[Path]:
    """The server, and its log, with the words in front that syslog puts there. It wants a folder below
    /run, which it gets in a mount namespace.
    """
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
    )
    (folder / "sshd_config").write_text(SSHD.format(box=BOX, folder=folder))
    log = folder / "sshd.log"
    script = f"""
        mount -t tmpfs run /run && mkdir /run/sshd
        exec /usr/sbin/sshd -D -e -f {folder}/sshd_config \\
            2> >(exec sed -u 's/^/box sshd[22]: /' >{log})
    """
    with serving(site.box, ["unshare", "--mount", "bash", "-euc", script], 22):
        yield log


def ssh(site: Site, source: str) -> subprocess.CompletedProcess:
    """A log-in that fails, of a user that there is not."""
    options = ["BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null"]
    words = ["ssh", "-F", "none", "-p", "2222", "-b", source, "-o", "ConnectTimeout=5"]
    for option in options:
        words += ["-o", option]
    words = [*site.client.enter, *words, f"mallory@{HOST_IP6}", "true"]
    return subprocess.run(words, capture_output=True, text=True, timeout=30)


@needs("sshd", "ssh", "ssh-keygen")
def test_log_of_openssh(site: Site, site_daemon: SiteDaemon, tmp_path: Path) -> None:
    site_daemon.publish("2222:22", "pseudo-ipv4")
    with sshd(site, tmp_path) as log:
        for source in (CLIENT_IP6, NEIGHBOUR_IP6):
            assert "Permission denied" in ssh(site, source).stderr
        check_log(site_daemon, log, "Invalid user mallory from")


FAIL2BAN = {
    "fail2ban.conf": """
[Definition]
loglevel = INFO
logtarget = {folder}/fail2ban.log
syslogsocket = auto
socket = {folder}/fail2ban.sock
pidfile = {folder}/fail2ban.pid
dbfile = None
""",
    "jail.conf": """
[DEFAULT]
backend = polling
bantime = 600
findtime = 600
maxretry = 3
ignoreself = false
usedns = no
[sshd]
enabled = true
filter = sshd
datepattern = {{NONE}}
logpath = {log}
action = nftables[type=allports, blocktype=reject with tcp reset]
""",
}


@contextmanager
def fail2ban(place: Place, folder: Path, log: Path) -> Iterator[Callable[..., str]]:
    """The server with one jail; yields its client."""
    config = folder / "fail2ban"
    config.mkdir()
    for name in ("filter.d", "action.d"):
        (config / name).symlink_to(f"/etc/fail2ban/{name}")
    for name, text in FAIL2BAN.items():
        (config / name).write_text(text.format(folder=folder, log=log))
    words = ["fail2ban-server", "-f", "-x", "-c", str(config), "-s", str(folder / "fail2ban.sock")]
    process = subprocess.Popen([*place.enter, *words], stdin=subprocess.DEVNULL)

    def client(*words: str) -> str:
        socket_path = str(folder / "fail2ban.sock")
        return place.run("fail2ban-client", "-c", str(config), "-s", socket_path, *words)

    try:
        wait_until(lambda: (folder / "fail2ban.sock").exists(), "fail2ban to start")
        wait_until(lambda: "sshd" in client("status"), "fail2ban to have its jail")
        yield client
    finally:
        process.terminate()
        process.wait(20)


@needs("sshd", "ssh", "ssh-keygen", "fail2ban-server", "nft")
def test_fail2ban_bans_a_client_and_not_its_neighbour(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path
) -> None:
    site_daemon.publish("2222:22", "pseudo-ipv4")
    with sshd(site, tmp_path) as log, fail2ban(site.box, tmp_path, log) as client:
        try:
            for _ in range(3):
                assert "Permission denied" in ssh(site, CLIENT_IP6).stderr
            (banned,) = wait_until(lambda: PSEUDO.findall(client("status", "sshd")), "a ban")
            assert site_daemon.get(f"/v1/whois/{banned}")["client"] == CLIENT_IP6
            wait_until(lambda: banned in site.box.run("nft", "list", "ruleset"), "nftables")
            assert re.search("reset|closed", ssh(site, CLIENT_IP6).stderr)
            assert "Permission denied" in ssh(site, NEIGHBOUR_IP6).stderr
        finally:
            client("stop")


# PostgreSQL.


def as_postgres(words: list[str]) -> list[str]:
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *words]


def find_postgres() -> Path:
    """The folder of the newest version; Debian puts them beside each other."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda it: int(it.parent.name))
    return found[-1] if found else Path("/usr/lib/postgresql")


@needs(find_postgres() / "postgres", "psql")
def test_pg_stat_activity(site: Site, site_daemon: SiteDaemon, tmp_path: Path) -> None:
    site_daemon.publish("15432:5432", "pseudo-ipv4")
    programs, data = find_postgres(), Path("/var/lib/postgresql") / f"fairlead-test-{os.getpid()}"
    words = [str(programs / "initdb"), "--no-sync", "-A", "trust", "-D", str(data)]
    try:
        subprocess.run(as_postgres(words), check=True, stdout=subprocess.DEVNULL, timeout=60)
        with (data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all 240.0.0.0/4 trust\n")
        words = [str(programs / "postgres"), "-D", str(data), "-h", BOX, "-k", "", "-F"]
        with serving(site.box, as_postgres(words), 5432):
            for source in (CLIENT_IP6, NEIGHBOUR_IP6):
                assert site_daemon.get(f"/v1/whois/{ask_postgres(site, source)}")["client"] == source
    finally:
        shutil.rmtree(data, ignore_errors=True)


def ask_postgres(site: Site, source: str) -> str:
    """The address that the server has for its client. psql itself cannot choose its own address,
    so the preferred one is made to be the source.
    """
    question = "select client_addr from pg_stat_activity where pid = pg_backend_pid()"
    words = ["psql", "-X", "-t", "-A", "-U", "postgres", "-p", "15432", "-h", HOST_IP6, "-c", question]
    route = ["ip", "-6", "route", "replace", f"{HOST_IP6}/128", "dev", "eth0", "src", source]
    site.client.run(*route)
    try:
        return site.client.run(*words).strip()
    finally:
        site.client.run("ip", "-6", "route", "del", f"{HOST_IP6}/128")


# DNS.

# Type A of name.test.
QUESTION = bytes.fromhex("abcd 0100 0001 0000 0000 0000") + b"\4name\4test\0\0\1\0\1"
ANSWER = socket.inet_aton("192.0.2.53")


def ask_by_udp(site: Site, source: str) -> bytes:
    with site.client.open_socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
        client.bind((source, 0))
        client.sendto(QUESTION, (HOST_IP6, 5353))
        return client.recv(1000)


def ask_by_tcp(site: Site, source: str) -> bytes:
    with site.connect(5353, source) as client:
        client.sendall(struct.pack(">H", len(QUESTION)) + QUESTION)
        return client.recv(1000)


@needs("dnsmasq")
@pytest.mark.parametrize("ask", [ask_by_udp, ask_by_tcp], ids=["udp", "tcp"])
def test_query_log_of_a_dns_server(
    site: Site, site_daemon: SiteDaemon, tmp_path: Path, ask: Callable[[Site, str], bytes]
) -> None:
    for protocol in ("tcp", "udp"):
        site_daemon.publish(f"5353:53/{protocol}", "pseudo-ipv4")
    log = tmp_path / "dnsmasq.log"
    log.touch()
    words = ["dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts"]
    words += [f"--listen-address={BOX}", "--bind-interfaces", "--pid-file=", "--user=root"]
    words += ["--log-queries", f"--log-facility={log}", "--address=/name.test/192.0.2.53"]
    with serving(site.box, words, 53):
        for source in (CLIENT_IP6, NEIGHBOUR_IP6):
            assert ask(site, source).endswith(ANSWER)
    check_log(site_daemon, log, r"query\[A\] name.test from")
