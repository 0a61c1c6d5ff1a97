"""Counters of the intake in Prometheus' text format."""

from __future__ import annotations

import threading
from collections import defaultdict

_HELP = {
    "settle_intake_requests_total": "Webhook requests by gateway and how they were answered.",
    "settle_intake_records_total": "Records acknowledged by Kafka, by topic and origin.",
    "settle_intake_duplicates_total": "Events that had been published before.",
    "settle_intake_batches_total": "Group commits.",
    "settle_intake_batch_seconds_total": "Seconds spent in group commits, from first write to last mark.",
    "settle_intake_swept_total": "Events published by the sweeper after a crash or an outage.",
    "settle_intake_poll_lines_total": "Settlement lines read from gateways' reports.",
    "settle_intake_poll_requests_total": "Calls to gateways' APIs, by gateway and status.",
    "settle_intake_listed_total": "Payments and refunds read from gateways' lists.",
    "settle_intake_missed_total": "Payments and refunds on gateways' lists that no webhook had told.",
    "settle_intake_polls_total": "Polls by gateway and outcome.",
}


class Metrics:
    """Numbers that only grow; safe to count from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: defaultdict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)

    def count(self, name: str, by: float = 1, **labels: str) -> None:
        """Add to one of the counters above."""
        key = (name, tuple(sorted(labels.items())))
        with self._lock:
            self._values[key] += by

    def value(self, name: str, **labels: str) -> float:
        """What a counter stands at; labels not given are summed over."""
        with self._lock:
            return sum(
                value
                for (one, having), value in self._values.items()
                if one == name and labels.items() <= dict(having).items()
            )

    def text(self) -> str:
        """Everything, as a scraper reads it."""
        with self._lock:
            values = sorted(self._values.items())
        lines = []
        for name, said in _HELP.items():
            lines += [f"# HELP {name} {said}", f"# TYPE {name} counter"]
            for (one, labels), value in values:
                if one == name:
                    inside = ",".join(f'{key}="{text}"' for key, text in labels)
                    lines.append(f"{name}{{{inside}}} {value:g}" if inside else f"{name} {value:g}")
        return "\n".join(lines) + "\n"
