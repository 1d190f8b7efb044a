# SPDX-License-Identifier: Apache-2.0
"""Images for an engine without a registry."""

import os
import subprocess

from .engine import WEBAPP, Engine
from .installation import ROOT, Unavailable


def import_webapp(engine: Engine) -> None:
    """The image of the example, made by its own script with the docker command of this engine."""
    if not WEBAPP.exists():
        raise Unavailable(f"{WEBAPP} is not built: it needs libmicrohttpd")
    done = subprocess.run(
        [ROOT / "examples/webapp/image", WEBAPP],
        env={**os.environ, "PATH": f"{engine.work}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"no image was made: {done.stdout}{done.stderr}"
