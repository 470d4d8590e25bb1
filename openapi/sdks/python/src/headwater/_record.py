"""Records, as they are written and as they are read."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ABSENT: Any = object()


class NewRecord:
    """A record to write. Give at most one of ``json``, ``json_text``, ``text`` and ``value``.

    ``json`` is anything that ``json.dumps`` takes: its integers keep every digit. ``json_text`` is JSON
    that is kept byte for byte, for decimals that must not be rounded. ``text`` and ``value`` are
    text and bytes. Without any of them the record is a tombstone: its key's record is gone.
    """

    __slots__ = ("encoded",)

    def __init__(
        self,
        *,
        key: str | bytes | None = None,
        json: Any = _ABSENT,
        json_text: str | None = None,
        text: str | None = None,
        value: bytes | None = None,
        headers: Mapping[str, str | Sequence[str]] | None = None,
        timestamp_ms: int | None = None,
        partition: int | None = None,
    ) -> None:
        values = {
            "value": json_text if json is _ABSENT else _json(json),
            "value_text": None if text is None else _json(text),
            "value_base64": None if value is None else _base64(value),
        }
        given = {name: encoded for name, encoded in values.items() if encoded is not None}
        if len(given) > 1 or (json is not _ABSENT and json_text is not None):
            raise ValueError("a record has one value")
        fields = given or {"value": "null"}
        if isinstance(key, bytes):
            fields["key_base64"] = _base64(key)
        elif key is not None:
            fields["key"] = _json(key)
        if headers is not None:
            fields["headers"] = _json({name: v if isinstance(v, str) else list(v) for name, v in headers.items()})
        if timestamp_ms is not None:
            fields["timestamp"] = _json(timestamp_ms)
        if partition is not None:
            fields["partition"] = _json(partition)
        self.encoded = ("{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}").encode()
        """The record as it stands in a request."""


@dataclass(frozen=True, slots=True)
class ReceivedRecord:
    """A record as it was read: key, value and headers as bytes, so that nothing is rounded or replaced."""

    key: bytes | None
    value: bytes | None
    """None is a tombstone."""
    partition: int
    offset: int
    """Below 2^53 always."""
    timestamp_ms: int
    """Milliseconds since the epoch."""
    headers: dict[str, list[bytes]] = field(default_factory=dict)

    @classmethod
    def of(cls, wire: dict[str, Any]) -> ReceivedRecord:
        """The record in an answer that was asked for with ``encoding=base64``."""
        headers = wire["headers_base64"].items()
        return cls(
            key=_bytes(wire["key_base64"]),
            value=_bytes(wire["value_base64"]),
            partition=wire["partition"],
            offset=wire["offset"],
            timestamp_ms=wire["timestamp"],
            headers={
                name: [b64decode(value) for value in ([values] if isinstance(values, str) else values)]
                for name, values in headers
            },
        )

    @property
    def text(self) -> str | None:
        """The value as text: of JSON, every digit and space as it was sent."""
        return None if self.value is None else self.value.decode()

    def json(self, **options: Any) -> Any:
        """The value parsed as JSON; ``options`` as for ``json.loads``, such as ``parse_float=Decimal``."""
        return None if self.value is None else json.loads(self.value, **options)


def _json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def _base64(value: bytes) -> str:
    return f'"{b64encode(value).decode()}"'


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else b64decode(text)
