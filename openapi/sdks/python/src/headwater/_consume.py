"""Reading a topic page by page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from ._record import ReceivedRecord
from ._retry import Retry


@dataclass(frozen=True, slots=True)
class Gap:
    """Offsets of a partition that retention took before they were read."""

    partition: int
    first: int
    end: int
    """The first offset after the gap."""
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and where to read on."""

    records: list[ReceivedRecord]
    cursor: str
    """Keep it where the records' effects are kept: reading starts behind them."""
    gaps: list[Gap]


class GetJson(Protocol):
    """Asks for JSON at a path below the project."""

    def __call__(self, path: str, params: dict[str, Any], /, *, timeout_s: float) -> dict[str, Any]: ...


def start_params(cursor: str | None, from_: str | None, at: str | None, otherwise: str) -> dict[str, str]:
    """The one parameter that says where to start."""
    if cursor is not None:
        return {"cursor": cursor}
    if at is not None:
        return {"at": at}
    return {"from": from_ or otherwise}


def consume(
    get_json: GetJson, path: str, start: dict[str, str], *, follow: bool, max_records: int, wait_s: float, retry: Retry
) -> Iterator[Page]:
    """Reads all partitions below a topic's path; of each partition in offset order."""
    wait_ms = int(wait_s * 1000) if follow else 0
    while True:
        params = {**start, "max_records": max_records, "wait_ms": wait_ms, "encoding": "base64"}
        page = retry.call(lambda: get_json(path, params, timeout_s=wait_ms / 1000 + 30), repeatable=True)
        start = {"cursor": page["cursor"]}
        if page["records"] or page["gaps"]:
            yield Page(
                records=[ReceivedRecord.of(record) for record in page["records"]],
                cursor=page["cursor"],
                gaps=[Gap(gap["partition"], gap["from"], gap["to"], gap["reason"]) for gap in page["gaps"]],
            )
        at_end = all(partition["next_offset"] >= partition["high_watermark"] for partition in page["partitions"])
        if at_end and not follow:
            return
