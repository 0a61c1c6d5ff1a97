"""Run the bridge: python -m sftp_bridge."""

from __future__ import annotations

import asyncio
import logging
import sys
from importlib.abc import MetaPathFinder

from settlement.masking import has_card_number, mask_text
from sftp_bridge.bridge import run
from sftp_bridge.errors import BridgeTerminalError
from sftp_bridge.settings import load_settings

log = logging.getLogger("bridge")


class WithoutPandas(MetaPathFinder):
    """With its first array pyarrow imports pandas where it is installed: 35 MB that nobody here uses."""

    def find_spec(self, fullname: str, path: object, target: object = None) -> None:  # noqa: ARG002
        if fullname == "pandas":
            raise ModuleNotFoundError(f"the bridge does without {fullname}")


class Masked(logging.Formatter):
    """The last way out of a card number: a trace of an error nobody foresaw, or a library's own line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return mask_text(text) if has_card_number(text) else text


def main() -> None:
    """Until told to stop; an unusable setting or description is one line, not a trace."""
    sys.meta_path.insert(0, WithoutPandas())
    lines = logging.StreamHandler(sys.stderr)
    lines.setFormatter(Masked("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    for noisy in ("asyncssh", "botocore", "boto3", "s3transfer"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        asyncio.run(run(load_settings()))
    except (BridgeTerminalError, ValueError, OSError) as error:
        log.error("cannot run: %s", error)  # noqa: TRY400 - a sentence for whoever set it up
        sys.exit(1)


if __name__ == "__main__":
    main()
