"""ZooKeeper: remembers for Flink which jobs run and where their checkpoints are (docs/adr/0001)."""

from __future__ import annotations

import socket

from stack import install
from stack.errors import StackError
from stack.server import HEALTH_SECONDS, LOOPBACK, Command, Context, Server, java

HEAP = "64m"  # a handful of nodes of a few hundred bytes


class ZooKeeper(Server):
    name = "zookeeper"
    title = "ZooKeeper"
    ports = ("zookeeper",)

    def prepare(self, context: Context) -> None:
        context.write(
            "zookeeper/zoo.cfg",
            f"""\
dataDir={context.folder("zookeeper")}
clientPort={context.ports["zookeeper"]}
clientPortAddress={LOOPBACK}
tickTime=1000
admin.enableServer=false
4lw.commands.whitelist=ruok,srvr
autopurge.snapRetainCount=3
autopurge.purgeInterval=1
""",
        )
        context.write("zookeeper/log4j2.properties", LOG4J)

    def command(self, context: Context) -> Command:
        run = context.home.run / "zookeeper"
        lib = install.flink_home() / "lib"
        # Flink's own jar carries a server that fits its client; nothing more has to be fetched.
        jars = [*lib.glob("flink-dist-*.jar"), *lib.glob("log4j-*.jar")]
        argv = java(
            f"-Dlog4j2.configurationFile={run / 'log4j2.properties'}",
            "-Dzookeeper.jmx.log4j.disable=true",
            "-cp",
            ":".join(str(jar) for jar in jars),
            "org.apache.flink.shaded.zookeeper3.org.apache.zookeeper.server.ZooKeeperServerMain",
            str(run / "zoo.cfg"),
            heap=HEAP,
            serial=True,
        )
        return Command(argv)

    def check(self, context: Context) -> None:
        with socket.create_connection((LOOPBACK, context.ports["zookeeper"]), HEALTH_SECONDS) as line:
            line.sendall(b"ruok")
            if line.recv(4) != b"imok":
                raise StackError("ZooKeeper did not answer imok")


LOG4J = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
rootLogger.level=WARN
rootLogger.appenderRef.console.ref=console
"""
