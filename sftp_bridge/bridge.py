"""All banks beside each other: one task each, so that one bank's trouble is nobody else's."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import threading
import time
from typing import TYPE_CHECKING

from bus.errors import BusError, BusTerminalError
from settlement.masking import mask_text
from sftp_bridge import crash_points
from sftp_bridge.banks import load_banks
from sftp_bridge.business_time import BusinessTime
from sftp_bridge.clock import Clock
from sftp_bridge.consoles import put_configs
from sftp_bridge.descriptions import described
from sftp_bridge.errors import (
    BankBusyError,
    BridgeError,
    BridgeTerminalError,
    BridgeTransientError,
    LedgerUnavailableError,
)
from sftp_bridge.health import Health
from sftp_bridge.ingest import BankFiles
from sftp_bridge.ledger import Ledger
from sftp_bridge.screen import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sftp_bridge.banks import Bank
    from sftp_bridge.settings import BridgeSettings

log = logging.getLogger("bridge")

# Seconds a stop waits for files at hand; being killed after that loses nothing either.
STOP_SECONDS = 20.0
# Seconds between two tries to reach Postgres at the start.
START_PAUSE = 2.0
# Characters of an error that are shown.
SENTENCE = 1000


async def run(settings: BridgeSettings) -> None:
    """Until SIGTERM or SIGINT."""
    crash_points.arm(settings.crash_at)
    banks = load_banks(settings.banks_dir)
    stop = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stop.set)

    business_time = BusinessTime(settings)
    files = [BankFiles(bank, settings, business_time) for bank in banks.values()]
    health = Health(files, business_time)
    port = await health.start(settings.health_port)
    log.info("%d banks, health on 127.0.0.1:%d, business time by %s", len(files), port, settings.clock)
    await _prepare(settings, list(banks.values()), stop)

    clock_stop = threading.Event()
    clock = Clock(banks, settings, business_time)
    # Without its clock the bridge would look well while no file ever gets late: should it end, all ends.
    clock_task = asyncio.create_task(asyncio.to_thread(clock.run, clock_stop))
    clock_task.add_done_callback(lambda _: stop.set())
    tasks = [
        asyncio.create_task(_attend(one, settings.poll_seconds, stop), name=one.bank.bank) for one in files
    ]

    await stop.wait()
    for one in files:
        one.stop()
    clock_stop.set()
    _, late = await asyncio.wait(tasks, timeout=STOP_SECONDS)
    for task in late:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await health.close()
    await clock_task
    log.info("stopped")


async def _attend(files: BankFiles, every: float, stop: asyncio.Event) -> None:
    """Poll one bank for ever; whatever goes wrong is counted, shown, and tried again at the next poll."""
    counts = files.counts
    while not stop.is_set():
        begun = time.monotonic()
        counts.asks(time.time())
        (problem,) = await asyncio.gather(files.poll(), return_exceptions=True)
        if isinstance(problem, asyncio.CancelledError):
            raise problem
        counts.polled(time.time())
        if isinstance(problem, BankBusyError):
            log.debug("%s", problem)
        elif problem is None:
            if counts.problem is not None:
                log.info("%s: well again", files.bank.bank)
            counts.went_well()
        else:
            _note(files, problem)
        # Who holds the bank's files has the word; without Postgres nobody has.
        if not isinstance(problem, BankBusyError | LedgerUnavailableError):
            await _show(files)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(0.05, every - (time.monotonic() - begun)))
    await files.close()


def _note(files: BankFiles, problem: BaseException) -> None:
    """The one place that judges by type: known ones are a line, unknown ones bring their trace."""
    said = sentence(problem)
    # The same trouble each second would only bury other lines.
    if said != files.counts.problem:
        if isinstance(problem, BridgeTransientError):
            log.warning("%s", said)
        elif isinstance(problem, BridgeError | BusError):
            log.error("%s", said)
        else:
            log.error("%s: %s", files.bank.bank, said, exc_info=problem)
    files.counts.went_wrong(said, terminal=isinstance(problem, BridgeTerminalError | BusTerminalError))


def sentence(problem: BaseException) -> str:
    """One line that anybody may read, whatever a server put into it."""
    known = isinstance(problem, BridgeError | BusError)
    said = str(problem) if known else f"{type(problem).__name__}: {problem}"
    return printable(mask_text(" ".join(said.split())))[:SENTENCE]


async def _show(files: BankFiles) -> None:
    """A Postgres that is away is the next poll's trouble; anything else must not end the bank's task."""
    (problem,) = await asyncio.gather(files.show(), return_exceptions=True)
    if isinstance(problem, asyncio.CancelledError):
        raise problem
    if isinstance(problem, BridgeTransientError):
        log.debug("%s", problem)
    elif problem is not None:
        log.error("%s: its health could not be told", files.bank.bank, exc_info=problem)


async def _prepare(settings: BridgeSettings, banks: Sequence[Bank], stop: asyncio.Event) -> None:
    """The schema, and in it what this bridge runs."""
    told = [described(bank, settings) for bank in banks]
    ledger = Ledger(settings.dsn.get_secret_value())
    while not stop.is_set():
        try:
            await asyncio.to_thread(ledger.apply_schema)
            await asyncio.to_thread(put_configs, ledger, settings.banks_dir, told)
        except BridgeTransientError as error:
            log.warning("waiting: %s", error)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), START_PAUSE)
        else:
            break
    ledger.close()
