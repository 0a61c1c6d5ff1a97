"""The stack a bench measures: one of its own, or the one that runs."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bench.errors import NotReadyError
from stack import cli, environment, state
from stack.errors import StackError
from stack.home import Home
from stack.ports import Ports
from stack.servers import SERVERS, with_needs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Away from the stack in use, which may run meanwhile (though it costs the figures).
_OFFSET = 400


@contextmanager
def servers(here: bool, tell: Callable[[str], None], *names: str) -> Iterator[Home]:
    """Servers healthy, this process pointed at them; an own stack is deleted afterwards.

    With names only these and what they need, otherwise all.

    1. Take the running stack, or start one in a home of its own beside the current one.
    2. Point this process at it.
    3. Stop and delete what was started here; this process points where it did.
    """
    home, before = Home.current(), dict(os.environ)
    try:
        if here:  # 1
            if not state.is_running(home):
                raise NotReadyError(f"nothing runs in {home.path}; `settle up` first, or leave out --here")
            offset = environment.known_offset(home) or 0
        else:
            home = Home(home.path / "bench")
            offset = (environment.known_offset(Home.current()) or 0) + _OFFSET
            os.environ["SETTLE_HOME"] = str(home.path)
            if not state.is_running(home):
                cli.wipe(home)
            tell(f"starting a stack of its own in {home.path}")
            cli.start(with_needs(list(names or SERVERS)), offset)
        os.environ.update(environment.variables(home, Ports(offset)))  # 2
        yield home
    except StackError as error:
        raise NotReadyError(str(error)) from error
    finally:
        if not here and state.is_running(home):  # 3
            cli.stop(home)
            cli.wipe(home)
        os.environ.clear()
        os.environ.update(before)


def pids(home: Home) -> dict[str, int]:
    """Every server's process now."""
    told = state.read_state(home)
    return {server.name: server.pid for server in told.servers if server.pid} if told else {}
