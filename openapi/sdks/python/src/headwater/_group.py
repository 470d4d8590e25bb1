"""Reading as a member of a group."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ._errors import HeadwaterError
from ._record import ReceivedRecord
from ._retry import Retry


@dataclass(frozen=True, slots=True)
class TopicPartition:
    """A partition of a topic."""

    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class GroupPage:
    """What a member is given to do: records, each with its topic."""

    records: list[tuple[str, ReceivedRecord]]
    assigned: list[TopicPartition]
    """What the member owns since, and did not before."""
    revoked: list[TopicPartition]
    """What it owned before, and does not now."""


class Call(Protocol):
    """Calls a path below the project, with JSON or without."""

    def __call__(self, method: str, path: str, /, **request: Any) -> dict[str, Any]: ...


class Member:
    """A member of a group, and what its calls need to know."""

    def __init__(
        self, call: Call, path: str, member: str | None, *, lease_s: float | None, wait_s: float, retry: Retry
    ) -> None:
        self._call = call
        self._path = path
        self._member_path = f"{path}/members/{member or uuid.uuid4()}"
        self._lease_s = lease_s
        self._wait_s = wait_s
        self._retry = retry
        self._instance = str(uuid.uuid4())
        self._epoch = 0

    def ensure_group(self, topics: list[str], start: str | None) -> None:
        """Makes sure that the group is there."""
        spec: dict[str, Any] = {"topics": topics}
        if start is not None:
            spec["start"] = start
        self._repeat("PUT", self._path, json=spec)

    def join(self) -> None:
        """Joins, or renews the lease."""
        body: dict[str, Any] = {"instance": self._instance}
        if self._lease_s is not None:
            body["lease_ms"] = int(self._lease_s * 1000)
        self._epoch = self._repeat("PUT", self._member_path, json=body)["epoch"]

    def poll(self, commit: str | None, max_records: int, *, last: bool) -> dict[str, Any]:
        """Commits, and reads on; the last time only commits."""
        body: dict[str, Any] = {
            "epoch": self._epoch,
            "max_records": 1 if last else max_records,
            "wait_ms": 0 if last else int(self._wait_s * 1000),
            "encoding": "base64",
        }
        if commit is not None:
            body["commit"] = commit
        page = self._repeat("POST", f"{self._member_path}/poll", json=body, timeout=self._wait_s + 30)
        self._epoch = page["epoch"]
        return page

    def leave(self) -> None:
        """Gives the partitions back at once. A courtesy: the lease ends by itself when this fails."""
        try:
            self._call("DELETE", self._member_path, params={"epoch": self._epoch}, timeout=5)
        except HeadwaterError:
            pass

    def _repeat(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Every call of a member may be repeated."""
        return self._retry.call(lambda: self._call(method, path, **request), repeatable=True)


def group_pages(member: Member, *, max_records: int, stop: threading.Event) -> Iterator[GroupPage]:
    """Reads as a member. Asking for the next page commits the one before."""
    member.join()
    commit: str | None = None
    try:
        while True:
            last = stop.is_set()
            if last and commit is None:
                return
            try:
                page = member.poll(commit, max_records, last=last)
            except HeadwaterError as error:
                if error.code != "member_expired":
                    raise
                # Others may have the partitions now: what was not committed comes again.
                commit = None
                member.join()
                continue
            if last:
                return
            commit = page["cursor"]
            if page["records"] or page["assigned"] or page["revoked"]:
                yield GroupPage(
                    records=[(record["topic"], ReceivedRecord.of(record)) for record in page["records"]],
                    assigned=[TopicPartition(**partition) for partition in page["assigned"]],
                    revoked=[TopicPartition(**partition) for partition in page["revoked"]],
                )
    finally:
        member.leave()
