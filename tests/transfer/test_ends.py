# SPDX-License-Identifier: Apache-2.0
"""How sessions through fairlead-docker-proxy end, at random.

The program `ends`, built beside this file, is the clients and the servers; its head tells what it
holds them to. Each run has another seed: FAIRLEAD_ENDS_SEED repeats one that failed, and what the
program prints of a fault repeats that session alone. Sessions depend on timing, too, so it may take
some runs.
"""

import json
import os
import random
import subprocess
import time
from typing import Any, Callable

import pytest
from proxies import BACK_PORT, BUILD, FRONT_PORT, Proxy

ENDS = BUILD / "tests/transfer/ends"

SECONDS = 6  # and then until the last session has ended, which the program limits

pytestmark = pytest.mark.timeout(120)


def ends(*words: Any) -> dict[str, int]:
    """Runs the program; what it found is asserted."""
    command = [ENDS, "--connect", FRONT_PORT, "--listen", BACK_PORT, *words]
    print(*command)
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    print(done.stdout + done.stderr)
    if done.returncode != 0:
        pytest.fail("what it printed tells why", pytrace=False)
    return json.loads(done.stdout.splitlines()[-1])


def test_ends_are_passed_on(proxy: Proxy, record_property: Callable[[str, object], None]) -> None:
    before = proxy.descriptors()
    seed = os.environ.get("FAIRLEAD_ENDS_SEED") or random.randrange(1 << 32)
    found = ends("--seed", seed, "--seconds", SECONDS)
    record_property("ends_checked", found["checked"])
    limit = time.monotonic() + 20
    while proxy.descriptors() > before and time.monotonic() < limit:
        time.sleep(0.1)  # until it tidies up, seconds after the last session
    assert proxy.process.poll() is None
    assert proxy.descriptors() <= before
