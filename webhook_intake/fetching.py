"""Calls to gateways' APIs: keep-alive, bounded retries, and errors by name."""

from __future__ import annotations

import json
import random
import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import urllib3

from webhook_intake.errors import GatewayBusyError, GatewayRefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from webhook_intake.metrics import Metrics

# Tries of one call; with the pauses below about 6 s, then the next poll comes anyway.
_TRIES = 5
# Seconds: the longest a gateway's Retry-After is obeyed within one poll.
_LONGEST_PAUSE = 30.0
_TIMEOUT = urllib3.Timeout(connect=5.0, read=60.0)
# Pages asked for at once where the gateway says how many there are.
CONCURRENCY = 4


@dataclass(frozen=True, slots=True)
class Ask:
    """One call."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


class Fetcher:
    """Calls with keep-alive and bounded retries; safe for several threads."""

    def __init__(self, metrics: Metrics, stopping: threading.Event | None = None) -> None:
        self._metrics = metrics
        self._stopping = stopping or threading.Event()
        self._http = urllib3.PoolManager(maxsize=CONCURRENCY, block=True, timeout=_TIMEOUT, retries=False)

    def get(self, name: str, ask: Ask) -> bytes:
        """The answer's body.

        Raises GatewayBusyError after the last try of 429, 5xx and silence, GatewayRefusedError for other 4xx.
        """
        said = "no answer"
        for tried in range(1, _TRIES + 1):
            pause = min(0.2 * 2**tried, 5.0) * (0.5 + random.random())  # noqa: S311 - spreads retries
            try:
                answer = self._http.request(ask.method, ask.url, headers=ask.headers, body=ask.body)
            except urllib3.exceptions.HTTPError as error:
                said = type(error).__name__
                self._metrics.count("settle_intake_poll_requests_total", gateway=name, status="none")
            else:
                self._metrics.count(
                    "settle_intake_poll_requests_total", gateway=name, status=str(answer.status)
                )
                if answer.status == 200:
                    return answer.data
                said = f"answered {answer.status}"
                if answer.status != 429 and answer.status < 500:
                    raise GatewayRefusedError(f"{name} {said} to {ask.method} {_path(ask.url)}")
                after = answer.headers.get("Retry-After", "")
                if after.isdigit():
                    pause = min(float(after), _LONGEST_PAUSE)
            if tried < _TRIES and self._stopping.wait(pause):
                break
        raise GatewayBusyError(f"{name} {said} to {ask.method} {_path(ask.url)}, {_TRIES} times")

    def close(self) -> None:
        """Let go of the connections."""
        self._http.clear()


def json_answer(name: str, body: bytes) -> dict[str, Any]:
    """An answer that is a JSON object, its fractions Decimal; raises GatewayRefusedError for another one."""
    try:
        said = json.loads(body, parse_float=Decimal)
    except ValueError as error:
        raise GatewayRefusedError(f"{name} answered something that is not JSON") from error
    if not isinstance(said, dict):
        raise GatewayRefusedError(f"{name} answered in another shape")
    return said


def rows_of(name: str, found: Any) -> list[dict[str, Any]]:
    """The rows within an answer, if it has any; raises GatewayRefusedError for another shape."""
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise GatewayRefusedError(f"{name} answered in another shape: no list of rows")
    return found


def _path(url: str) -> str:
    return urllib3.util.parse_url(url).path or "/"
