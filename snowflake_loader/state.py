"""What the loader says about itself: on /health for whoever restarts it, on /metrics for whoever watches."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from snowflake_loader.load import Loaded

log = logging.getLogger("loader")


class State:
    """Counters and the last word on how it goes; safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counters: Counter[tuple[str, str]] = Counter()
        self._pending: dict[str, int] = {}
        self._parked = 0
        self._trouble: str | None = "starting"
        self._waiting_for: str | None = None
        self._last_success = 0.0
        self.listing_seconds = 0.0

    def well(self, waiting_for: str | None = None) -> None:
        self._trouble, self._waiting_for = None, waiting_for

    def ill(self, why: str) -> None:
        self._trouble = why

    def waiting(self, pending: dict[str, int], parked: int) -> None:
        with self._lock:
            self._pending, self._parked = pending, parked

    def loaded(self, dataset: str, loaded: Loaded) -> None:
        with self._lock:
            self._last_success = time.time()
            self._counters["batches_loaded", dataset] += 1
            self._counters["files", dataset] += len(loaded.batch.files)
            self._counters["bytes", dataset] += loaded.batch.size
            self._counters["rows", dataset] += loaded.landed
            self._counters["rows_inserted", dataset] += loaded.inserted
            self._counters["rows_updated", dataset] += loaded.updated

    def failed(self, dataset: str) -> None:
        with self._lock:
            self._counters["batches_failed", dataset] += 1

    def health(self) -> tuple[bool, dict[str, Any]]:
        with self._lock:
            trouble = self._trouble
            return trouble is None, {
                "status": "in trouble" if trouble else "waiting" if self._waiting_for else "ok",
                "reason": trouble or self._waiting_for,
                "pending_files": dict(self._pending),
                "parked_files": self._parked,
                "last_success": self._last_success or None,
            }

    def metrics(self) -> str:
        """Prometheus' text format."""
        with self._lock:
            lines = [
                f'settle_loader_{name}_total{{dataset="{dataset}"}} {value}'
                for (name, dataset), value in sorted(self._counters.items())
            ]
            lines += [
                f'settle_loader_pending_files{{dataset="{dataset}"}} {count}'
                for dataset, count in sorted(self._pending.items())
            ]
            lines += [
                f"settle_loader_parked_files {self._parked}",
                f"settle_loader_listing_seconds {self.listing_seconds:.6f}",
                f"settle_loader_last_success_timestamp_seconds {self._last_success:.3f}",
                f"settle_loader_up {int(self._trouble is None)}",
            ]
        return "\n".join(lines) + "\n"


def serve(state: State, port: int) -> ThreadingHTTPServer:
    """Answer on 127.0.0.1 until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                well, body = state.health()
                self._answer(200 if well else 503, json.dumps(body), "application/json")
            elif self.path == "/metrics":
                self._answer(200, state.metrics(), "text/plain; version=0.0.4")
            else:
                self._answer(404, "", "text/plain")

        def _answer(self, status: int, body: str, kind: str) -> None:
            content = body.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Health is asked for every second; the log is for what happens."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
