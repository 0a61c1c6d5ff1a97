"""What the intake is measured against: its own HTTP server with handlers that do less, or wait for each.

    python -m bench.doors answer         200, and nothing else: what the server class can reach
    python -m bench.doors flush TOPIC    one record to Kafka and a flush for every request, then 200
    python -m bench.doors plain TOPIC    the intake's whole job the plain way, one request after the other

It prints its port and runs until its input ends, so that none is left over.
"""

from __future__ import annotations

import asyncio
import atexit
import hashlib
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
import uvloop
from confluent_kafka import Producer

import bus.producer
from bench.errors import NotReadyError
from bus.settings import bus_settings
from webhook_intake import razorpay
from webhook_intake.config import load_settings
from webhook_intake.errors import RefusedError
from webhook_intake.httpserver import HttpServer, Request, Response

if TYPE_CHECKING:
    from collections.abc import Iterator

    from webhook_intake.httpserver import Handler

_OK = Response(200, b"ok\n")
_SECONDS = 10.0
# Whose records the plain way makes, for a topic of the bench.
_TOPIC = "pg.transactions"
_LEDGER = """
CREATE TABLE IF NOT EXISTS bench_plain_events (
    event_key text COLLATE "C" PRIMARY KEY, received_at timestamptz NOT NULL, sha256 text NOT NULL,
    body bytea NOT NULL
)
"""
_KEEP = """
INSERT INTO bench_plain_events (event_key, received_at, sha256, body) VALUES (%s, %s, %s, %s)
ON CONFLICT (event_key) DO NOTHING
"""


def answer(_request: Request) -> Response:
    """At once."""
    return _OK


def flushing(topic: str) -> Handler:
    """A handler that does not answer before its own record is acknowledged by all replicas."""
    producer = _producer()

    def handle(request: Request) -> Response:
        key = request.headers.get("x-razorpay-event-id", "")
        producer.produce(topic, request.body, key.encode())
        return _OK if producer.flush(_SECONDS) == 0 else Response(503)

    return handle


def plainly(topic: str) -> Handler:
    """A handler as one writes it first: every step of the intake for its own request, waited for each time.

    Verify the signature, keep the raw body in a table (its own commit), make the record, send it, flush,
    answer. It has no marks, no limits and no audit, and the intake's own functions where there are some.
    """
    settings = load_settings()
    secrets = settings.secrets("razorpay_webhook_secret")
    ledger = psycopg.connect(settings.dsn.get_secret_value(), autocommit=True, prepare_threshold=0)
    ledger.execute(_LEDGER)
    atexit.register(ledger.execute, "DROP TABLE bench_plain_events")
    records = bus.producer.Producer(schemas={topic: _TOPIC})
    producer = _producer()

    def handle(request: Request) -> Response:
        sha256 = hashlib.sha256(request.body).hexdigest()
        now = datetime.now(UTC)
        try:
            checked = razorpay.check(request.headers, request.body, sha256, secrets)
        except RefusedError as error:
            return Response(error.status)
        ledger.execute(_KEEP, (checked.event_key, now, sha256, request.body))
        for word in razorpay.hear(checked.document, now, sha256).words:
            (value,) = records.encode_many(topic, [word.avro()])
            producer.produce(topic, value, word.record_id)
        return _OK if producer.flush(_SECONDS) == 0 else Response(503)

    return handle


def _producer() -> Producer:
    """The bare client for both that flush: it sends at once when it is told to flush."""
    return Producer({**bus_settings().client(), "acks": "all", "enable.idempotence": True})


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
    handlers = {"flush": flushing, "plain": plainly}
    handler = handlers[arguments[0]](arguments[1]) if arguments[0] in handlers else answer
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(handler))


if __name__ == "__main__":
    main(sys.argv[1:])
