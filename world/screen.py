"""What the demo shows while it works: its phases, each with how far it is."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from rich.live import Live
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

# Where nobody watches a screen, a phase's progress is a line at most this often, in seconds.
_QUIET = 5.0


class Phase:
    """One line on the screen."""

    def __init__(self, screen: Screen, title: str) -> None:
        self._screen = screen
        self.title = title
        self.note = ""
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.failed = False
        self._told = 0.0

    def tell(self, note: str) -> None:
        """How far it is."""
        self.note = note
        self._screen.changed(self)

    def due(self) -> bool:
        """May a plain line be printed again?"""
        if time.monotonic() - self._told < _QUIET:
            return False
        self._told = time.monotonic()
        return True


class Screen:
    """A live table on a terminal, plain lines anywhere else."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self.phases: list[Phase] = []
        self._lock = threading.Lock()
        self._began = time.monotonic()
        self._live: Live | None = None

    def __enter__(self) -> Self:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    @contextmanager
    def phase(self, title: str) -> Iterator[Phase]:
        """A phase from its beginning to its end."""
        phase = Phase(self, title)
        with self._lock:
            self.phases.append(phase)
        self._line(f"{title} …")
        try:
            yield phase
        except BaseException:
            phase.failed = True
            raise
        finally:
            phase.seconds = time.monotonic() - phase.began
            ending = "failed" if phase.failed else f"{phase.seconds:.1f} s"
            self._line(f"{title}: {phase.note + ', ' if phase.note else ''}{ending}")

    def changed(self, phase: Phase) -> None:
        """A phase has something to say."""
        if self._live is None and phase.due():
            self._line(f"{phase.title}: {phase.note}")

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.monotonic() - self._began

    def _line(self, text: str) -> None:
        if self._live is None:
            with self._lock:
                self.console.print(
                    f"[{self.seconds:6.1f} s] {text}", markup=False, highlight=False, soft_wrap=True
                )

    def _table(self) -> Table:
        table = Table(box=None, show_header=False, pad_edge=False)
        with self._lock:
            for phase in self.phases:
                seconds = time.monotonic() - phase.began if phase.seconds is None else phase.seconds
                mark = "[red]✗" if phase.failed else "[green]✓" if phase.seconds is not None else "[yellow]…"
                table.add_row(mark, phase.title, phase.note, f"{seconds:.1f} s")
        return table
