"""What load balancers are told: whether a node lives, and whether clients can log in there, and why not."""

import asyncio
import contextlib
import os
import socket
import subprocess
import time

import pytest
from client import Client
from cluster import until
from test_database import database, needs_postgresql, refusal  # noqa: F401 (a fixture)

READY, LIVE = (200, "ready"), (200, "live")
NO_LEASE = (503, "not ready: it holds no lease and serves nobody at the moment: no quorum counts it in")
AWAY = (503, "not ready: the account store is away: who is logged in goes on, and nobody can log in")


async def is_told(node, expected, seconds=15):
    seen = []

    def look():
        seen.append(node.health())
        return seen[-1] == expected

    try:
        await until(f"{node.name} says {expected}", look, seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}; last: {seen[-1]}") from error


def said_by_status(node):
    """The sentence for operators."""
    run = node.cluster.cli("cluster", "status", "--socket", node.socket)
    assert run.returncode in (0, 3), run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("nobody can log in at ")]
    return lines[0].split(": ", 1)[1] if lines else None


async def test_a_node_is_ready_when_it_serves_and_says_why_when_it_does_not(trio):
    a, b, c = trio.nodes.values()
    for node in (a, b, c):
        await is_told(node, READY)
        assert node.health("/health") == READY and node.health("/health/live") == LIVE
        assert said_by_status(node) is None

    drained = trio.cli("cluster", "drain", "b", "--socket", a.socket)
    assert drained.returncode == 0, drained.stderr
    await is_told(b, (503, "not ready: it is drained: its clients are sent to other nodes"))
    assert said_by_status(b) == "it is drained: its clients are sent to other nodes"
    assert trio.cli("cluster", "undrain", "b", "--socket", a.socket).returncode == 0
    await is_told(b, READY)

    off = trio.cli("cluster", "disable", "--config", a.config)
    assert off.returncode == 0, off.stderr
    await until("it is off", lambda: not a.status()["clustering"], 10)
    await is_told(a, READY)
    assert trio.cli("cluster", "enable", "--config", a.config).returncode == 0
    await trio.formed()

    b.kill()
    c.kill()
    await is_told(a, NO_LEASE)
    assert a.health("/health/live") == LIVE
    assert "it holds no lease" in said_by_status(a)
    assert b.health() is None

    a.terminate()
    a.process.wait(10)
    a.start()
    await is_told(a, (503, "not ready: it is not in the cluster yet"))
    assert said_by_status(a) == "it is not in the cluster yet"
    b.start()
    for node in (a, b):
        await is_told(node, READY, 30)


async def test_a_witness_is_live_and_never_ready(new_cluster):
    cluster = new_cluster()
    cluster["c"].write_config(role="witness")
    await cluster.start()
    assert cluster["c"].health() == (503, "not ready: it is a witness and serves no clients")
    assert cluster["c"].health("/health/live") == LIVE


@needs_postgresql
async def test_a_database_that_is_away_makes_no_node_ready_and_all_of_them_live(new_cluster, database):  # noqa: F811
    cluster = new_cluster(database=lambda _: database.element())
    cluster.import_users(["romeo", "juliet"])
    await cluster.start()
    juliet = await Client("juliet").log_in(cluster["b"])

    database.stop()

    for node in cluster.nodes.values():
        await is_told(node, AWAY)
        assert node.health("/health/live") == LIVE
    assert "the account store is away" in said_by_status(cluster["a"])
    # It says what is true: nobody can log in, and nobody is thrown off.
    assert set(await refusal("romeo", cluster["a"])) == {"temporary-auth-failure"}
    assert not juliet.ended.is_set()

    # One that starts meanwhile says that it does, and is not started again for it.
    cluster["c"].kill()
    cluster["c"].start()
    await is_told(cluster["c"], (503, "not ready: it starts"))
    assert cluster["c"].health("/health/live") == LIVE

    database.start()
    for node in cluster.nodes.values():
        await is_told(node, READY, 60)


def test_a_port_in_use_is_told_before_anything_is_started(new_cluster):
    cluster = new_cluster(names=("a",))
    with socket.create_server(("127.0.0.1", cluster["a"].health_port)):
        run = cluster.cli("node", "--config", cluster["a"].config)
    assert run.returncode == 2 and "where health is to be told" in run.stderr, run.stderr
    assert not list(cluster["a"].data.glob("log*"))


