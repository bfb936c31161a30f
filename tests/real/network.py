"""Machines on one local network, made of network namespaces: each has an address, a cable and a name server of its own
choice. Only root can make them."""

import contextlib
import ctypes
import itertools
import os
import shutil
import signal
import subprocess
from pathlib import Path

NUMBERS = itertools.count()


def missing():
    """Why there can be no such network here, as a sentence; nothing if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "network namespaces need 'ip'; on Debian: apt-get install iproute2"
    # Containers often have root and are not allowed to.
    made = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False)
    return None if made.returncode == 0 else "this system does not let root make network namespaces"


def enter(namespace):
    """This thread goes into a network namespace."""
    clone_newnet = 0x40000000
    if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), clone_newnet) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def ip(*words, **options):
    return subprocess.run(["ip", *map(str, words)], check=True, capture_output=True, text=True, **options)


class Machine:
    """One namespace with the address 10.91.0.NUMBER on the common network."""

    def __init__(self, network, name, number):
        self.network = network
        self.namespace = f"{network.prefix}-{name}"
        self.address = f"10.91.0.{number}"
        self.runs_in = ["ip", "netns", "exec", self.namespace]
        self.settings = Path("/etc/netns") / self.namespace

    def make(self):
        # The cable: its end at the machine is called eth0, the other one hangs in the bridge.
        ip("netns", "add", self.namespace)
        end = f"to-{self.address.rpartition('.')[2]}"
        hub = self.network.hub
        ip("-n", hub, "link", "add", end, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        ip("-n", hub, "link", "set", end, "master", "br0", "up")
        ip("-n", self.namespace, "address", "add", f"{self.address}/24", "dev", "eth0")
        ip("-n", self.namespace, "link", "set", "lo", "up")
        self.plug_in()

    def plug_in(self):
        ip("-n", self.namespace, "link", "set", "eth0", "up")

    def unplug(self):
        ip("-n", self.namespace, "link", "set", "eth0", "down")

    def asks(self, server):
        """Names are asked of this machine; `ip netns exec` puts the file where the resolver reads it."""
        self.settings.mkdir(parents=True)
        (self.settings / "resolv.conf").write_text(f"nameserver {server.address}\n")

    def run(self, *words, **options):
        return subprocess.run([*self.runs_in, *map(str, words)], check=True, capture_output=True, text=True, **options)

    @contextlib.contextmanager
    def inside(self):
        """Sockets that this thread makes meanwhile are on this machine, and stay there."""
        with open("/proc/thread-self/ns/net") as here, open(f"/run/netns/{self.namespace}") as there:
            enter(there)
            try:
                yield
            finally:
                enter(here)

    def remove(self):
        with contextlib.suppress(subprocess.CalledProcessError):
            ip("netns", "delete", self.namespace)
        shutil.rmtree(self.settings, ignore_errors=True)
        with contextlib.suppress(OSError):
            self.settings.parent.rmdir()


class NameServer:
    """dnsmasq on a machine, with names that can change while it runs."""

    def __init__(self, machine, directory, services=()):
        self.machine = machine
        self.hosts = directory / "hosts"
        self.hosts.write_text("")
        self.process = subprocess.Popen(
            [
                *machine.runs_in, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv", "--no-hosts",
                "--pid-file=", "--user=root", "--local=/test/", f"--addn-hosts={self.hosts}", "--local-ttl=1",
                *(f"--srv-host={service}" for service in services),
            ],
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def knows(self, *hosts):
        """From here on these pairs of an address and a name, and no others."""
        self.hosts.write_text("".join(f"{address} {name}\n" for address, name in hosts))
        self.process.send_signal(signal.SIGHUP)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Network:
    """Machines with cables to one bridge."""

    def __init__(self):
        self.prefix = f"cresset{os.getpid()}-{next(NUMBERS)}"
        self.hub = f"{self.prefix}-hub"
        self.machines = []
        ip("netns", "add", self.hub)
        ip("-n", self.hub, "link", "add", "br0", "type", "bridge")
        # A bridge that snoops waits for a querier before it forwards what is sent to groups.
        ip("-n", self.hub, "link", "set", "br0", "type", "bridge", "mcast_snooping", 0)
        ip("-n", self.hub, "link", "set", "br0", "up")

    def machine(self, name):
        machine = Machine(self, name, len(self.machines) + 1)
        self.machines.append(machine)
        machine.make()
        return machine

    def remove(self):
        for machine in self.machines:
            machine.remove()
        ip("netns", "delete", self.hub)
