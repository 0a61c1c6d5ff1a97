"""Run the bridge: python -m sftp_bridge."""

from __future__ import annotations

import asyncio
import logging
import sys

from sftp_bridge.bridge import run
from sftp_bridge.errors import BridgeTerminalError
from sftp_bridge.settings import load_settings

log = logging.getLogger("bridge")


def main() -> None:
    """Until told to stop; an unusable setting or description is one line, not a trace."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    for noisy in ("asyncssh", "botocore", "boto3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run(load_settings()))
    except (BridgeTerminalError, ValueError, OSError) as error:
        log.error("cannot run: %s", error)  # noqa: TRY400 - a sentence for whoever set it up
        sys.exit(1)


if __name__ == "__main__":
    main()
