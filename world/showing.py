"""The demo's tables, and where to look next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from settlement.money import format_rupees
from stack import environment
from stack.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Sequence

    from stack.home import Home
    from world.compare import Comparison, Mirror
    from world.model import World


def comparison_table(comparison: Comparison) -> Table:
    """One line per level and outcome."""
    table = Table(title="Reconciled", title_justify="left")
    table.add_column("level")
    table.add_column("outcome")
    for name in ("planned", "found", "amount", "difference"):
        table.add_column(name, justify="right")
    table.add_column("")
    level = ""
    for line in comparison.lines:
        if level and line.level != level:
            table.add_section()
        level = line.level
        table.add_row(
            line.level,
            line.outcome,
            f"{line.wanted.rows:,}",
            f"{line.found.rows:,}",
            format_rupees(line.found.expected),
            format_rupees(line.found.difference, sign=True),
            _mark(line.equal),
        )
    return table


def mirror_table(mirrors: Sequence[Mirror]) -> Table:
    """One line per source table."""
    table = Table(title="Postgres and the warehouse, all rows and columns", title_justify="left")
    for name in ("table", "rows in Postgres", "rows in the warehouse", "hash", "hash", ""):
        table.add_column(name)
    for mirror in mirrors:
        table.add_row(
            mirror.table,
            f"{mirror.source_rows:,}",
            f"{mirror.copy_rows:,}",
            mirror.source_hash[:12],
            mirror.copy_hash[:12],
            _mark(mirror.equal),
        )
    return table


def next_steps(world: World, home: Home) -> Text:
    """Addresses and commands worth trying now."""
    ports = Ports(environment.known_offset(home) or 0)
    telling = [p for p in world.payouts if p.outcome == "AMOUNT_MISMATCH"]
    utr = max(telling, key=lambda payout: len(payout.lines)).utr
    steps = (
        ("Flink's page", ports.url("flink")),
        ("Kafka Connect", f"{ports.url('connect')}/connectors/sabpaisa/status"),
        ("one settlement, three stories", f"./run recon show {utr}"),
        ("all outcomes", "./run recon summary"),
        ("bank files", "./run files list"),
        ("what was loaded", "./run load status"),
        ("the servers", "./run status"),
        ("their logs and data", str(home.path)),
        ("stop, keep the data", "./run down"),
    )
    text = Text("Where to look next\n", style="bold")
    for name, what in steps:
        text.append(f"  {name:<32}", style="default not bold")
        text.append(f"{what}\n", style="cyan not bold")
    return text


def _mark(equal: bool) -> Text:
    return Text("✓", style="green") if equal else Text("✗", style="red")
