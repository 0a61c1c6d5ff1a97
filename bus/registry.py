"""The schema registry's REST surface, as far as this project uses it."""

from __future__ import annotations

import json
import threading
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

from bus.errors import (
    NotPermittedError,
    RegistryUnavailableError,
    SchemaIncompatibleError,
    SchemaMissingError,
    UndecodableError,
)
from bus.settings import BusSettings, bus_settings

# Seconds for one answer. Registering makes the registry write to Kafka and read it back, which takes
# a second or two on a busy machine; without a limit a start-up would hang on a registry that is gone.
_TIMEOUT = 20
# Four tries with growing pauses are about four seconds: enough for a registry that restarts a worker,
# short enough that a person notices a registry that is down.
_RETRY = Retry(
    total=3,
    backoff_factor=0.5,
    status_forcelist=(500, 502, 503, 504),
    allowed_methods=None,
    raise_on_status=False,
)
_CONTENT = {"Content-Type": "application/vnd.schemaregistry.v1+json"}


class Registry:
    """Subjects, schemas and their compatibility; answers by id are kept, since ids never change."""

    def __init__(self, settings: BusSettings | None = None) -> None:
        settings = settings or bus_settings()
        self._url = settings.registry_url.rstrip("/")
        self._lock = threading.Lock()
        self._by_id: dict[int, dict[str, Any]] = {}
        self._http = requests.Session()
        self._http.headers.update(_CONTENT)
        self._http.mount("http://", HTTPAdapter(max_retries=_RETRY))
        self._http.mount("https://", HTTPAdapter(max_retries=_RETRY))
        if settings.registry_username:
            self._http.auth = (settings.registry_username, settings.registry_password.get_secret_value())

    def close(self) -> None:
        """Let go of the connections."""
        self._http.close()

    def register(self, subject: str, schema: dict[str, Any]) -> int:
        """Make the schema known under the subject; the same schema again gives the same id."""
        answer = self._call("POST", f"/subjects/{subject}/versions", {"schema": text_of(schema)})
        if answer.status_code in (409, 422):
            raise SchemaIncompatibleError(f"{subject}: the registry refused the schema: {_said(answer)}")
        return int(self._json(answer, f"registering {subject}")["id"])

    def has(self, subject: str, schema: dict[str, Any]) -> bool:
        """Is exactly this schema already a version of the subject?"""
        answer = self._call("POST", f"/subjects/{subject}", {"schema": text_of(schema)})
        if answer.status_code == 404:
            return False
        self._json(answer, f"looking up {subject}")
        return True

    def schema(self, schema_id: int) -> dict[str, Any]:
        """The schema that bytes carrying this id were written with."""
        with self._lock:
            known = self._by_id.get(schema_id)
            if known is None:
                answer = self._call("GET", f"/schemas/ids/{schema_id}")
                if answer.status_code == 404:
                    raise SchemaMissingError(f"the registry knows no schema with id {schema_id}")
                text = self._json(answer, f"schema {schema_id}")["schema"]
                known = json.loads(text)
                if not isinstance(known, dict):
                    known = {"type": known}
                self._by_id[schema_id] = known
            return known

    def subjects(self) -> list[str]:
        """Every subject there is."""
        return sorted(self._json(self._call("GET", "/subjects"), "listing subjects"))

    def compatibility(self, subject: str) -> str | None:
        """The subject's own compatibility rule, None where it has none."""
        answer = self._call("GET", f"/config/{subject}")
        if answer.status_code == 404:
            return None
        said = self._json(answer, f"compatibility of {subject}")
        level = said.get("compatibilityLevel") or said.get("compatibility")
        return None if level in (None, "NONE") else str(level)

    def set_compatibility(self, subject: str, level: str) -> None:
        """From now on a new version of the subject must keep this rule."""
        answer = self._call("PUT", f"/config/{subject}", {"compatibility": level})
        self._json(answer, f"setting compatibility of {subject}")

    def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        try:
            return self._http.request(method, self._url + path, json=body, timeout=_TIMEOUT)
        except requests.RequestException as error:
            # The cause's own text repeats the URL and may carry credentials; its type says enough.
            raise RegistryUnavailableError(
                f"no answer from the schema registry for {method} {path} ({type(error).__name__})"
            ) from error

    @staticmethod
    def _json(answer: requests.Response, doing: str) -> Any:
        if answer.status_code in (401, 403):
            raise NotPermittedError(f"{doing}: the registry answered {answer.status_code}")
        if answer.status_code >= 500:
            raise RegistryUnavailableError(
                f"{doing}: the registry answered {answer.status_code}: {_said(answer)}"
            )
        if answer.status_code == 404:
            raise SchemaMissingError(f"{doing}: {_said(answer)}")
        if answer.status_code >= 400:
            raise SchemaIncompatibleError(
                f"{doing}: the registry answered {answer.status_code}: {_said(answer)}"
            )
        try:
            return answer.json()
        except ValueError as error:
            raise UndecodableError(f"{doing}: the registry's answer is not JSON") from error


def text_of(schema: dict[str, Any]) -> str:
    """A schema's one text: the same schema always gives the same text, and so the same id."""
    return json.dumps(schema, separators=(",", ":"), ensure_ascii=False)


def _said(answer: requests.Response) -> str:
    try:
        message = answer.json().get("message")
    except (ValueError, AttributeError):
        message = None
    return str(message or answer.text)[:500]
