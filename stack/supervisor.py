"""Starts the servers along their needs, asks how they are, restarts what crashes or hangs, stops in order.

    python -m stack.supervisor        # `settle up` does this, detached

1. Take the home's lock: one supervisor per home.
2. End what an earlier supervisor left behind, by record, never by name.
3. Refuse to start anything while a port is somebody else's.
4. Loop: every server moves through prepare → start → healthy → after_start, as soon as its needs are healthy.
   All waiting is done in a pool; the loop itself never blocks, and starts every child from the main thread,
   because Linux ties a child's life to the thread that started it. Who was healthy and then says nothing for
   too long is ended, and starts again like one that crashed.
5. On SIGTERM or SIGINT: stop each server once nothing that needs it runs any more.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import IO, TYPE_CHECKING

from stack import processes, state
from stack.environment import known_offset
from stack.errors import PortTakenError, StackError, UnwellError
from stack.home import Home
from stack.ports import Ports
from stack.server import Context, Server
from stack.servers import SERVERS, with_needs
from stack.silence import SILENT_SECONDS, Silence
from stack.state import FAILED, HEALTHY, ServerState, StackState

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

log = logging.getLogger("supervisor")

TICK = 0.1
HEALTH_STARTING = 0.3  # asked often while somebody waits for it
HEALTH_STEADY = 5.0  # then rarely: fourteen servers share two cores with the work
UNHEALTHY_AFTER = 3  # one slow answer on a busy machine is not an illness
START_SECONDS = (
    300  # half a minute alone; a machine that also does other work took two minutes for the slowest
)
CRASHES = 4  # before its first healthy answer; then `up` gives up on it
BACKOFF = (0.0, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BACKOFF_FORGOTTEN = 60.0  # seconds of health after which a crash counts as the first again
LOG_BYTES = 32 << 20  # a log larger than this is set aside at the next start of its server
CHILD = Path(__file__).with_name("child.py")


class Child:
    """One server's life. `step` is called every tick and moves it on when it can."""

    def __init__(
        self,
        server: Server,
        context: Context,
        pool: ThreadPoolExecutor,
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        self.server = server
        self.context = context
        self.pool = pool
        self.shown = ServerState(server.name, port=context.ports[server.ports[0]] if server.ports else None)
        self.process: subprocess.Popen[bytes] | None = None
        self.future: Future[None] | None = None
        self.crashes = 0
        self.misses = 0
        self.was_healthy = False
        self.healthy_since = 0.0
        self.silence = Silence(silent_seconds)
        self.due = 0.0
        self.deadline = 0.0

    @property
    def record(self) -> Path:
        return self.context.home.run / "children" / f"{self.server.name}.json"

    def step(self, needs_healthy: bool, others_well: bool = True) -> None:
        """`needs_healthy`: it may start. `others_well`: if it says nothing, that is its own fault."""
        now = time.monotonic()
        if self.process is not None and self.process.poll() is not None:
            self._exited(self.process.returncode)
        match self.shown.state:
            case "waiting" if needs_healthy and now >= self.due:
                self._submit("preparing", self.server.prepare)
            case "preparing" if (done := self._finished()) is not None:
                if done:
                    self._failed(done)
                else:
                    self._start()
            case "starting":
                self._ask(now, HEALTH_STARTING)
            case "finishing" if (done := self._finished()) is not None:
                if done:
                    self._again(done)
                else:
                    self._healthy()
            case "healthy" | "unhealthy":
                self._ask(now, HEALTH_STEADY)
                if self.silence.too_long(now, its_own=others_well):
                    self._end(now)
            case "ending" if self.process is not None and now >= self.deadline:
                log.warning("%s did not stop within %.0f s", self.server.name, self.server.stop_seconds)
                self.process.kill()
                self.deadline = math.inf

    def _submit(self, name: str, work: Callable[[Context], None]) -> None:
        self.shown.state = name
        self.future = self.pool.submit(work, self.context)

    def _finished(self) -> str | None:
        """None while it works; then the reason it failed, empty for success."""
        if self.future is None or not self.future.done():
            return None
        error = self.future.exception()
        self.future = None
        if error is None or isinstance(error, UnwellError):
            self.silence.broken()
        return "" if error is None else (str(error) or type(error).__name__).strip().splitlines()[-1][:300]

    def _start(self) -> None:
        command = self.server.command(self.context)
        self.record.parent.mkdir(exist_ok=True)
        with self._log() as log_file:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-IS", str(CHILD), str(self.record)),
                    *(str(int(self.server.stop_signal)), command.user or "-", str(os.getpid())),
                    *command.argv,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env=command.environment or None,
                cwd="/" if command.user else self.context.home.logs,
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops them in order
            )
        self.shown.pid = self.process.pid
        self.shown.since = time.time()
        self.shown.state = "starting"
        self.deadline = time.monotonic() + START_SECONDS
        log.info("%s started, pid %d", self.server.name, self.process.pid)

    def _log(self) -> IO[bytes]:
        path = self.context.home.logs / f"{self.server.name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        return path.open("ab")

    def _ask(self, now: float, interval: float) -> None:
        if self.future is None:
            if now >= self.due:
                self.future = self.pool.submit(self.server.check, self.context)
                self.silence.asked(now)
            return
        if (reason := self._finished()) is None:
            return
        self.due = now + interval
        if not reason:
            self.misses = 0
            if self.shown.state == "starting":
                self._submit("finishing", self.server.after_start)
            else:
                self._healthy()
            return
        self.shown.detail = reason
        self.misses += 1
        if self.shown.state == "starting":
            if now > self.deadline and not self.was_healthy:
                self._failed(f"no healthy answer within {START_SECONDS} s: {reason}")
        elif self.misses >= UNHEALTHY_AFTER:
            self.shown.state = "unhealthy"

    def _healthy(self) -> None:
        if self.shown.state != HEALTHY:
            took, cpu = time.time() - self.shown.since, processes.cpu_seconds(self.shown.pid)
            log.info("%s healthy after %.1f s, %.1f s of CPU", self.server.name, took, cpu)
            self.healthy_since = time.monotonic()
        self.shown.state, self.shown.detail = HEALTHY, ""
        self.was_healthy = True

    def _end(self, now: float) -> None:
        """As `stop` does it, but the loop goes on; what follows is the same as after a crash."""
        assert self.process is not None  # noqa: S101 - for the type checker
        reason = self.shown.detail or "nothing at all"
        log.warning("%s is ended: no answer for %.0f s (%s)", self.server.name, self.silence.limit, reason)
        self.process.send_signal(self.server.stop_signal)
        self.deadline = now + self.server.stop_seconds
        self.shown.state = "ending"

    def _exited(self, code: int) -> None:
        self.process = None
        self.silence.broken()
        self.shown.pid = None
        reason = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        log.warning("%s ended: %s", self.server.name, reason)
        if self.shown.state == HEALTHY and time.monotonic() - self.healthy_since > BACKOFF_FORGOTTEN:
            self.crashes = 0
        self._again(reason)

    def _again(self, reason: str) -> None:
        """Try it once more, later each time; give up only on what has never worked."""
        self.crashes += 1
        self.shown.restarts += 1
        if self.crashes >= CRASHES and not self.was_healthy:
            self._failed(reason)
            return
        self.future = None
        self.shown.detail = reason
        self.due = time.monotonic() + BACKOFF[min(self.crashes - 1, len(BACKOFF) - 1)]
        # A hook that failed is asked again; a process that is gone is started again.
        self.shown.state = "starting" if self.process is not None else "waiting"

    def _failed(self, reason: str) -> None:
        log.error("%s failed: %s", self.server.name, reason)
        self.stop()
        self.shown.state, self.shown.detail = FAILED, reason

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(self.server.stop_signal)
            try:
                self.process.wait(self.server.stop_seconds)
            except subprocess.TimeoutExpired:
                log.warning("%s did not stop within %.0f s", self.server.name, self.server.stop_seconds)
                self.process.kill()
                self.process.wait()
        self.process = None
        self.record.unlink(missing_ok=True)
        self.shown.state, self.shown.pid, self.shown.detail = "stopped", None, ""


