"""Kafka in KRaft mode: one broker that is its own controller."""

from __future__ import annotations

import subprocess
import uuid
from base64 import urlsafe_b64encode

from confluent_kafka.admin import AdminClient

from stack import artifacts
from stack.errors import StackError
from stack.server import HEALTH_SECONDS, Command, Context, Server, java

HEAP = (
    "512m"  # idle 250 MB; the rest is for produce requests of a drained backlog. Data is in the page cache.
)

LOG4J = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
logger.kafka.name=kafka.server
logger.kafka.level=INFO
"""


def class_path() -> str:
    return ":".join(str(jar) for jar in artifacts.jars("kafka"))


class Kafka(Server):
    name = "kafka"
    title = "Kafka"
    ports = ("kafka", "kafka_controller")
    stop_seconds = 30

    def __init__(self) -> None:
        self._admin: AdminClient | None = None  # kept: a new one costs two threads and a handshake

    def prepare(self, context: Context) -> None:
        ports, data = context.ports, context.folder("kafka")
        config = context.write(
            "kafka/server.properties",
            f"""\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{ports.address("kafka_controller")}
listeners=PLAINTEXT://{ports.address("kafka")},CONTROLLER://{ports.address("kafka_controller")}
advertised.listeners=PLAINTEXT://{ports.address("kafka")}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data / "log"}

# Topics are data (bus/topics.yaml); a misspelt name must fail, not make a topic.
auto.create.topics.enable=false
num.partitions=4

# One broker: everything internal has one copy, and few partitions, which are what a restart has to load.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=2
group.initial.rebalance.delay.ms=0

# Flink's transactional sink asks for up to an hour; the broker's default of 15 minutes would refuse it.
transaction.max.timeout.ms=3600000

# Bank files arrive whole in one transaction; the largest record is a quarantined file's description.
message.max.bytes=8388608
replica.fetch.max.bytes=8388608

# The default of 128 MB is a quarter of this heap.
log.cleaner.dedupe.buffer.size=16777216
""",
        )
        context.write("kafka/log4j2.properties", LOG4J)
        if not (data / "log" / "meta.properties").exists():
            cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            if cluster.startswith("-"):  # the tool would read it as an option
                cluster = "A" + cluster[1:]
            done = subprocess.run(
                self._java(
                    context, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(config), "-g"
                ),
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
            if done.returncode != 0:
                raise StackError(f"Kafka could not format its storage: {(done.stderr or done.stdout)[-400:]}")

    def _java(self, context: Context, main: str, *arguments: str) -> list[str]:
        log4j = f"-Dlog4j2.configurationFile={context.home.run / 'kafka' / 'log4j2.properties'}"
        return java(log4j, "-cp", class_path(), main, *arguments, heap=HEAP)

    def command(self, context: Context) -> Command:
        return Command(
            self._java(context, "kafka.Kafka", str(context.home.run / "kafka" / "server.properties"))
        )

    def check(self, context: Context) -> None:
        if self._admin is None:
            self._admin = AdminClient(
                {
                    "bootstrap.servers": context.ports.address("kafka"),
                    "broker.address.family": "v4",
                    "log_level": 0,
                }
            )
        brokers = self._admin.list_topics(timeout=HEALTH_SECONDS).brokers
        if context.ports["kafka"] not in [broker.port for broker in brokers.values()]:
            raise StackError("the broker has not registered itself yet")
