"""Kafka Connect, distributed mode with one worker: Debezium and Confluent's Avro converter as plugins."""

from __future__ import annotations

from stack import install
from stack.errors import StackError
from stack.server import LOOPBACK, Command, Context, Server, http_get, inherited, java
from stack.servers.kafka import LOG4J, class_path

HEAP = "768m"  # Debezium's queue of 262,144 changes is the largest thing in it
CONNECTOR = "io.debezium.connector.postgresql.PostgresConnector"


class Connect(Server):
    name = "connect"
    title = "Kafka Connect"
    needs = ("kafka",)
    ports = ("connect",)

    def prepare(self, context: Context) -> None:
        converter = install.CONVERTER
        registry = f"{context.ports.url('registry')}/apis/ccompat/v7"
        context.write(
            "connect/connect.properties",
            f"""\
bootstrap.servers={context.ports.address("kafka")}
group.id=connect
client.id=connect
listeners=http://{context.ports.address("connect")}
rest.advertised.host.name={LOOPBACK}
plugin.path={install.connect_plugins()}
# Only plugins that name themselves; scanning every class takes ten seconds of CPU.
plugin.discovery=service_load

config.storage.topic=_connect_configs
offset.storage.topic=_connect_offsets
status.storage.topic=_connect_status
config.storage.replication.factor=1
offset.storage.replication.factor=1
status.storage.replication.factor=1
offset.storage.partitions=1
status.storage.partitions=1

key.converter={converter}
key.converter.schema.registry.url={registry}
value.converter={converter}
value.converter.schema.registry.url={registry}

# Secrets reach a connector by reference only: ${{env:NAME}} and ${{file:PATH:KEY}}.
config.providers=env,file
config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider
config.providers.env.param.allowlist.pattern=SETTLE_.*
config.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider
config.providers.file.param.allowed.paths={context.home.secrets}
connector.client.config.override.policy=All

# Repeats after a crash are harmless, since every change carries its version; transactions would delay each
# change until the next commit, half a second to one second.
exactly.once.source.support=disabled
offset.flush.interval.ms=1000

# After a SIGKILL the work goes back to the one worker there is: waiting for another one (5 minutes by
# default) would only delay, and the shortest session the broker allows finds the death soonest.
scheduled.rebalance.max.delay.ms=0
session.timeout.ms=6000
heartbeat.interval.ms=2000
""",
        )
        context.write(
            "connect/log4j2.properties",
            LOG4J
            + "logger.debezium.name=io.debezium\nlogger.debezium.level=INFO\n"
            + "logger.connect.name=org.apache.kafka.connect.runtime\nlogger.connect.level=INFO\n",
        )

    def command(self, context: Context) -> Command:
        run = context.home.run / "connect"
        argv = java(
            f"-Dlog4j2.configurationFile={run / 'log4j2.properties'}",
            "-cp",
            class_path(),
            "org.apache.kafka.connect.cli.ConnectDistributed",
            str(run / "connect.properties"),
            heap=HEAP,
        )
        return Command(argv, {**inherited(), **context.environment})

    def check(self, context: Context) -> None:
        http_get(context, "connect", "/connectors")
        plugins = http_get(context, "connect", "/connector-plugins").json()
        if not any(plugin["class"] == CONNECTOR for plugin in plugins):
            raise StackError("Debezium is not among Connect's plugins")
