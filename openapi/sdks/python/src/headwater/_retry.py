"""When to try again, and how long to wait before."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from ._errors import HeadwaterError

T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """When to give up, and how long to wait between tries."""

    deadline_s: float = 120.0
    """No try begins later than this after the first."""
    first_wait_s: float = 0.1
    """Doubled with each try."""
    longest_wait_s: float = 5.0

    def wait_s(self, attempt: int, retry_after_s: float = 0.0) -> float:
        """How long to wait before a try; the first repeat is attempt 1.

        Exponential with full jitter, so that clients which failed together do not come back together,
        and never less than the service asked for.
        """
        ceiling = min(self.longest_wait_s, self.first_wait_s * 2.0 ** min(attempt - 1, 30))
        return max(retry_after_s, random.random() * ceiling)

    def call(self, call: Callable[[], T], *, repeatable: bool) -> T:
        """Calls until it succeeds, may not be repeated, or the deadline has passed."""
        deadline = time.monotonic() + self.deadline_s
        attempt = 1
        while True:
            try:
                return call()
            except HeadwaterError as error:
                wait_s = self.wait_s(attempt, error.retry_after_s)
                late = time.monotonic() + wait_s > deadline
                if late or not error.should_retry(repeatable=repeatable):
                    raise
            time.sleep(wait_s)
            attempt += 1
