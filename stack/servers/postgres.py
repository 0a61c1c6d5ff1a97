"""Postgres 17: the payment company's own database and the operational one; the WAL is logical."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil
import psycopg
from psycopg import sql

from stack import install
from stack.errors import StackError
from stack.server import HEALTH_SECONDS, LOOPBACK, Command, Context, Server

# User → the secret that holds its password, and what it may do beyond connecting.
USERS = {"payments": "NOREPLICATION", "debezium": "REPLICATION", "settle": "NOREPLICATION"}
DATABASES = {"sabpaisa": "payments", "settle_ops": "settle"}  # name → owner

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",  # a socket's path may not exceed 107 bytes; deep checkouts would not start
    "wal_level": "logical",
    "max_wal_senders": "20",
    "max_replication_slots": "20",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",  # fewer checkpoints while a backlog of changes is written
    # A slot nobody reads may not fill the disk; past this it is lost, and the connector's epoch must rise.
    "max_slot_wal_keep_size": "20GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
}


def unprivileged_user() -> str | None:
    """Whom to become when root, which Postgres refuses to run as."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise StackError("Postgres refuses to run as root and there is neither a user postgres nor nobody here.")


class Postgres(Server):
    name = "postgres"
    title = "Postgres"
    ports = ("postgres",)
    stop_signal = signal.SIGINT  # "fast": SIGTERM would wait for every client to leave by itself

    def prepare(self, context: Context) -> None:
        base = context.home.postgres
        base.mkdir(parents=True, exist_ok=True)
        install.install_postgres(install.postgres_home(base))
        data = base / "data"
        user = unprivileged_user()
        if user:
            for folder in (base.parent, base):
                folder.chmod(0o755)
            shutil.chown(base, user)
        self._forget_a_stranger(data / "postmaster.pid")
        if not (data / "PG_VERSION").exists():
            self._make_cluster(context, base, data, user)

    def _forget_a_stranger(self, lock: Path) -> None:
        """A killed postmaster leaves its pid file; a number that is somebody else's now is believed for ever.

        In every other case the file stays: by it Postgres itself finds out whether backends of the killed one
        still write, and refuses to start beside them. Then the supervisor tries again.
        """
        try:
            pid = int(lock.read_text().split()[0])
            stranger = psutil.Process(pid).name() != "postgres"
        except (FileNotFoundError, ValueError, IndexError, psutil.Error):
            return
        if stranger:
            lock.unlink(missing_ok=True)

    def _make_cluster(self, context: Context, base: Path, data: Path, user: str | None) -> None:
        """Made beside its place and renamed, so that an interrupted initdb is made again."""
        making = base / "making"
        shutil.rmtree(making, ignore_errors=True)
        with tempfile.NamedTemporaryFile("w", dir=base, delete=False) as password:
            password.write(context.secrets["postgres_password"])
        path = Path(password.name)
        try:
            if user:
                shutil.chown(path, user)
            done = subprocess.run(
                [
                    str(install.postgres_home(base) / "bin" / "initdb"),
                    *("--pgdata", str(making), "--username", "postgres", "--pwfile", str(path)),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--no-locale", "--no-instructions"),
                    "--no-sync",
                ],
                user=user,
                group=pwd.getpwnam(user).pw_gid if user else None,
                extra_groups=[] if user else None,
                env=self._environment(base),
                cwd="/",
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
        finally:
            path.unlink(missing_ok=True)
        if done.returncode != 0:
            raise StackError(f"Postgres could not make its data folder: {done.stderr.strip()[-400:]}")
        making.rename(data)

    def _environment(self, base: Path) -> dict[str, str]:
        return {"LD_LIBRARY_PATH": str(install.postgres_home(base) / "lib"), "TZ": "UTC", "LC_ALL": "C"}

    def command(self, context: Context) -> Command:
        base = context.home.postgres
        settings = {**SETTINGS, "port": str(context.ports["postgres"])}
        flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        binary = str(install.postgres_home(base) / "bin" / "postgres")
        return Command(
            [binary, "-D", str(base / "data"), *flags], self._environment(base), unprivileged_user()
        )

    def check(self, context: Context) -> None:
        with self._connect(context) as connection:
            connection.execute("SELECT 1")

    def after_start(self, context: Context) -> None:
        with self._connect(context) as connection:
            users = {row[0] for row in connection.execute("SELECT rolname FROM pg_roles")}
            for user, may in USERS.items():
                verb = "ALTER" if user in users else "CREATE"
                connection.execute(
                    sql.SQL("{} ROLE {} LOGIN {} PASSWORD {}").format(
                        sql.SQL(verb),
                        sql.Identifier(user),
                        sql.SQL(may),
                        sql.Literal(context.secrets[f"{user}_password"]),
                    )
                )
            databases = {row[0] for row in connection.execute("SELECT datname FROM pg_database")}
            for database, owner in DATABASES.items():
                if database not in databases:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {} OWNER {}").format(
                            sql.Identifier(database), sql.Identifier(owner)
                        )
                    )

    def _connect(self, context: Context) -> psycopg.Connection:
        return psycopg.connect(
            host=LOOPBACK,
            port=context.ports["postgres"],
            user="postgres",
            password=context.secrets["postgres_password"],
            dbname="postgres",
            autocommit=True,
            connect_timeout=HEALTH_SECONDS,
        )
