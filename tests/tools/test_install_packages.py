# SPDX-License-Identifier: Apache-2.0
"""scripts/install-packages: what it installs, what it says, and that it starts no service.

dpkg-query, apt-get and id are played by programs of the test, which stand first in PATH; /usr/sbin is
an empty folder in a mount namespace, so that nothing is done to the machine.
"""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "scripts/install-packages"

POLICY = "/usr/sbin/policy-rc.d"
# What the script needs of a system that is not Debian.
PLAIN_TOOLS = ["sh", "awk", "cat", "dirname", "grep", "tr"]

APT_GET = f"""\
echo "apt-get $*" >>"$PLAYED"
if [ -x {POLICY} ]; then
	for service in docker docker.service containerd ssh; do
		answer=0; {POLICY} $service start || answer=$?
		echo "policy $service $answer" >>"$PLAYED"
	done
fi
exit ${{APT_GET_STATUS:-0}}
"""


class Play:
    def __init__(self, folder: Path) -> None:
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.played = folder / "played"
        self.played.write_text("")
        self.env = {"PATH": f"{self.bin}:/usr/bin:/bin", "PLAYED": str(self.played)}
        self.add("apt-get", APT_GET)
        self.installed([])

    def add(self, name: str, text: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)

    def installed(self, packages: list[str]) -> None:
        """These are installed, and no other."""
        names = " | ".join(packages or ["none"])
        known = f'{names}) echo "install ok installed" ;; *) exit 1 ;;'
        self.add("dpkg-query", f"for last; do :; done; case $last in {known} esac")

    def run(self, *groups: str, policy: str | None = None) -> subprocess.CompletedProcess:
        prepare = "mount -t tmpfs tmpfs /usr/sbin"
        if policy is not None:
            prepare += f" && printf '#!/bin/sh\\n{policy}\\n' >{POLICY} && chmod 755 {POLICY}"
        left = f"status=$?; [ ! -e {POLICY} ] || echo left; exit $status"
        script = f'{prepare} && "$@"; {left}'
        words = ["unshare", "--mount", "sh", "-c", script, "sh", TOOL, *groups]
        return subprocess.run(words, text=True, capture_output=True, env={**os.environ, **self.env})

    def calls(self) -> list[str]:
        return self.played.read_text().splitlines()


@pytest.fixture
def play(tmp_path: Path) -> Play:
    return Play(tmp_path)


def packages(group: str) -> list[str]:
    """The packages of a group, read without the tool."""
    lines = (ROOT / "scripts/packages").read_text().splitlines()
    return [line.split()[1] for line in lines if line.split()[:1] == [group]]


def install_call(names: list[str]) -> str:
    options = "-qq -y --no-install-recommends -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120"
    return f"apt-get {options} install {' '.join(names)}"


def test_asks_nobody_where_nothing_is_missing(play: Play) -> None:
    play.installed(packages("build"))
    result = play.run("build")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert play.calls() == []


def test_installs_what_is_missing_and_nothing_else(play: Play) -> None:
    play.installed([name for name in packages("build") if name not in ("gcc", "meson")])
    result = play.run("build", "demo")
    assert result.returncode == 0, result.stderr
    missing = ["gcc", "meson", *packages("demo")]
    assert play.calls() == ["apt-get -qq update", install_call(missing)]
    assert result.stdout == f"Installing: {' '.join(missing)}\n".replace("\n", " \n")


def test_a_failure_of_apt_get_is_shown(play: Play) -> None:
    play.env["APT_GET_STATUS"] = "100"
    result = play.run("build")
    assert result.returncode == 1
    assert "install-packages: apt-get could not install these: gcc " in result.stderr


def test_says_the_command_to_one_who_is_not_root(play: Play) -> None:
    play.add("id", "echo 1000")
    result = play.run("build")
    assert result.returncode == 1
    command = f"as root: apt-get install --no-install-recommends {' '.join(packages('build'))}"
    assert command in result.stderr
    assert play.calls() == []


def test_says_what_is_needed_elsewhere_than_on_debian(play: Play) -> None:
    (play.bin / "dpkg-query").unlink()
    (play.bin / "apt-get").unlink()
    for tool in PLAIN_TOOLS:
        (play.bin / tool).symlink_to(f"/usr/bin/{tool}")
    # The tools that the test itself needs are named by their paths.
    result = subprocess.run(
        ["/bin/sh", TOOL, "demo"], env={"PATH": str(play.bin)}, text=True, capture_output=True
    )
    assert result.returncode == 0
    assert result.stderr.splitlines()[0].startswith("This is not Debian, so nothing is installed.")
    assert result.stderr.splitlines()[1].split() == packages("demo")


def test_an_unknown_group_is_a_fault(play: Play) -> None:
    result = play.run("build", "tests")
    assert result.returncode == 1
    assert result.stderr == "install-packages: scripts/packages has no group 'tests'\n"


@pytest.mark.parametrize("status", ["0", "100"])
def test_docker_is_held_while_it_is_installed(play: Play, status: str) -> None:
    play.env["APT_GET_STATUS"] = status
    result = play.run("docker")
    assert result.returncode == (0 if status == "0" else 1)
    answers = [call for call in play.calls() if call.startswith("policy")]
    held = ["docker 101", "docker.service 101", "containerd 101", "ssh 0"]
    assert answers[:4] == [f"policy {answer}" for answer in held]
    assert "left" not in result.stdout.split()
    assert ("not started, and not enabled at boot" in result.stdout) == (status == "0")


def test_a_policy_that_holds_everything_serves(play: Play) -> None:
    result = play.run("docker", policy="exit 101")
    assert result.returncode == 0, result.stderr
    assert "policy ssh 101" in play.calls()
    assert "left" in result.stdout.split(), "the machine's own policy must stay"


def test_a_policy_that_lets_docker_start_is_not_overruled(play: Play) -> None:
    result = play.run("docker", policy="exit 0")
    assert result.returncode == 1
    assert "lets docker.service start: install what brings it yourself" in result.stderr
    assert play.calls() == []


def test_an_engine_from_elsewhere_serves(play: Play) -> None:
    play.add("dockerd", "")
    play.installed(["iptables"])
    result = play.run("docker")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    assert play.calls() == []
