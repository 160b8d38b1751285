"""A SLURM of one node in a temporary folder: munged, slurmctld and slurmd, without systemd and without accounting.

Partition `main` can be pre-empted by partition `urgent`, the pre-empted job is requeued. The node claims a GPU, so
that jobs which ask for one are placed; nothing is behind it. Needs root and Debian's slurm-wlm and munge.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

CPUS = 8
# Where SLURM's commands look in a job step: the executor plugin drops SLURM_CONF from its environment.
SYSTEM_CONFIG = Path("/etc/slurm/slurm.conf")
CONFIG = """\
ClusterName={cluster}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SwitchType=switch/none
ReturnToService=2
SlurmdTimeout=10
MinJobAge=3600
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
GresTypes=gpu
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1 \
RealMemory=64000 Gres=gpu:1
PartitionName=main Nodes=node Default=YES PriorityTier=1
PartitionName=urgent Nodes=node PriorityTier=10 PreemptMode=OFF
"""


def why_not() -> str | None:
    """Why no SLURM can be started on this machine, or None."""
    missing = [program for program in ("munged", "slurmctld", "slurmd", "sbatch") if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: apt-get install slurm-wlm munge)"
    if os.geteuid():
        return "slurmctld and slurmd of a test are started as root"
    return f"{SYSTEM_CONFIG} exists: this machine belongs to a cluster" if SYSTEM_CONFIG.exists() else None


class SlurmNode:
    """The running cluster. Called with one of SLURM's commands it gives what that prints."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cluster = f"leangan{os.getpid()}"
        self.daemons: dict[str, subprocess.Popen] = {}

    def start(self) -> None:
        ports = free_ports(2)
        values = {
            "cluster": self.cluster,
            "folder": self.folder,
            "host": socket.gethostname().split(".")[0],
            "cpus": CPUS,
        }
        config = CONFIG.format(**values, controller_port=ports[0], node_port=ports[1])
        (self.folder / "slurm.conf").write_text(config)
        (self.folder / "gres.conf").write_text("NodeName=node Name=gpu File=/dev/null\n")
        SYSTEM_CONFIG.unlink(missing_ok=True)
        SYSTEM_CONFIG.symlink_to(self.folder / "slurm.conf")
        (self.folder / "munge.key").write_bytes(os.urandom(128))
        (self.folder / "munge.key").chmod(0o400)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        files = {"key-file": "key", "socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        options = [f"--{option}={self.folder}/munge.{ending}" for option, ending in files.items()]
        self.daemon("munged", "--foreground", "--force", *options)
        wait_for((self.folder / "munge.socket").exists, "munged to open its socket")
        self.daemon("slurmctld", "-D", "-c")
        self.start_node()

    def daemon(self, *command: str) -> None:
        environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}
        with open(self.folder / f"{command[0]}.out", "ab") as out:
            self.daemons[command[0]] = subprocess.Popen(
                command, env=environment, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )

    def start_node(self) -> None:
        self.daemon("slurmd", "-D", "-N", "node")
        wait_for(lambda: self("sinfo", "-h", "-o", "%T").startswith(("idle", "mix", "alloc")), "the node to register")

    def crash_node(self) -> None:
        """End the node as a power cut does: slurmd, its job steps and all they started, until it is missed."""
        for process in [self.daemons["slurmd"], *self.job_processes()]:
            with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
                process.kill()
        self.daemons["slurmd"].wait()
        wait_for(lambda: self("sinfo", "-h", "-o", "%T").startswith("down"), "the controller to miss the node")

    def reboot_node(self) -> None:
        """Start a crashed node. A job started before it has cleared away what was left would be cleared away, too."""
        self.start_node()
        time.sleep(5)

    def job_processes(self) -> list[psutil.Process]:
        """Processes of this cluster's jobs, and the slurmstepd of each step that is the first one's parent."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("SLURM_CLUSTER_NAME") == self.cluster:
                    parent = process.parent()
                    found += [parent, process] if parent and parent.name() == "slurmstepd" else [process]
        return found

    def stop(self) -> None:
        self("scancel", "--user=root")
        with contextlib.suppress(TimeoutError):
            wait_for(lambda: not self("squeue", "-h"), "the jobs to end", seconds=10)
        for name in ("slurmd", "slurmctld", "munged"):
            if (daemon := self.daemons.get(name)) is not None:
                daemon.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    daemon.wait(10)
                daemon.kill()
        for process in self.job_processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        if SYSTEM_CONFIG.is_symlink() and SYSTEM_CONFIG.resolve().parent == self.folder:
            SYSTEM_CONFIG.unlink()

    def __call__(self, *command: str) -> str:
        """What one of SLURM's commands prints; nothing where it fails, as while the controller starts."""
        return subprocess.run(command, capture_output=True, text=True, timeout=60).stdout.strip()


@contextlib.contextmanager
def slurm_node() -> Iterator[SlurmNode]:
    """A cluster that lives as long as the block and leaves no process; its logs are printed if the block fails."""
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    node = SlurmNode(folder)
    try:
        node.start()
        yield node
    except BaseException:
        for log in sorted(folder.glob("*.out")):
            print(f"{log.name}:\n{log.read_text(errors='replace')[-3000:]}")
        raise
    finally:
        node.stop()
        shutil.rmtree(folder, ignore_errors=True)


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_for(condition: Callable[[], object], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s for {what}")
        time.sleep(0.2)
