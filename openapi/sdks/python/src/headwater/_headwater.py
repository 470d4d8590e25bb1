"""A project of a Headwater service."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from ._consume import Page, consume, start_params
from ._errors import of_response, of_transport
from ._group import GroupPage, Member, group_pages
from ._producer import Producer
from ._retry import Retry
from ._tail import Batch, tail
from .streaming.client import AuthenticatedClient


class Headwater:
    """A project of a service. Use it in a ``with``, or close it.

    ``client`` is the generated client: pass it to any function of ``headwater.streaming.api``.
    """

    def __init__(self, base_url: str, api_key: str, *, timeout_s: float = 30.0) -> None:
        self.client = AuthenticatedClient(
            base_url=base_url.rstrip("/"), token=api_key, timeout=httpx.Timeout(timeout_s)
        )

    @classmethod
    def from_environment(cls) -> Self:
        """The project that ``HEADWATER_URL`` and ``HEADWATER_KEY`` name, as for the command line."""
        return cls(os.environ["HEADWATER_URL"], os.environ["HEADWATER_KEY"])

    def producer(
        self,
        topic: str,
        *,
        linger_s: float = 0.005,
        max_batch_records: int = 1_000,
        max_batch_bytes: int = 1 << 20,
        max_buffered_bytes: int = 32 << 20,
        acks: str = "quorum",
        retry: Retry = Retry(),
    ) -> Producer:
        """A producer of one topic."""
        path = f"{_path(topic)}/records"

        def send_batch(body: bytes, idempotency_key: str) -> dict[str, Any]:
            headers = {"Content-Type": "application/json", "Idempotency-Key": idempotency_key}
            return self._json("POST", path, content=body, headers=headers)

        return Producer(
            send_batch,
            linger_s=linger_s,
            max_batch_records=max_batch_records,
            max_batch_bytes=max_batch_bytes,
            max_buffered_bytes=max_buffered_bytes,
            acks=acks,
            retry=retry,
        )

    def consume(
        self,
        topic: str,
        *,
        cursor: str | None = None,
        from_: str | None = None,
        at: str | None = None,
        follow: bool = True,
        max_records: int = 500,
        wait_s: float = 30.0,
        retry: Retry = Retry(),
    ) -> Iterator[Page]:
        """Reads a topic page by page, by default from its oldest record and on at its end."""
        start = start_params(cursor, from_, at, "earliest")
        return consume(
            self._get,
            f"{_path(topic)}/records",
            start,
            follow=follow,
            max_records=max_records,
            wait_s=wait_s,
            retry=retry,
        )

    def group(
        self,
        name: str,
        *,
        topics: list[str] | None = None,
        start: str | None = None,
        member: str | None = None,
        lease_s: float | None = None,
        max_records: int = 500,
        wait_s: float = 5.0,
        stop: threading.Event | None = None,
        retry: Retry = Retry(),
    ) -> Iterator[GroupPage]:
        """Reads as a member of a group, which shares its topics' records out.

        With ``topics`` it makes sure first that the group is there. Asking for the next page commits the
        one before; a page that a loop is left in, or that outlives the lease, comes again, to this
        member or to another. A ``member`` that comes back under its name has its partitions at once.
        Setting ``stop`` ends the loop at the next page: what is done is committed, the member leaves.
        """
        path = f"/groups/{quote(name, safe='')}"
        as_member = Member(self._json, path, member, lease_s=lease_s, wait_s=wait_s, retry=retry)
        if topics is not None:
            as_member.ensure_group(topics, start)
        return group_pages(as_member, max_records=max_records, stop=stop or threading.Event())

    def tail(
        self,
        topic: str,
        *,
        cursor: str | None = None,
        from_: str | None = None,
        at: str | None = None,
        silence_s: float = 45.0,
        retry: Retry = Retry(),
    ) -> Iterator[Batch]:
        """Follows a topic over one connection, by default from its end as it is now.

        When the connection breaks, says nothing for ``silence_s`` (the service sends a heartbeat every
        15 s) or is sent away, another resumes at the last cursor: no record is missed or seen twice.
        """
        start = start_params(cursor, from_, at, "latest")
        if start == {"from": "latest"}:
            # The end is another one after each broken connection: fix it before the first.
            end = retry.call(lambda: self._get(f"{_path(topic)}/records", start, timeout_s=30), repeatable=True)
            start = {"cursor": end["cursor"]}

        @contextmanager
        def connect(start: dict[str, str]) -> Iterator[Iterator[bytes]]:
            params = {**start, "encoding": "base64"}
            timeout = httpx.Timeout(30, read=silence_s)
            http = self.client.get_httpx_client()
            try:
                with http.stream("GET", f"{_path(topic)}/tail", params=params, timeout=timeout) as response:
                    if not response.is_success:
                        response.read()
                        raise of_response(response)
                    yield response.iter_bytes()
            except httpx.HTTPError as error:
                raise of_transport(error) from error

        return tail(connect, start, retry)

    def close(self) -> None:
        """Closes the connections."""
        self.client.get_httpx_client().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _get(self, path: str, params: dict[str, Any], /, *, timeout_s: float) -> dict[str, Any]:
        return self._json("GET", path, params=params, timeout=timeout_s)

    def _json(self, method: str, path: str, /, **request: Any) -> dict[str, Any]:
        try:
            response = self.client.get_httpx_client().request(method, path, **request)
        except httpx.HTTPError as error:
            raise of_transport(error) from error
        if not response.is_success:
            raise of_response(response)
        body: dict[str, Any] = json.loads(response.content or b"{}")
        return body


def _path(topic: str) -> str:
    return f"/topics/{quote(topic, safe='')}"
