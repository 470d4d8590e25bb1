"""A producer: batches in the background, each repeated safely until it is acknowledged."""

from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ._errors import HeadwaterError, of_problem
from ._record import NewRecord
from ._retry import Retry

SendBatch = Callable[[bytes, str], dict[str, Any]]
"""Sends one batch under an idempotency key; the same batch and key may come again."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where an acknowledged record is."""

    partition: int
    offset: int
    timestamp_ms: int
    duplicate: bool
    """Whether an earlier try had appended it and its answer was lost."""


@dataclass(slots=True)
class _Pending:
    encoded: bytes
    future: Future[Receipt]


class Producer:
    """Appends records to one topic in batches, in the order they were sent.

    One batch is on its way at a time, and what comes meanwhile makes up the next; each has an
    idempotency key, so that it may be repeated through broken connections and restarts without
    appending anything twice. Safe to use from many threads. Close it, or use it in a ``with``.
    """

    def __init__(
        self,
        send_batch: SendBatch,
        *,
        linger_s: float = 0.005,
        max_batch_records: int = 1_000,
        max_batch_bytes: int = 1 << 20,
        max_buffered_bytes: int = 32 << 20,
        acks: str = "quorum",
        retry: Retry = Retry(),
    ) -> None:
        self._send_batch = send_batch
        self._linger_s = linger_s
        self._max_batch_records = max_batch_records
        self._max_batch_bytes = max_batch_bytes
        self._max_buffered_bytes = max_buffered_bytes
        self._acks = acks
        self._retry = retry
        self._key_prefix = uuid.uuid4()
        self._batches = 0
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._waiting: deque[_Pending] = deque()
        self._waiting_bytes = 0
        self._in_flight_bytes = 0
        self._flushing = 0
        self._closed = False
        self._failure: HeadwaterError | None = None
        self._thread = threading.Thread(target=self._run, name="headwater-producer", daemon=True)
        self._thread.start()

    def send(self, record: NewRecord, *, timeout_s: float | None = None) -> Future[Receipt]:
        """Queues a record; the future is done once it is acknowledged.

        Blocks while ``max_buffered_bytes`` wait, for ``timeout_s`` at most, then raises TimeoutError.
        A failure is told by the future and by the next ``flush``.
        """
        pending = _Pending(record.encoded, Future())
        with self._changed:
            if not self._changed.wait_for(lambda: self._closed or self._has_room(), timeout_s):
                raise TimeoutError("the producer's buffer is full")
            if self._closed:
                raise ValueError("the producer is closed")
            self._waiting.append(pending)
            self._waiting_bytes += len(pending.encoded) + 1
            self._changed.notify_all()
        return pending.future

    def flush(self) -> None:
        """Sends what waits, and returns when all of it is settled; raises the first failure since the last."""
        with self._changed:
            self._flushing += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._waiting and not self._in_flight_bytes)
            self._flushing -= 1
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def close(self) -> None:
        """Flushes, and takes no more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join()
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _has_room(self) -> bool:
        return self._waiting_bytes + self._in_flight_bytes < self._max_buffered_bytes

    def _is_due(self) -> bool:
        full = len(self._waiting) >= self._max_batch_records or self._waiting_bytes >= self._max_batch_bytes
        return full or self._closed or self._flushing > 0

    def _run(self) -> None:
        while batch := self._next_batch():
            self._deliver(batch)
            with self._changed:
                self._in_flight_bytes = 0
                self._changed.notify_all()

    def _next_batch(self) -> list[_Pending]:
        """Waits for a batch; an empty one is the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            self._changed.wait_for(self._is_due, self._linger_s)
            batch: list[_Pending] = []
            size = 0
            while self._waiting and len(batch) < self._max_batch_records:
                more = len(self._waiting[0].encoded) + 1
                if batch and size + more > self._max_batch_bytes:
                    break
                batch.append(self._waiting.popleft())
                size += more
            self._waiting_bytes -= size
            self._in_flight_bytes = size
            return batch

    def _deliver(self, batch: list[_Pending]) -> None:
        """Repeats one batch under one key until each record has its place, or may not be tried again."""
        self._batches += 1
        key = f"{self._key_prefix}-{self._batches}"
        body = b'{"acks":%s,"records":[%s]}' % (
            json.dumps(self._acks).encode(),
            b",".join(pending.encoded for pending in batch),
        )
        deadline = time.monotonic() + self._retry.deadline_s
        unsettled = set(range(len(batch)))
        attempt = 1
        while unsettled:
            errors = self._try(batch, unsettled, body, key)
            again = [error for error in errors.values() if error.should_retry(repeatable=True)]
            wait_s = self._retry.wait_s(attempt, max((error.retry_after_s for error in again), default=0.0))
            late = time.monotonic() + wait_s > deadline
            for slot, error in errors.items():
                if late or not error.should_retry(repeatable=True):
                    self._fail(batch[slot], error)
                    unsettled.discard(slot)
            if unsettled:
                time.sleep(wait_s)
                attempt += 1

    def _try(self, batch: list[_Pending], unsettled: set[int], body: bytes, key: str) -> dict[int, HeadwaterError]:
        """One try: settles what succeeded, and returns why the others did not."""
        try:
            answer = self._send_batch(body, key)
        except HeadwaterError as error:
            return dict.fromkeys(unsettled, error)
        errors: dict[int, HeadwaterError] = {}
        for slot in list(unsettled):
            result = answer["results"][slot]
            if "error" in result:
                errors[slot] = of_problem(result["error"])
                continue
            receipt = Receipt(
                result["partition"], result.get("offset", -1), result.get("timestamp", -1), answer["duplicate"]
            )
            batch[slot].future.set_result(receipt)
            unsettled.discard(slot)
        return errors

    def _fail(self, pending: _Pending, error: HeadwaterError) -> None:
        pending.future.set_exception(error)
        with self._lock:
            self._failure = self._failure or error