class Supervisor:
    def __init__(self, context: Context) -> None:
        self.context = context
        self.pool = ThreadPoolExecutor(max_workers=2 * len(SERVERS), thread_name_prefix="ask")
        self.children: dict[str, Child] = {}
        self.stopping = threading.Event()
        self.shown = ""
        self.shown_at = 0.0

    def run(self) -> None:
        home = self.context.home
        # 2.
        self._end_leftovers()
        # 3.
        try:
            self._want(check=True)
        except PortTakenError as exc:
            self._tell(error=str(exc))
            raise
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        # 4.
        wanted_at = 0.0
        while not self.stopping.wait(TICK):
            with contextlib.suppress(FileNotFoundError):
                changed = (home.run / "wanted.json").stat().st_mtime
                if changed != wanted_at:
                    wanted_at = changed
                    self._want(check=False)
            for child in self.children.values():
                child.step(self._needs_healthy(child.server), self.others_well(child.server))
            self._tell()
        # 5.
        self._stop_all()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stopping.set()

    def _want(self, *, check: bool) -> None:
        names = [n for n in with_needs(state.read_wanted(self.context.home)) if n not in self.children]
        if check:
            for name in names:
                for port in SERVERS[name].ports:
                    number = self.context.ports[port]
                    if holder := processes.listener(number):
                        raise PortTakenError(
                            f"Port {number}, wanted for {SERVERS[name].title}, is taken by {holder}: "
                            "end that, or move everything with --port-offset N."
                        )
        for name in names:
            self.children[name] = Child(SERVERS[name], self.context, self.pool)

    def _needs_healthy(self, server: Server) -> bool:
        return all(self.children[n].shown.state in (HEALTHY, "unhealthy") for n in server.needs)

    def others_well(self, server: Server) -> bool:
        """Those it needs or is asked through; one that is no part of this stack cannot be unwell."""
        others = (self.children.get(name) for name in (*server.needs, *server.asked_through))
        return all(other is None or other.shown.state == HEALTHY for other in others)

    def _end_leftovers(self) -> None:
        folder = self.context.home.run / "children"
        left = {path: processes.recorded(path) for path in folder.glob("*.json")}
        for path, process in left.items():
            if process is not None:
                log.warning("ending %s (pid %d), left by an earlier supervisor", path.stem, process.pid)
        with ThreadPoolExecutor() as pool:
            for process in left.values():
                if process is not None:
                    pool.submit(processes.end, process, 15)
        for path in left:
            path.unlink(missing_ok=True)

    def _tell(self, error: str = "") -> None:
        told = StackState(
            os.getpid(), self.context.ports.offset, error, [c.shown for c in self.children.values()]
        )
        key = repr(told)
        if key != self.shown or time.monotonic() - self.shown_at > 30:
            state.write_state(self.context.home, told)
            self.shown, self.shown_at = key, time.monotonic()

    def _stop_all(self) -> None:
        """Waves: whatever nobody running needs any more, together."""
        running = dict(self.children)
        while running:
            needed = {need for child in running.values() for need in child.server.needs}
            wave = [child for name, child in running.items() if name not in needed]
            for child in wave:
                child.shown.state = "stopping"
            self._tell()
            with ThreadPoolExecutor(len(wave)) as pool:
                list(pool.map(Child.stop, wave))
            for child in wave:
                del running[child.server.name]
            self._tell()
        self.pool.shutdown(wait=False, cancel_futures=True)


def main() -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr
    )
    for noisy in ("snowflake", "botocore", "urllib3", "asyncssh"):
        logging.getLogger(noisy).setLevel(logging.ERROR)
    home = Home.current()
    # 1.
    lock = state.Lock(home)
    if not lock.take():
        raise SystemExit("a supervisor is already running for this home")
    context = Context(home, Ports(known_offset(home) or 0))
    try:
        Supervisor(context).run()
    except StackError as exc:
        raise SystemExit(str(exc)) from exc
    # Threads that still ask a stopped server for its health must not hold up the end.
    os._exit(0)


if __name__ == "__main__":
    main()
