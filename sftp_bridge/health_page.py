"""The bridge's page for people: what /health says, in sentences, the banks in trouble first."""

from __future__ import annotations

from datetime import datetime
from html import escape
from typing import TYPE_CHECKING, Any

from settlement.calendar import IST

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Names shown of each kind; an outbox may hold thousands.
_NAMES = 8
# Seconds after which a poll that goes on is worth a word: most take less than one.
_LONG = 5
_STYLE = (
    "body{font:15px/1.5 system-ui;margin:2em;max-width:90em}table{border-collapse:collapse;margin:1em 0}"
    "td,th{padding:.4em 1em .4em 0;text-align:left;vertical-align:top;border-bottom:1px solid #ccc}"
    "th{vertical-align:bottom}td:nth-child(-n+2){white-space:nowrap}small{color:#555}"
    "td:nth-child(n+3){overflow-wrap:anywhere;min-width:9em}td:nth-child(4){min-width:15em}"
    ".trouble{font-weight:bold}.problem{min-width:18em}"
)
_ORDER = {"degraded": 0, "starting": 1, "ok": 2}


def page_of(state: Mapping[str, Any]) -> str:
    """HTML without scripts; it asks for itself again every ten seconds."""
    banks = sorted(state["banks"].items(), key=lambda one: (_ORDER[one[1]["state"]], one[0]))
    rows = "".join(f"<tr>{''.join(f'<td>{cell}' for cell in _row(name, bank))}" for name, bank in banks)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>"
        '<meta name=viewport content="width=device-width"><title>Bank files: '
        f"{escape(_headline(state))}</title><style>{_STYLE}</style>"
        f"<h1>Bank files: {escape(_headline(state))}</h1><p>{_clock(state)}"
        "<table><tr><th>Bank<th>State<th>What is wrong<th>On its way now<th>Done since the bridge started"
        f"<th>In the outbox, not whole yet<th>In the outbox, not the bank’s{rows}</table>"
        "<p><code>settle files list</code> has every file, <code>settle files quarantine</code> what was"
        " refused and why, <code>settle files expectations</code> what is late."
        '<p><a href="/health">as data</a> · <a href="/metrics">metrics</a></html>'
    )


def _headline(state: Mapping[str, Any]) -> str:
    states = [bank["state"] for bank in state["banks"].values()]
    trouble, starting = states.count("degraded"), states.count("starting")
    said = []
    if trouble:
        said.append(f"{trouble} of {len(states)} banks in trouble")
    if state["clock_problem"]:
        said.append("the clock stands still")
    if starting:
        said.append(f"{starting} of {len(states)} banks not heard of yet")
    return ", ".join(said) or "all well"


def _clock(state: Mapping[str, Any]) -> str:
    if state["clock_problem"]:
        return (
            f"<b>The clock stands still:</b> {escape(state['clock_problem'])}. Files still come in;"
            " nothing becomes due or late meanwhile."
        )
    now = state["business_time"]
    if not now:
        return "No tick has told the business time yet."
    return f"Business time {datetime.fromisoformat(now).astimezone(IST):%Y-%m-%d %H:%M:%S} in India."


def _row(name: str, bank: Mapping[str, Any]) -> Sequence[str]:
    return (
        f"<b>{escape(name)}</b><br><small>{escape(bank['server'])}</small>",
        _state(bank),
        _problem(name, bank),
        escape(bank["transfer"]["says"]) if bank["transfer"] else "nothing",
        _done(bank),
        _names(bank["waiting"]),
        _names(bank["unrecognised"]),
    )


def _state(bank: Mapping[str, Any]) -> str:
    well = bank["seconds_since_success"]
    asked = bank["asked_for_seconds"]
    if bank["state"] == "degraded":
        since = f"well {_span(well)} ago" if well is not None else "never well since the bridge started"
        said = f"<span class=trouble>in trouble</span><br><small>{since}</small>"
    elif bank["state"] == "ok":
        said = f"well<br><small>{_span(well)} ago</small>"
    else:
        said = "not heard of yet"
    if asked is not None and asked > _LONG and bank["transfer"] is None:
        said += f"<br><small>being asked for {_span(asked)}, no end yet</small>"
    return said


def _problem(name: str, bank: Mapping[str, Any]) -> str:
    if not bank["problem"]:
        return ""
    what = (
        f"Somebody must mend this; <code>settle banks check {escape(name)}</code> tries each part."
        if bank["needs_somebody"]
        else f"Tried again with every poll; failed {bank['failures_in_a_row']} times in a row."
    )
    return f"<div class=problem>{escape(bank['problem'])}<br><small>{what}</small></div>"


def _done(bank: Mapping[str, Any]) -> str:
    files = ", ".join(f"{count} {state}" for state, count in sorted(bank["files"].items())) or "no file"
    return f"{escape(files)}<br><small>{bank['records']:,} records</small>"


def _names(names: Sequence[str]) -> str:
    shown = "<br>".join(escape(name) for name in names[:_NAMES]) or "none"
    return shown + (f"<br>and {len(names) - _NAMES} more" if len(names) > _NAMES else "")


def _span(seconds: float | None) -> str:
    """As people say it."""
    if seconds is None:
        return "some time"
    for unit, name in ((86_400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * unit:
            return f"{seconds // unit:.0f} {name}"
    return f"{seconds:.0f} seconds"
