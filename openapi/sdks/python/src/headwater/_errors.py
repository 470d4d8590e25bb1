"""What the service refused, or what kept it from answering."""

from __future__ import annotations

import json
from typing import Any

import httpx

from .streaming.models import Problem


class HeadwaterError(Exception):
    """A call that failed. ``problem`` is what the service wrote; None if nothing readable came back."""

    def __init__(self, message: str, problem: Problem | None = None) -> None:
        super().__init__(message)
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code, or ``no_answer``."""
        return self.problem.code if self.problem else "no_answer"

    @property
    def status(self) -> int | None:
        """The HTTP status; None without an answer."""
        return self.problem.status if self.problem else None

    @property
    def outcome(self) -> str:
        """``not_applied``, ``applied`` or ``unknown``. Without an answer nobody knows."""
        return self.problem.outcome.value if self.problem else "unknown"

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later. A connection that broke may come back."""
        return self.problem.retryable if self.problem else True

    @property
    def retry_after_s(self) -> float:
        """How long the service asks to be left alone."""
        wait_ms = self.problem.retry_after_ms if self.problem else 0
        return wait_ms / 1000 if isinstance(wait_ms, int) else 0.0

    def should_retry(self, *, repeatable: bool) -> bool:
        """Whether to send the request again, by ``retryable`` and ``outcome`` alone.

        ``repeatable`` says that a repeat does no harm, as with an idempotency key or where nothing
        is written.
        """
        if not self.retryable or self.outcome == "applied":
            return False
        return self.outcome == "not_applied" or repeatable


def of_problem(body: Any) -> HeadwaterError:
    """The error for a problem as it stands in JSON."""
    try:
        problem = Problem.from_dict(body)
    except (AttributeError, KeyError, TypeError, ValueError):
        return HeadwaterError(f"no answer: {str(body)[:200]}")
    return HeadwaterError(f"{problem.code}: {problem.detail}", problem)


def of_response(response: httpx.Response) -> HeadwaterError:
    """The error for an answer that is none of success; its body must have been read."""
    try:
        return of_problem(json.loads(response.content))
    except ValueError:
        return HeadwaterError(f"no answer: HTTP {response.status_code}")


def of_transport(error: httpx.HTTPError) -> HeadwaterError:
    """The error for a connection that broke, or never came to be."""
    return HeadwaterError(f"no answer: {error or type(error).__name__}")
