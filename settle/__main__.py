"""`settle`: one command line for all rooms, each loaded only when it is asked for."""

from __future__ import annotations

import importlib
import os
import sys

import click

# In the order the data travels: heading → command → where it lives.
ROOMS: dict[str, dict[str, str]] = {
    "The stack": {
        "up": "stack.cli:up",
        "down": "stack.cli:down",
        "status": "stack.cli:status",
        "logs": "stack.cli:logs",
        "reset": "stack.cli:reset",
        "fetch": "stack.cli:fetch",
    },
    "The whole way": {"demo": "world.cli:demo", "bench": "bench.cli:bench", "test": "settle.testing:test"},
    "Changes from Postgres": {"connectors": "connectors.cli:connectors"},
    "Bank files": {
        "banks": "sftp_bridge.cli:banks",
        "files": "sftp_bridge.cli:files",
        "calendar": "sftp_bridge.cli:calendar",
    },
    "Gateways": {"gateways": "webhook_intake.cli:gateways"},
    "The bus": {"topics": "bus.cli:topics"},
    "Reconciliation": {"jobs": "flink_jobs.cli:jobs", "recon": "settle.recon:recon"},
    "The warehouse": {"load": "snowflake_loader.cli:load", "warehouse": "snowflake_loader.cli:warehouse"},
}
COMMANDS = {name: where for commands in ROOMS.values() for name, where in commands.items()}
# These set the stack up or do without it: they must work with whatever environment there is.
WITHOUT_STACK = {"up", "down", "status", "logs", "reset", "fetch", "test"}


class Rooms(click.Group):
    """Loads a room's commands when they are used, so that one broken room does not take the others along."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        where = COMMANDS.get(cmd_name)
        if where is None:
            return None
        module, _, attribute = where.partition(":")
        try:
            command = getattr(importlib.import_module(module), attribute)
        except Exception as exc:
            raise click.ClickException(f"`settle {cmd_name}` cannot be loaded from {module}: {exc}") from exc
        assert isinstance(command, click.Command)  # noqa: S101 - a room that exports anything else is a bug
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for heading, names in ROOMS.items():
            with formatter.section(heading):
                formatter.write_dl([(name, self._short(ctx, name)) for name in names])

    def _short(self, ctx: click.Context, name: str) -> str:
        try:
            command = self.get_command(ctx, name)
        except click.ClickException as exc:
            return f"({exc.message})"
        return command.get_short_help_str(100) if command else ""


@click.command(cls=Rooms, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name=None, version="0.1.0", prog_name="settle")
@click.pass_context
def settle(ctx: click.Context) -> None:
    """Reconcile what we, the payment gateways and the banks say about the same money."""
    if ctx.invoked_subcommand not in WITHOUT_STACK:
        from stack import environment
        from stack.home import Home

        environment.adopt(Home.current())


def main() -> None:
    # Programs that print a lot may be cut short by `head`; that is no error.
    try:
        settle(prog_name=os.environ.get("SETTLE_PROGRAM", "settle"))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
