"""Every server of the stack, in the order data meets them; one module each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stack.servers.connect import Connect
from stack.servers.flink import JobManager, TaskManager
from stack.servers.kafka import Kafka
from stack.servers.ours import Bridge, Gateways, Intake, Loader, Warehouse
from stack.servers.postgres import Postgres
from stack.servers.registry import Registry
from stack.servers.s3 import S3
from stack.servers.sftp import Sftp
from stack.servers.zookeeper import ZooKeeper

if TYPE_CHECKING:
    from stack.server import Server

SERVERS: dict[str, Server] = {
    server.name: server
    for server in (
        Postgres(),
        Kafka(),
        Registry(),
        Connect(),
        S3(),
        ZooKeeper(),
        JobManager(),
        TaskManager(),
        Sftp(),
        Gateways(),
        Warehouse(),
        Bridge(),
        Intake(),
        Loader(),
    )
}
ALIASES = {"flink": ("jobmanager", "taskmanager")}


def with_needs(names: list[str]) -> list[str]:
    """The named servers and everything they cannot start without; unknown names raise KeyError."""
    found: set[str] = set()
    todo = [server for name in names for server in ALIASES.get(name, (name,))]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += SERVERS[name].needs
    return [name for name in SERVERS if name in found]
