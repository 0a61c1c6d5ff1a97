"""The Flink cluster: a JobManager and a TaskManager as processes of their own, jobs kept through ZooKeeper.

Memory is given to each JVM here, not computed by Flink's scripts, so that `settle status` can be held to it:

| TaskManager          | MiB |
|----------------------|-----|
| task heap            |1024 |  operators, their bundles of changes, Parquet writers
| framework heap       | 128 |
| RocksDB              | 320 |  the jobs' state: one cache and one pool of write buffers for all of it
| managed              |  32 |  sorting only
| network              | 128 |  three jobs, a few shuffles each
| task off-heap        | 128 |  Kafka clients, compression
| framework off-heap   | 128 |
| metaspace            | 224 |  each job loads its code once more
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from stack import install
from stack.errors import StackError
from stack.server import LOOPBACK, Command, Context, Server, http_get, inherited, java
from stack.servers import s3
from stack.servers.flink_results import BUCKET, CLUSTER, FOLDER, remove_refused

if TYPE_CHECKING:
    from pathlib import Path

JOBMANAGER_HEAP_MIB = 448
SLOTS = 12  # five jobs of parallelism 2, as tests run them, and one more while one is replaced
FRAMEWORK_HEAP_MIB, TASK_HEAP_MIB = 128, 1024
ROCKSDB_MIB, MANAGED_MIB, NETWORK_MIB = 320, 32, 128
FRAMEWORK_OFF_HEAP_MIB, TASK_OFF_HEAP_MIB = 128, 128
METASPACE_MIB, OVERHEAD_MIB = 224, 192

LOG4J = """\
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{ISO8601} %-5p %c{1} %m%n
rootLogger.level=INFO
rootLogger.appenderRef.console.ref=console
logger.kafka.name=org.apache.kafka
logger.kafka.level=WARN
logger.hadoop.name=org.apache.hadoop
logger.hadoop.level=WARN
logger.zookeeper.name=org.apache.flink.shaded.zookeeper3
logger.zookeeper.level=WARN
logger.pekko.name=org.apache.pekko
logger.pekko.level=WARN
"""


def _write(context: Context) -> Path:
    """The configuration that both processes and `flink run` read; JSON is YAML."""
    ports, secret = context.ports, context.secrets
    config = {
        "jobmanager.rpc.address": LOOPBACK,
        "jobmanager.rpc.port": ports["flink_rpc"],
        "jobmanager.bind-host": LOOPBACK,
        "jobmanager.memory.heap.size": f"{JOBMANAGER_HEAP_MIB}m",
        "jobmanager.execution.failover-strategy": "region",
        "rest.address": LOOPBACK,
        "rest.bind-address": LOOPBACK,
        "rest.port": ports["flink"],
        "rest.bind-port": str(ports["flink"]),
        "web.submit.enable": True,
        "taskmanager.host": LOOPBACK,
        "taskmanager.bind-host": LOOPBACK,
        "taskmanager.numberOfTaskSlots": SLOTS,
        "taskmanager.cpu.cores": float(SLOTS),
        "taskmanager.memory.framework.heap.size": f"{FRAMEWORK_HEAP_MIB}m",
        "taskmanager.memory.task.heap.size": f"{TASK_HEAP_MIB}m",
        "taskmanager.memory.managed.size": f"{MANAGED_MIB}m",
        "taskmanager.memory.network.min": f"{NETWORK_MIB}m",
        "taskmanager.memory.network.max": f"{NETWORK_MIB}m",
        "taskmanager.memory.framework.off-heap.size": f"{FRAMEWORK_OFF_HEAP_MIB}m",
        "taskmanager.memory.task.off-heap.size": f"{TASK_OFF_HEAP_MIB}m",
        "taskmanager.memory.jvm-metaspace.size": f"{METASPACE_MIB}m",
        "taskmanager.memory.jvm-overhead.min": f"{OVERHEAD_MIB}m",
        "taskmanager.memory.jvm-overhead.max": f"{OVERHEAD_MIB}m",
        "parallelism.default": 1,
        "state.backend.type": "rocksdb",
        "execution.checkpointing.incremental": True,
        # Most of a state's files are smaller: in the checkpoint's own file they cost no request each.
        "execution.checkpointing.data-inline-threshold": "100kb",
        # One pool for the whole process. A share for each slot would leave each of forty states under a MiB.
        "state.backend.rocksdb.memory.managed": False,
        "state.backend.rocksdb.memory.fixed-per-tm": f"{ROCKSDB_MIB}m",
        # A buffer takes an eighth of its size at once. With the default 64 MB a hundred of them fill the pool
        # before anything is in them, and every write is flushed as a file of its own.
        "state.backend.rocksdb.writebuffer.size": "4mb",
        "state.backend.rocksdb.use-bloom-filter": True,
        # Every job has its own checkpoint folder in it, named by the job's id.
        "execution.checkpointing.dir": f"s3://{BUCKET}/checkpoints",
        "execution.checkpointing.savepoint-dir": f"s3://{BUCKET}/savepoints",
        "execution.checkpointing.interval": "5 s",
        "execution.checkpointing.min-pause": "1 s",
        "execution.checkpointing.timeout": "2 min",
        "execution.checkpointing.tolerable-failed-checkpoints": 10,
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "execution.checkpointing.num-retained": 2,
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "15 s",
        "restart-strategy.exponential-delay.backoff-multiplier": 1.5,
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "high-availability.type": "zookeeper",
        "high-availability.zookeeper.quorum": ports.address("zookeeper"),
        "high-availability.zookeeper.path.root": "/flink",
        "high-availability.cluster-id": f"/{CLUSTER}",
        "high-availability.storageDir": f"s3://{BUCKET}/{FOLDER}",
        # How long a killed JobManager still counts as the leader. Less, and a busy machine loses a live one.
        "high-availability.zookeeper.client.session-timeout": "20 s",
        "high-availability.zookeeper.client.connection-timeout": "5 s",
        # A ping that came late is no lost leadership: without this every job restarts on a busy machine.
        "high-availability.zookeeper.client.tolerate-suspended-connections": True,
        # A killed TaskManager is known by its refused connections, long before these run out.
        "heartbeat.interval": "2 s",
        "heartbeat.timeout": "90 s",
        "heartbeat.rpc-failure-threshold": 2,
        "pekko.ask.timeout": "60 s",
        "s3.endpoint": ports.url("s3"),
        "s3.path.style.access": True,
        "s3.access-key": secret["s3_access_key"],
        "s3.secret-key": secret["s3_secret_key"],
        "fs.s3a.connection.maximum": "64",
        # Otherwise every file written asks for the markers of all folders above it to be deleted.
        "fs.s3a.directory.marker.retention": "keep",
        "io.tmp.dirs": str(context.folder("flink")),
        "env.java.opts.all": " ".join(_java_options()),
    }
    context.write("flink/log4j.properties", LOG4J)
    for name in ("log4j-cli.properties", "log4j-console.properties", "log4j-session.properties"):
        source = install.flink_home() / "conf" / name
        context.write(f"flink/{name}", source.read_text())
    return context.write("flink/config.yaml", json.dumps(config, indent=2)).parent


def _java_options() -> list[str]:
    """The doors into Java's own packages that Flink's own configuration opens."""
    text = (install.flink_home() / "conf" / "config.yaml").read_text()
    return re.findall(r"--add-(?:exports|opens)=\S+", text)


def _command(
    context: Context, main: str, *flags: str, heap_mib: int, arguments: tuple[str, ...] = ()
) -> Command:
    home, conf = install.flink_home(), context.home.run / "flink"
    jars = sorted((home / "lib").glob("*.jar"), key=lambda jar: (jar.name.startswith("flink-dist"), jar.name))
    argv = java(
        *flags,
        f"-Dlog4j.configurationFile={conf / 'log4j.properties'}",
        *_java_options(),
        "-cp",
        ":".join(str(jar) for jar in jars),
        main,
        "--configDir",
        str(conf),
        *arguments,
        heap=f"{heap_mib}m",
    )
    environment = {
        **inherited(),
        "FLINK_CONF_DIR": str(conf),
        "FLINK_HOME": str(home),
        "FLINK_LIB_DIR": str(home / "lib"),
        "FLINK_OPT_DIR": str(home / "opt"),
        "FLINK_PLUGINS_DIR": str(home / "plugins"),
        "JAVA_HOME": str(install.JAVA_HOME),
    }
    return Command(argv, environment)


class JobManager(Server):
    name = "jobmanager"
    title = "Flink JobManager"
    needs = ("zookeeper", "s3")
    ports = ("flink", "flink_rpc")

    def prepare(self, context: Context) -> None:
        _write(context)
        remove_refused(s3.client(context))

    def command(self, context: Context) -> Command:
        main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
        # It plans and coordinates; the second compiler would only slow its start.
        return _command(
            context,
            main,
            "-XX:MaxMetaspaceSize=256m",
            "-XX:TieredStopAtLevel=1",
            heap_mib=JOBMANAGER_HEAP_MIB,
        )

    def check(self, context: Context) -> None:
        http_get(context, "flink", "/overview")


class TaskManager(Server):
    name = "taskmanager"
    title = "Flink TaskManager"
    needs = ("zookeeper", "s3")
    # Which goes on counting it until heartbeat.timeout has passed; its silence begins then.
    asked_through = ("jobmanager",)
    ports = ()

    def prepare(self, context: Context) -> None:
        _write(context)

    def command(self, context: Context) -> Command:
        main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
        direct = FRAMEWORK_OFF_HEAP_MIB + TASK_OFF_HEAP_MIB + NETWORK_MIB
        return _command(
            context,
            main,
            # State is not on the heap: most of what is there is a record on its way.
            "-XX:NewRatio=1",
            f"-XX:MaxDirectMemorySize={direct}m",
            f"-XX:MaxMetaspaceSize={METASPACE_MIB}m",
            heap_mib=FRAMEWORK_HEAP_MIB + TASK_HEAP_MIB,
        )

    def check(self, context: Context) -> None:
        if http_get(context, "flink", "/overview").json()["taskmanagers"] < 1:
            raise StackError("no TaskManager has registered yet")
