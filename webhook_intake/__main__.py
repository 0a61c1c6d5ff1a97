"""`python -m webhook_intake`: webhook server, sweeper, gap closer and settlement poller, until SIGTERM."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from typing import TYPE_CHECKING, Any

import uvloop

from bus.errors import BusError
from bus.loop_producer import LoopProducer
from webhook_intake.config import IntakeSettings, load_settings
from webhook_intake.errors import IntakeError, UnavailableError
from webhook_intake.gaps import GapCloser
from webhook_intake.ledger import Ledger
from webhook_intake.metrics import Metrics
from webhook_intake.pipeline import DEAD_TOPIC, TOPIC, Pipeline
from webhook_intake.poller import Poller
from webhook_intake.server import IntakeServer

if TYPE_CHECKING:
    from collections.abc import Coroutine

log = logging.getLogger("webhook_intake")

# Seconds between two tries to reach Postgres, Kafka or the registry at start.
_TRY_AGAIN = 2.0
# Objects made until the collector looks at the new ones, then how often it looks at the older: with Python's
# own numbers it would look a hundred times a second at what is under way, for nothing.
_COLLECT_AFTER = (50_000, 20, 50)


async def serve(settings: IntakeSettings) -> None:
    """Listen at once, take webhooks as soon as everything behind answers, end cleanly when told to."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(name, told.set)
    metrics = Metrics()
    ledger = Ledger(settings.dsn.get_secret_value())
    producer = await asyncio.to_thread(lambda: LoopProducer(client_id="webhook_intake"))
    pipeline = Pipeline(ledger, producer, metrics)
    server = IntakeServer(settings, ledger, pipeline, metrics)
    port = await server.http.start(settings.host, settings.port)
    log.info("listening on %s:%d", settings.host, port)
    gaps = GapCloser(settings, ledger, pipeline, metrics)
    tasks = [_task(_start(server, ledger, producer, pipeline, gaps)), _task(server.audit_for_ever())]
    poller = Poller(settings, metrics)
    if settings.poll_seconds:
        poller.start()
    try:
        await told.wait()
    finally:
        log.info("stopping")
        await server.http.close()
        await asyncio.to_thread(poller.stop)
        gaps.stop()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.to_thread(gaps.close)
        await pipeline.drain()
        await server.flush_audit()
        await asyncio.to_thread(producer.close, 5.0)
        await ledger.close()


async def _start(
    server: IntakeServer, ledger: Ledger, producer: LoopProducer, pipeline: Pipeline, gaps: GapCloser
) -> None:
    """Wait for what is behind; until then every webhook is answered 503 and the gateway comes again."""
    while True:
        try:
            await ledger.open()
            await asyncio.to_thread(producer.prepare, [TOPIC, DEAD_TOPIC])
        except (UnavailableError, BusError) as error:
            server.waiting_for = str(error)
            log.warning("waiting: %s", error)
            await asyncio.sleep(_TRY_AGAIN)
        else:
            break
    server.waiting_for = None
    # What was made until now stays: the collector need not look at it again, nor so often at what is made for
    # each request, which has no cycles.
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECT_AFTER)
    log.info("taking webhooks")
    await asyncio.gather(pipeline.sweep_for_ever(), gaps.for_ever())


def _task(coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    task = asyncio.get_running_loop().create_task(coroutine)
    task.add_done_callback(_report)
    return task


def _report(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a background task ended", exc_info=task.exception())


def main() -> None:
    """The process's entry."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        settings = load_settings()
    except IntakeError as error:
        log.error("%s", error)  # noqa: TRY400 - said in one sentence, no traceback
        sys.exit(2)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings))


if __name__ == "__main__":
    main()
