"""`python -m snowflake_loader`: loads finished files until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading

from snowflake_loader.errors import SettingsError
from snowflake_loader.service import Loader, connect_for_loading
from snowflake_loader.settings import LoaderSettings, SnowflakeSettings, StageSettings, load
from snowflake_loader.staging import Stage
from snowflake_loader.state import serve

log = logging.getLogger("loader")


def main() -> int:
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    try:
        settings, where = load(LoaderSettings), load(StageSettings)
        load(SnowflakeSettings)
    except SettingsError as error:
        log.error("%s", error)  # noqa: TRY400 - the sentence is enough
        return 2
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    loader = Loader(settings, Stage(where, settings.stage_bucket), connect_for_loading, stop)
    server = serve(loader.state, settings.health_port)
    log.info("loading s3://%s, health on 127.0.0.1:%d", settings.stage_bucket, settings.health_port)
    try:
        loader.run()
    finally:
        server.shutdown()
    log.info("stopped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
