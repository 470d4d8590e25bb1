"""Following a topic over one connection."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ._errors import HeadwaterError, of_problem
from ._events import parse_events
from ._record import ReceivedRecord
from ._retry import Retry

Connect = Callable[[dict[str, str]], AbstractContextManager[Iterator[bytes]]]
"""Opens the stream of events from somewhere; it raises HeadwaterError as it breaks or falls silent."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Records that were followed, and the cursor behind them."""

    records: list[ReceivedRecord]
    cursor: str


def tail(connect: Connect, start: dict[str, str], retry: Retry) -> Iterator[Batch]:
    """Follows from somewhere that does not move, and resumes at the last cursor."""
    failures = 0
    last_good = time.monotonic()
    while True:
        retry_after_s = 0.0
        try:
            with connect(start) as chunks:
                for event in parse_events(chunks):
                    body = json.loads(event.data)
                    if event.type == "error":
                        raise of_problem(body)
                    start = {"cursor": body["cursor"]}
                    failures = 0
                    if event.type == "records":
                        yield Batch([ReceivedRecord.of(record) for record in body["records"]], body["cursor"])
                    # The caller's time with a batch is not held against the service.
                    last_good = time.monotonic()
                    if event.type == "goaway":
                        break
        except HeadwaterError as error:
            retry_after_s = error.retry_after_s
            late = time.monotonic() - last_good > retry.deadline_s
            if late or not error.should_retry(repeatable=True):
                raise
        # Also after an orderly end: a service that ends every connection is not asked in a tight loop.
        failures += 1
        time.sleep(retry.wait_s(failures, retry_after_s))
