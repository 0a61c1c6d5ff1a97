"""Kafka Connect's REST surface, as far as this project uses it: all of it is in this file."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import quote

import requests

from connectors.errors import (
    ConnectRefusedError,
    ConnectUnreachableError,
    NotThereError,
    RebalancingError,
)

log = logging.getLogger("connectors")

# Seconds for one answer. Validation connects to the source database and may take several; Connect's own
# limit for a request that another worker has to answer is 90.
_TIMEOUT = 95
# Seconds a rebalance may refuse us. Sharing out the work again waits up to five minutes for a worker
# that left (scheduled.rebalance.max.delay.ms), but a request is refused only while workers (re)join.
_REBALANCE_LIMIT = 60.0
_REBALANCE_PAUSE = 0.5

Config = dict[str, str]


class Connect:
    """One method per REST call; 409 is retried for a while, nothing else is."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._http = requests.Session()
        self._http.headers["Accept"] = "application/json"

    @property
    def url(self) -> str:
        """Where the worker listens."""
        return self._url

    def worker(self) -> dict[str, Any]:
        """Version, commit and the Kafka cluster it works on."""
        answer: dict[str, Any] = self._call("GET", "/")
        return answer

    def names(self) -> list[str]:
        """Every connector there is."""
        return sorted(self._call("GET", "/connectors"))

    def config(self, name: str) -> Config:
        """A connector's config as it was put, references to secrets unresolved."""
        answer: Config = self._call("GET", f"/connectors/{_path(name)}/config")
        return answer

    def put_config(self, name: str, config: Config) -> None:
        """Create the connector or change it; its tasks restart with the new config."""
        self._call("PUT", f"/connectors/{_path(name)}/config", config)

    def validate(self, name: str, config: Config) -> dict[str, list[str]]:
        """What Connect and the plugin find wrong, by field; resolved values never leave this method."""
        plugin = config["connector.class"].rsplit(".", 1)[-1]
        found = self._call(
            "PUT", f"/connector-plugins/{_path(plugin)}/config/validate", {**config, "name": name}
        )
        values = (entry.get("value") or {} for entry in found.get("configs", ()))
        return {str(value["name"]): list(value["errors"]) for value in values if value.get("errors")}

    def status(self, name: str) -> dict[str, Any]:
        """The states of the connector and of its tasks, with the trace of those that failed."""
        answer: dict[str, Any] = self._call("GET", f"/connectors/{_path(name)}/status")
        return answer

    def offsets(self, name: str) -> list[dict[str, Any]]:
        """How far the connector's records are known to be in Kafka."""
        answer: list[dict[str, Any]] = self._call("GET", f"/connectors/{_path(name)}/offsets")["offsets"]
        return answer

    def restart(self, name: str, *, only_failed: bool = False) -> None:
        """Restart the connector and its tasks."""
        query = f"includeTasks=true&onlyFailed={str(only_failed).lower()}"
        self._call("POST", f"/connectors/{_path(name)}/restart?{query}")

    def stop(self, name: str) -> None:
        """Shut the tasks down and keep config and offsets; offsets can only be changed then."""
        self._call("PUT", f"/connectors/{_path(name)}/stop")

    def resume(self, name: str) -> None:
        """Run again after a stop or a pause."""
        self._call("PUT", f"/connectors/{_path(name)}/resume")

    def reset_offsets(self, name: str) -> None:
        """Forget how far a stopped connector was: it will take a new snapshot."""
        self._call("DELETE", f"/connectors/{_path(name)}/offsets")

    def delete(self, name: str) -> None:
        """Remove the connector; its offsets, its slot and its topics stay."""
        self._call("DELETE", f"/connectors/{_path(name)}")

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        until = time.monotonic() + _REBALANCE_LIMIT
        while True:
            try:
                return self._once(method, path, body)
            except RebalancingError:
                if time.monotonic() >= until:
                    raise
                log.info("the workers are rebalancing; asking again: %s %s", method, path)
                time.sleep(_REBALANCE_PAUSE)

    def _once(self, method: str, path: str, body: Any) -> Any:
        try:
            answer = self._http.request(method, self._url + path, json=body, timeout=_TIMEOUT)
        except requests.RequestException as error:
            raise ConnectUnreachableError(
                f"no answer from Kafka Connect at {self._url} ({type(error).__name__}); is it up?"
            ) from error
        if answer.status_code >= 400:
            raise _refusal(answer)
        if not answer.content:
            return None
        try:
            return answer.json()
        except ValueError as error:
            raise ConnectUnreachableError(f"{self._url} does not answer like Kafka Connect") from error


def _refusal(answer: requests.Response) -> ConnectRefusedError:
    try:
        message = str(answer.json().get("message"))
    except (ValueError, AttributeError):
        message = answer.text[:300]
    kinds = {404: NotThereError, 409: RebalancingError}
    return kinds.get(answer.status_code, ConnectRefusedError)(answer.status_code, message)


def _path(part: str) -> str:
    return quote(part, safe="")
