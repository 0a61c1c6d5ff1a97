"""The schema registry: Apicurio, spoken to over its Confluent API, its store a topic in Kafka."""

from __future__ import annotations

from stack import install
from stack.server import LOOPBACK, Command, Context, Server, http_get, java, settle

HEAP = "192m"


class Registry(Server):
    name = "registry"
    title = "Schema registry"
    needs = ("kafka",)
    ports = ("registry",)

    def command(self, context: Context) -> Command:
        settings = {
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(context.ports["registry"]),
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": "0",
            "quarkus.log.level": "WARN",
            "apicurio.storage.kind": "kafkasql",
            "apicurio.kafkasql.bootstrap.servers": context.ports.address("kafka"),
            # At its start it waits four times this long for snapshots that nobody makes: 20 s by default.
            "apicurio.kafkasql.consumer.poll.timeout": "500",
        }
        flags = [f"-D{key}={value}" for key, value in settings.items()]
        jar = install.registry_home() / "quarkus-run.jar"
        return Command(java("-XX:TieredStopAtLevel=1", *flags, "-jar", str(jar), heap=HEAP, serial=True))

    def check(self, context: Context) -> None:
        http_get(context, "registry", "/apis/ccompat/v7/subjects")

    def after_start(self, context: Context) -> None:
        """Topics before anybody writes to one."""
        settle(context, "topics", "apply")
