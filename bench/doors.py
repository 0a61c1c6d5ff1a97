"""What the intake is measured against: its own HTTP server with handlers that do less, or wait for each.

    python -m bench.doors answer         200, and nothing else: what the server class can reach
    python -m bench.doors flush TOPIC    one record to Kafka and a flush for every request, then 200

It prints its port and runs until its input ends, so that none is left over.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import uvloop
from confluent_kafka import Producer

from bench.errors import NotReadyError
from bus.settings import bus_settings
from webhook_intake.httpserver import HttpServer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook_intake.httpserver import Handler

_OK = Response(200, b"ok\n")


async def answer(_request: Request) -> Response:
    """At once."""
    return _OK


def flushing(topic: str) -> Handler:
    """A handler that does not answer before its own record is acknowledged by all replicas."""
    producer = Producer({**bus_settings().client(), "acks": "all", "enable.idempotence": True})

    async def handle(request: Request) -> Response:
        key = request.headers.get("x-razorpay-event-id", "")
        producer.produce(topic, request.body, key.encode())
        return _OK if producer.flush(10.0) == 0 else Response(503)

    return handle


@contextmanager
def door(*arguments: str) -> Iterator[int]:
    """Such a server in a process of its own; gives its port."""
    command = [sys.executable, "-m", "bench.doors", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            said = process.stdout.readline() if process.stdout else ""
            if not said.strip().isdigit():
                raise NotReadyError(f"bench.doors {' '.join(arguments)} did not start")
            yield int(said)
        finally:
            if process.stdin:
                process.stdin.close()


async def _serve(handler: Handler) -> None:
    server = HttpServer(handler)
    print(await server.start("127.0.0.1", 0), flush=True)  # noqa: T201 - the port is what was asked for
    await asyncio.to_thread(sys.stdin.read)
    await server.close(1.0)


def main(arguments: list[str]) -> None:
    """The process's entry."""
    handler = flushing(arguments[1]) if arguments[0] == "flush" else answer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(handler))


if __name__ == "__main__":
    main(sys.argv[1:])
