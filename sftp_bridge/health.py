"""What people and Prometheus may ask of a running bridge: /health, /metrics and a page at /."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson

from settlement.masking import mask_text
from sftp_bridge.health_page import page_of
from sftp_bridge.screen import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftp_bridge.business_time import BusinessTime
    from sftp_bridge.ingest import BankFiles

log = logging.getLogger("bridge")

# Seconds for a request's first line: a connection that says nothing must not stay for ever.
_REQUEST_SECONDS = 5


class Health:
    """A very small HTTP server on the loopback address."""

    def __init__(self, banks: Sequence[BankFiles], business_time: BusinessTime) -> None:
        self._banks = banks
        self._time = business_time
        self._server: asyncio.Server | None = None

    async def start(self, port: int) -> int:
        """Listen; gives the port, which matters when 0 was asked for."""
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", port)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening."""
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    def state(self) -> dict[str, Any]:
        """ok: whoever was polled is well; starting: nobody was polled yet; degraded: with the reason."""
        banks = {}
        for one in self._banks:
            counts = one.counts
            banks[one.bank.bank] = {
                "server": one.remote.address,
                **counts.health(),
                "polls": counts.polls,
                "seconds_since_success": _ago(counts.last_success),
                "files": dict(counts.files),
                "records": counts.records,
                "needs_somebody": counts.terminal and counts.problem is not None,
                "asked_for_seconds": _ago(counts.asked),
                "transfer": counts.transferring.told() if counts.transferring else None,
                "waiting": [_name(name) for name in counts.waiting],
                "unrecognised": [_name(name) for name in counts.unrecognised],
            }
        states = {bank["state"] for bank in banks.values()}
        degraded = "degraded" in states or self._time.problem is not None
        now = self._time.now()
        return {
            # A bank whose server hangs must not make the whole bridge look as if it never came up.
            "status": "starting" if states == {"starting"} else "degraded" if degraded else "ok",
            "business_time": now.isoformat() if now else None,
            "clock_problem": self._time.problem,
            "banks": banks,
        }

    def metrics(self) -> str:
        """Prometheus' text format."""
        lines: list[str] = []

        def metric(name: str, kind: str, text: str, rows: list[tuple[str, float]]) -> None:
            lines.append(f"# HELP {name} {text}")
            lines.append(f"# TYPE {name} {kind}")
            # Whole numbers to their last digit: of bytes and records every one counts.
            lines.extend(
                f"{name}{{{labels}}} {f'{value:d}' if isinstance(value, int) else f'{value:.3f}'}"
                for labels, value in rows
            )

        all_counts = [(f'bank="{one.bank.bank}"', one.counts) for one in self._banks]
        metric(
            "settle_bridge_files_total",
            "counter",
            "Files by what became of them, since this process began.",
            [
                (f'{bank},state="{state}"', count)
                for bank, counts in all_counts
                for state, count in sorted(counts.files.items())
            ],
        )
        for name, kind, text, field in (
            ("settle_bridge_records_total", "counter", "Records published.", "records"),
            ("settle_bridge_retracted_total", "counter", "Records retracted by corrections.", "retracted"),
            ("settle_bridge_bytes_total", "counter", "Bytes read from the bank.", "bytes_read"),
            ("settle_bridge_polls_total", "counter", "Polls of the bank.", "polls"),
            ("settle_bridge_poll_failures_total", "counter", "Polls that failed.", "failures"),
        ):
            metric(name, kind, text, [(bank, getattr(counts, field)) for bank, counts in all_counts])
        metric(
            "settle_bridge_seconds_since_success",
            "gauge",
            "Since a poll of the bank last went well.",
            [
                (bank, time.time() - counts.last_success)
                for bank, counts in all_counts
                if counts.last_success is not None
            ],
        )
        metric(
            "settle_bridge_outbox_waiting",
            "gauge",
            "Listed files that are not whole yet.",
            [(bank, len(counts.waiting)) for bank, counts in all_counts],
        )
        metric(
            "settle_bridge_outbox_unrecognised",
            "gauge",
            "Names in the outbox that are none of the bank's.",
            [(bank, len(counts.unrecognised)) for bank, counts in all_counts],
        )
        metric(
            "settle_bridge_degraded",
            "gauge",
            "1 where the last poll of the bank found trouble.",
            [(bank, counts.state == "degraded") for bank, counts in all_counts],
        )
        moving = [(bank, counts.transferring) for bank, counts in all_counts if counts.transferring]
        for name, text, field in (
            ("settle_bridge_transfer_bytes", "Bytes that came of the file being read now.", "done"),
            ("settle_bridge_transfer_size_bytes", "Bytes that the file being read now has.", "size"),
        ):
            metric(name, "gauge", text, [(bank, getattr(one, field)) for bank, one in moving])
        lines += [
            "# HELP settle_bridge_clock_stopped 1 while business time stands still.",
            "# TYPE settle_bridge_clock_stopped gauge",
            f"settle_bridge_clock_stopped {self._time.problem is not None:d}",
        ]
        return "\n".join(lines) + "\n"

    def page(self) -> str:
        """For people."""
        return page_of(self.state())

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, asyncio.LimitOverrunError, ValueError):
            async with asyncio.timeout(_REQUEST_SECONDS):
                request = await reader.readline()
                while (await reader.readline()).strip():
                    pass
            status, kind, body = self._respond(request.decode("latin-1").split())
            head = (
                f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {kind}\r\n"
                f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
            await writer.drain()
        writer.close()

    def _respond(self, request: list[str]) -> tuple[HTTPStatus, str, bytes]:
        if len(request) < 2 or request[0] not in ("GET", "HEAD"):
            return HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", b"only GET\n"
        path = request[1].split("?", 1)[0]
        if path == "/health":
            state = self.state()
            # A bank that is away is that bank's trouble and shown as such; the bridge itself does its work.
            ready = state["status"] != "starting"
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            return status, "application/json", orjson.dumps(state)
        if path == "/metrics":
            return HTTPStatus.OK, "text/plain; version=0.0.4", self.metrics().encode()
        if path == "/":
            return HTTPStatus.OK, "text/html; charset=utf-8", self.page().encode()
        return HTTPStatus.NOT_FOUND, "text/plain", b"/health, /metrics or /\n"


def _ago(moment: float | None) -> float | None:
    return None if moment is None else round(time.time() - moment, 1)


def _name(name: str) -> str:
    """A name from outside: control characters and direction marks are shown, not obeyed; no card numbers."""
    return printable(mask_text(name))
