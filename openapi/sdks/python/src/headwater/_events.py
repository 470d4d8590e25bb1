"""Server-sent events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# No event of a tail is as long: what is, comes from something else.
LINE_BYTES_MAX = 64 << 20


@dataclass(frozen=True, slots=True)
class Event:
    """One event."""

    type: str
    data: str


def parse_events(chunks: Iterable[bytes]) -> Iterator[Event]:
    """Takes a stream of events apart, however it is cut into chunks."""
    kind, data = "", list[str]()
    for line in _lines(chunks):
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Event(kind or "message", "\n".join(data))
            kind, data = "", []
        elif name == "event":
            kind = value
        elif name == "data":
            data.append(value)


def _lines(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()
        if len(rest) > LINE_BYTES_MAX:
            raise ValueError("a line of the stream has no end")
