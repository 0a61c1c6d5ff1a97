"""Several things at once, where the first that fails ends the waiting for all."""

from __future__ import annotations

import queue
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def together(*tasks: Callable[[], object]) -> None:
    """Run all; return when all are done, raise as soon as one fails.

    The threads end with the process: whoever interrupts the demo does not wait for a hundred thousand posts.
    """
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()

    def run(task: Callable[[], object]) -> None:
        try:
            task()
        except BaseException as error:  # noqa: BLE001 - handed to the one who waits
            ended.put(error)
        else:
            ended.put(None)

    for task in tasks:
        threading.Thread(target=run, args=(task,), daemon=True).start()
    for _ in tasks:
        error = ended.get()
        if error is not None:
            raise error
