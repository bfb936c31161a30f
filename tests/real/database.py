"""A PostgreSQL server of the tests' own, which they can stop and start again, and ways to it that they can close."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

# What Debian calls nobody and nogroup: PostgreSQL refuses to run as root.
NOBODY = 65534
START_SECONDS_MAX = 60


def programs():
    """The folder of the newest PostgreSQL of the machine, or nothing."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    return max(found, key=lambda path: int(path.parent.name), default=None)


class PostgreSQL:
    """One server in a directory below /tmp, whose parents everybody may enter."""

    def __init__(self):
        self.programs = programs()
        self.directory = Path(tempfile.mkdtemp(prefix="cresset-database-"))
        self.log = self.directory / "log"
        self.process = None
        self.identity = {}
        if os.geteuid() == 0:
            os.chown(self.directory, NOBODY, NOBODY)
            self.identity = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        self._run("initdb", "-D", "data", "-U", "cresset", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.start()
        self._run("createdb", "-h", self.directory, "-U", "cresset", "cresset")

    def element(self, attributes="", directory=None):
        """What a configuration says about it, or about a way to it."""
        host = "".join(f"%{byte:02X}" for byte in bytes(directory or self.directory))
        return f'<postgresql url="postgresql://cresset@{host}/cresset" {attributes}/>'

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", "data", "-k", self.directory, "-c", "listen_addresses="],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **self.identity,
            )
        end = time.monotonic() + START_SECONDS_MAX
        while subprocess.run([self.programs / "pg_isready", "-q", "-h", self.directory], check=False).returncode != 0:
            assert self.process.poll() is None and time.monotonic() < end, self.log.read_text(errors="replace")
            time.sleep(0.05)

    def stop(self):
        """At once, with all its connections, as if the machine had lost its power."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(30)

    def freeze(self):
        """It answers nobody any more, and nobody is told so."""
        self._signal(signal.SIGSTOP)

    def thaw(self):
        self._signal(signal.SIGCONT)

    def _signal(self, number):
        """To the server before its children, so that it starts no more of them."""
        self.process.send_signal(number)
        pid = self.process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            # A connection may end at this moment.
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(child), number)

    def remove(self):
        if self.process.poll() is None:
            self.thaw()
            self.stop()
        shutil.rmtree(self.directory)

    def _run(self, program, *words):
        subprocess.run(
            [self.programs / program, *words], cwd=self.directory, check=True, stdout=subprocess.DEVNULL, **self.identity
        )


class Way:
    """A way of one node to the server: a socket in a directory of its own, through which everything passes."""

    NAME = ".s.PGSQL.5432"

    def __init__(self, server, directory):
        self.server = server
        self.directory = Path(directory)
        self.directory.mkdir()
        self.listener = None
        self.open()

    def open(self):
        self.connections = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(self.directory / self.NAME))
        self.listener.listen()
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        """Nobody gets through any more."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        (self.directory / self.NAME).unlink()
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                far = socket.socket(socket.AF_UNIX)
                far.connect(str(self.server.directory / self.NAME))
                self.connections += [near, far]
                for ends in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=ends, daemon=True).start()

    @staticmethod
    def _pass(one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_RDWR)
