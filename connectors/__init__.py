"""Desired connectors, and the way from them to running ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.deploy import apply_plan, make_plan
from connectors.desired import FOLDER, desired
from connectors.rest import Connect
from connectors.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from connectors.plan import Plan

__all__ = ["apply"]


def apply(folder: Path = FOLDER, *, url: str | None = None, wait: float = 90.0) -> Plan:
    """Bring the running connectors to what the folder says and wait until their tasks run."""
    connect = Connect(url or load_settings().url)
    try:
        plan = make_plan(connect, desired(folder))
        apply_plan(connect, plan, wait=wait)
    finally:
        connect.close()
    return plan
