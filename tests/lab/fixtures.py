# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with engines: a plugin, so that all their modules share one engine."""

from collections.abc import Iterator

import pytest

from .engine import Engine, Unavailable, find_installed, find_unstable
from .image import import_webapp
from .lab import Lab
from .netns import Network


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


def clean(engine: Engine) -> None:
    """The engine runs as at first, with no container and no proxy."""
    if engine.process and engine.has_other_options:
        engine.stop()
    if not engine.process:
        engine.start()
    engine.remove_containers()
    engine.docker("network", "prune", "--force")
    engine.wait_for_no_proxy()


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    yield shared_lab
    clean(shared_lab.engine)