# ---- hostile ------------------------------------------------------------------------------------------------------------


def answer(node, sent, seconds=20):
    """All that comes back, and after how long the connection was closed."""
    began = time.monotonic()
    with socket.create_connection((node.host, node.health_port), timeout=seconds) as connection:
        got = b""
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
            while data := connection.recv(65536):
                got += data
    return got, time.monotonic() - began


GARBAGE = [
    ("TLS", bytes.fromhex("16030100c8010000c40303") + bytes(190)),
    ("XMPP", b"<?xml version='1.0'?><stream:stream to='example.org' xmlns='jabber:client'>\r\n\r\n"),
    ("random", os.urandom(65536)),
    ("NUL", bytes(65536)),
    ("HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    ("a head without end", b"GET /health HTTP/1.1\r\n" + b"x: y\r\n" * 200_000),
    ("a header of 10 MB", b"GET /health HTTP/1.1\r\nx: " + b"y" * 10_000_000),
    ("a body of 10 MB", b"GET /health HTTP/1.1\r\nContent-Length: 10000000\r\n\r\n" + bytes(10_000_000)),
    ("chunks", b"GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 100_000),
    ("smuggling", b"GET /health HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    ("1000 requests in one go", b"GET /health HTTP/1.1\r\n\r\n" * 1000),
]


@pytest.mark.parametrize(("what", "sent"), GARBAGE, ids=[case[0] for case in GARBAGE])
def test_garbage_is_refused_and_costs_nothing(solo, witness, what, sent):
    before = solo.memory_bytes()

    got, seconds = answer(solo, sent)

    assert seconds < 7, (what, seconds)
    assert got.count(b"HTTP/1.1 ") <= 1 and (b" 200 OK" not in got or what.startswith("1000")), (what, got[:200])
    assert solo.memory_bytes() - before < 2 << 20, what
    assert solo.health() == READY
    witness.ping(1)


def test_a_head_that_comes_a_byte_at_a_time_is_cut_off(solo):
    began = time.monotonic()
    with socket.create_connection((solo.host, solo.health_port), timeout=20) as slow:
        slow.settimeout(0.2)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < 15:
                slow.sendall(b"G")
                try:
                    if not slow.recv(100):
                        break
                except TimeoutError:
                    pass
    assert 4 < time.monotonic() - began < 10


def test_a_thousand_connections_keep_nobody_from_an_answer(solo, witness):
    before, held = solo.memory_bytes(), []
    try:
        for _ in range(1000):
            connection = socket.create_connection((solo.host, solo.health_port), timeout=10)
            with contextlib.suppress(ConnectionError):
                connection.sendall(b"GET /health HTTP/1.1\r\n")
            held.append(connection)
            if len(held) % 100 == 0:
                began = time.monotonic()
                assert solo.health() == READY and time.monotonic() - began < 2
        witness.ping(1)
        descriptors = len(os.listdir(f"/proc/{solo.process.pid}/fd"))
        assert descriptors < 200, descriptors
        assert solo.memory_bytes() - before < 4 << 20
    finally:
        for connection in held:
            connection.close()


async def test_many_questions_at_once_are_all_answered(trio):
    node = trio["a"]

    async def ask():
        reader, writer = await asyncio.open_connection(node.host, node.health_port)
        writer.write(b"GET /health/ready HTTP/1.0\r\n\r\n")
        got = await reader.read()
        writer.close()
        return got.split(b"\r\n")[0]

    for _ in range(10):
        assert set(await asyncio.gather(*(ask() for _ in range(50)))) == {b"HTTP/1.0 200 OK"}


def test_what_is_shown_holds_no_names(solo):
    """I8."""
    shown = subprocess.run(
        ["curl", "--silent", "--include", f"http://{solo.host}:{solo.health_port}/health"],
        capture_output=True, text=True, check=False,
    ).stdout if os.path.exists("/usr/bin/curl") else answer(solo, b"GET /health HTTP/1.1\r\n\r\n")[0].decode()
    assert "ready" in shown
    assert not any(word in shown for word in ("example.org", "127.0.0.1", str(solo.data), "hyper", "Server"))
