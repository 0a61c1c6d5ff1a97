"""`python -m stack.warehouse`: the Snowflake-compatible server of the local stack, on 127.0.0.1 only.

Where:   SETTLE_WAREHOUSE_PORT, files under SETTLE_WAREHOUSE_DATA
Who:     the loader's own user and password (SETTLE_LOADER_SNOWFLAKE_*); any other login is refused
Stage:   the loader's own S3 (SETTLE_LOADER_S3_*)
Health:  GET /health runs a query and answers 200
"""

from __future__ import annotations

import asyncio
import gzip
import hmac
import logging
import os
import sys
import warnings
from collections import OrderedDict
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import orjson
import pyarrow.fs
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse
from starlette.routing import Route

from snowflake_loader.errors import SettingsError
from snowflake_loader.settings import SnowflakeSettings, StageSettings, load
from stack.warehouse_engine import close_engine, emulator, install, open_engine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fakesnow.instance import FakeSnow
    from starlette.requests import Request
    from starlette.responses import Response

log = logging.getLogger("warehouse")

# The client sends a request again that had no answer for a minute, under the same id. Answers up to this
# size, which is every change of data, are kept for it; a large result is computed again.
REPEATABLE_BYTES = 64_000
REPEATABLE_REQUESTS = 256


class Requests:
    """A request that is sent again gets the answer of the first one and is not run a second time."""

    def __init__(self) -> None:
        self._answers: OrderedDict[str, asyncio.Future[Response]] = OrderedDict()

    async def query(self, request: Request) -> Response:
        name = request.query_params.get("requestId")
        if name is None:
            return await self._run(request)
        answer = self._answers.get(name)
        if answer is None:
            answer = self._answers[name] = asyncio.ensure_future(self._run(request))
            answer.add_done_callback(lambda done: self._keep(name, done))
        # The client may hang up while we work; the statement goes on and its answer waits here.
        return await asyncio.shield(answer)

    async def _run(self, request: Request) -> Response:
        return await emulator.query_request(request)  # type: ignore[no-any-return]

    def _keep(self, name: str, done: asyncio.Future[Response]) -> None:
        if done.cancelled() or done.exception() or len(done.result().body) > REPEATABLE_BYTES:
            self._answers.pop(name, None)
        finished = [key for key, answer in self._answers.items() if answer.done()]
        for key in finished[:-REPEATABLE_REQUESTS]:
            del self._answers[key]


def application(engine: FakeSnow, user: str, password: str) -> Starlette:
    """The emulator's routes behind a password, and a health route that asks the engine itself."""

    async def login(request: Request) -> JSONResponse:
        body = await request.body()
        if request.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        data = orjson.loads(body)["data"]
        known = hmac.compare_digest(
            f"{data.get('LOGIN_NAME', '')}\n{data.get('PASSWORD', '')}".encode(),
            f"{user}\n{password}".encode(),
        )
        # The emulator would open any file of this machine that a client names.
        elsewhere = "FAKESNOW_DB_PATH" in data.get("SESSION_PARAMETERS", {})
        if not known or elsewhere:
            message = "Incorrect username or password was specified."
            return JSONResponse({"success": False, "code": "390100", "message": message, "data": {}})
        return await emulator.login_request(request)  # type: ignore[no-any-return]

    async def health(_: Request) -> JSONResponse:
        def ask() -> int:
            with engine.duck_conn.cursor() as cursor:
                return len(cursor.execute("SELECT 1 FROM duckdb_databases() WHERE NOT internal").fetchall())

        return JSONResponse({"status": "ok", "databases": await run_in_threadpool(ask)})

    @asynccontextmanager
    async def until_stopped(_: Starlette) -> AsyncIterator[None]:
        yield
        close_engine(engine)
        log.info("closed")

    install(engine)
    ours = [
        Route("/session/v1/login-request", login, methods=["POST"]),
        Route("/queries/v1/query-request", Requests().query, methods=["POST"]),
        Route("/health", health),
    ]
    # The first route that matches is taken.
    return Starlette(routes=[*ours, *emulator.routes], lifespan=until_stopped)


def stage_files(settings: StageSettings) -> pyarrow.fs.S3FileSystem | None:
    """The stack's S3 server, or nothing where none is named."""
    if not settings.endpoint:
        return None
    address = urlsplit(settings.endpoint)
    return pyarrow.fs.S3FileSystem(
        endpoint_override=address.netloc,
        scheme="https" if address.scheme == "https" else "http",
        access_key=settings.access_key,
        secret_key=settings.secret_key.get_secret_value() if settings.secret_key else None,
        region=settings.region,
        # A stage that is away is an error for the loader to wait on, not a statement that hangs.
        connect_timeout=5,
        request_timeout=30,
    )


def main() -> int:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    emulator.logger.setLevel(logging.WARNING)
    # It says for every landing table that DuckDB knows no transient ones.
    logging.getLogger("sqlglot").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    try:
        account, stage = load(SnowflakeSettings), load(StageSettings)
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is enough
        return 2
    if account.password is None:
        log.error("environment: the local warehouse needs SETTLE_LOADER_SNOWFLAKE_PASSWORD")
        return 2
    data = Path(os.environ.get("SETTLE_WAREHOUSE_DATA", ".settle/data/warehouse"))
    port = int(os.environ.get("SETTLE_WAREHOUSE_PORT", "8900"))
    engine = open_engine(data, stage_files(stage))
    log.info("serving %s on 127.0.0.1:%d", data, port)
    uvicorn.run(
        application(engine, account.user, account.password.get_secret_value()),
        host="127.0.0.1",
        port=port,
        log_level="warning",
        # An open session must not keep `down` waiting.
        timeout_graceful_shutdown=5,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
