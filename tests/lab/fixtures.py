# SPDX-License-Identifier: Apache-2.0
"""Fixtures of the tests with engines: a plugin, so that all their modules share one engine."""

from collections.abc import Iterator

import pytest

from .engine import Engine
from .image import import_webapp
from .installation import Unavailable, find_installed, find_unstable
from .lab import Lab
from .netns import Network


@pytest.fixture(scope="session", params=[find_installed, find_unstable], ids=["20.10", "28"])
def shared_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """One for each generation, as each start of an engine takes its time."""
    network = engine = None
    try:
        installation = request.param()
        print(f"Docker Engine {installation.version}")
        network = Network()
        engine = Engine(installation, network.host)
        engine.start()
        import_webapp(engine)
        yield Lab(network, engine)
    except Unavailable as reason:
        pytest.skip(str(reason))
    finally:
        if engine:
            engine.close()
        if network:
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
