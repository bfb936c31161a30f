"""Three real node processes on loopback, started as an operator would start them, and ended in every way there is."""

import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

DOMAIN = "example.org"
PASSWORD = "wherefore art thou"
START_SECONDS_MAX = 30


class Deadline(AssertionError):
    """A condition was not met in time."""


class NoAnswer(AssertionError):
    """A node did not answer its operator: it has not opened its socket yet, or it has ended."""


async def until(what, condition, seconds):
    """Waits until `condition()` is true, and fails with `what` if it is not within `seconds`.

    A node that the condition asks and that does not answer yet is a reason to wait, as a false condition is.
    """
    end = time.monotonic() + seconds
    while True:
        why = None
        try:
            result = condition()
            if asyncio.iscoroutine(result):
                result = await result
            if result:
                return result
        except NoAnswer as no_answer:
            why = no_answer
        if time.monotonic() > end:
            raise Deadline(f"not within {seconds} s: {what}") from why
        await asyncio.sleep(0.01)


def free_ports(count):
    """Ports of loopback that nobody uses at the moment."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def copy_data(directory, to, without=()):
    """Copies a data directory, as a backup has it: without the control socket, which may outlast its process."""
    shutil.copytree(directory, to, ignore=shutil.ignore_patterns("*.sock", *without))


class Node:
    """One node process: its configuration, its log, its life."""

    def __init__(self, cluster, name, client_port, peer_port, health_port):
        self.cluster = cluster
        self.name = name
        self.client_port = client_port
        self.peer_port = peer_port
        self.health_port = health_port
        self.data = cluster.directory / name
        self.config = cluster.directory / f"{name}.xml"
        self.log = cluster.directory / f"{name}.log"
        self.process = None
        self.program = cluster.program
        self.environment = {"RUST_BACKTRACE": "1"}
        self.host = "127.0.0.1"
        self.runs_in = []  # words before the command of the process, such as `ip netns exec …`
        self.machine = None  # with a network of its own, if it has one
        self.arguments = ["--config", self.config]

    @property
    def certificate(self):
        return self.data / "certificate.pem"

    @property
    def socket(self):
        return self.data / "admin.sock"

    def write_config(self, cluster_settings="", tls="required", client_settings="", join=None, role=None):
        members = "".join(f"<member>127.0.0.1:{node.peer_port}</member>" for node in self.cluster.nodes.values())
        clients = f'''<clients>
    <listener address="{self.host}:{self.client_port}" tls="{tls}"/>
    {client_settings}
  </clients>'''
        self.config.write_text(
            f"""<?xml version="1.0"?>
<cresset>
  <domain>{DOMAIN}</domain>
  <node name="{self.name}" data="{self.data}"/>
  <accounts>{self.cluster.database(self.name)}</accounts>
  {clients if role != "witness" else ""}
  <cluster>
    {f"<role>{role}</role>" if role else ""}
    <listen address="{self.host}:{self.peer_port}"/>
    <join>{join or f"<tcp-ip>{members}</tcp-ip>"}</join>
    {cluster_settings}
  </cluster>
  <health listen="{self.host}:{self.health_port}"/>
</cresset>
"""
        )

    def start(self):
        assert self.process is None or self.process.poll() is not None, f"{self.name} runs already"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.runs_in, self.program, "node", *map(str, self.arguments)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environment},
            )

    def moves_to(self, machine):
        """Runs on a machine of its own, where every port is free."""
        self.machine, self.host, self.runs_in = machine, machine.address, machine.runs_in
        self.client_port, self.peer_port, self.health_port = 5222, 5701, 8080

    def connect(self, port=None, timeout=10, source=None):
        """A connection of a client, from the address `source` if one is named."""
        with self.machine.inside() if self.machine else contextlib.nullcontext():
            here = source and (source, 0)
            return socket.create_connection((self.host, port or self.client_port), timeout=timeout, source_address=here)

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """As kill -9 does."""
        self.process.kill()
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def terminate(self):
        self.process.send_signal(signal.SIGTERM)

    def status(self):
        """What `cresset cluster status --json` says; raises `NoAnswer` if the node does not answer."""
        run = subprocess.run(
            [self.program, "cluster", "status", "--json", "--socket", self.socket],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # 3: it answers, and serves nobody.
        if run.returncode not in (0, 3):
            raise NoAnswer(f"{self.name}, exit code {run.returncode}: {run.stderr}\n{self.log_text()[-1000:]}")
        return json.loads(run.stdout)

    def health(self, path="/health/ready"):
        """What the node answers there: the number, and the line; nothing if nobody answers."""
        connection = http.client.HTTPConnection(self.host, self.health_port, timeout=10)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode().strip()
        except ConnectionError:
            return None
        finally:
            connection.close()

    async def status_later(self):
        return await asyncio.to_thread(self.status)

    def memory_bytes(self):
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Cluster:
    """Some nodes that share one account store: an SQLite file, or what `database` says for the name of a node."""

    def __init__(self, program, directory, names=("a", "b", "c"), database=None, **settings):
        self.program = str(program)
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.accounts = self.directory / "accounts.sqlite"
        self.database = database or (lambda _: f'<sqlite path="{self.accounts}"/>')
        ports = free_ports(3 * len(names))
        self.nodes = {name: Node(self, name, *ports[3 * at : 3 * at + 3]) for at, name in enumerate(names)}
        for node in self.nodes.values():
            node.write_config(**settings)

    def __getitem__(self, name):
        return self.nodes[name]

    def cli(self, *words, **options):
        return subprocess.run(
            [self.program, *map(str, words)], capture_output=True, text=True, timeout=60, check=False, **options
        )

    def import_users(self, names):
        lines = "".join(f"{name},{PASSWORD}\n" for name in names)
        config = next(iter(self.nodes.values())).config
        run = self.cli("user", "import", "--config", config, "-", input=lines)
        assert run.returncode == 0, run.stdout + run.stderr

    async def start(self, names=None):
        for name in names or self.nodes:
            self.nodes[name].start()
        await self.formed(names)

    async def formed(self, names=None):
        """Every node (or those named) serves and sees all of them active and voting, under one leader."""
        names = list(names or self.nodes)
        await until(f"{names} form a cluster", lambda: self._is_formed(names), START_SECONDS_MAX)

    async def _is_formed(self, names):
        for name in names:
            node = self.nodes[name]
            assert node.is_running, f"{name} has ended:\n{node.log_text()[-3000:]}"
        statuses = await asyncio.gather(*(self.nodes[name].status_later() for name in names))
        # A node by itself may be counted among the members already, and goes on by itself if the others vanish now.
        if not all(status["serving"] and not status["alone"] for status in statuses):
            return False
        leaders = {status["leader"] for status in statuses}
        active = [
            {member["name"] for member in status["members"] if member["state"] == "active" and member["voter"]}
            for status in statuses
        ]
        return len(leaders) == 1 and None not in leaders and all(set(names) <= each for each in active)

    def leader(self):
        """The node that leads, as a running node says."""
        for node in self.nodes.values():
            with contextlib.suppress(NoAnswer):
                if node.is_running and (name := node.status()["leader"]):
                    return self.nodes[name]
        raise AssertionError("nobody knows a leader")

    def followers(self):
        leader = self.leader()
        return [node for node in self.nodes.values() if node is not leader]

    def stop(self):
        """Ends what still runs, whatever state it is in."""
        for node in self.nodes.values():
            if node.is_running:
                node.thaw()
                node.kill()

    def panics(self):
        """Lines of the logs that no run may have."""
        lines = (line for node in self.nodes.values() for line in node.log_text().splitlines())
        return [line for line in lines if "panicked at" in line]
