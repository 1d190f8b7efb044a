# SPDX-License-Identifier: Apache-2.0
"""Waiting for a condition, never for a fixed time: the machine may be busy with other jobs."""

import time
from collections.abc import Callable
from typing import TypeVar

Value = TypeVar("Value")


def wait_until(condition: Callable[[], Value], what: str, limit_s: float = 30) -> Value:
    """The first true value of the condition; its end is an AssertionError that says what failed."""
    deadline = time.monotonic() + limit_s
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}; it is {value!r}"
        time.sleep(0.02)
    return value
