"""Who gets a place at a node: a flood of strangers, a process without file descriptors, clients that are gone without a
word, and clients that come while nobody is served. O: what a trial from outside has found, T: what a tracker told."""

import asyncio
import contextlib
import os
import re
import resource
import socket
import threading
import time

import pytest
from client import Client
from cluster import until
from raw import HEADER, SM, Raw, conditions, logged_in, logged_in_with_tls

READY = (200, "ready")


def limited(node, words):
    """The node runs under this limit of open files."""
    node.runs_in = ["sh", "-c", f'ulimit {words}; exec "$0" "$@"']


def connect(port, source=None, say=b""):
    """A connection that says no more than that, or nothing if it is refused."""
    with contextlib.suppress(OSError):
        stranger = socket.create_connection(
            ("127.0.0.1", port), timeout=2, source_address=(source, 0) if source else None
        )
        with contextlib.suppress(OSError):
            stranger.sendall(say)
        return stranger
    return None


def is_open(stranger):
    stranger.settimeout(0)
    try:
        return bool(stranger.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


@contextlib.contextmanager
def flood(*ports, say=b""):
    """Connects as fast as it can, again and again, and says nothing worth an answer."""
    stop, held = threading.Event(), []

    def run():
        while not stop.is_set():
            held.extend(filter(None, (connect(port, say=say) for port in ports)))
            while len(held) > 600:
                held.pop(0).close()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
        for stranger in held:
            stranger.close()


async def test_o1_a_flood_of_idle_connections_ends_no_node_and_no_session(new_cluster):
    cluster = new_cluster(names=("a",), tls="disabled")
    node = cluster["a"]
    limited(node, "-n 256")
    cluster.import_users(["romeo", "juliet"])
    await cluster.start()
    descriptors = len(os.listdir(f"/proc/{node.process.pid}/fd"))
    assert descriptors < 256 - 64 - 150, descriptors
    connections = node.status()["connections"]
    assert (connections["descriptors"], connections["max"], connections["configured"]) == (256, 64, 50_000)
    assert "64 at most, with 256 file descriptors" in cluster.cli("cluster", "status", "--socket", node.socket).stdout
    assert re.search("descriptors.*256.*connections_max.*64", node.log_text()), node.log_text()

    with logged_in(node, "romeo") as romeo:
        held = []
        for number in range(1100):
            held.append(connect(node.client_port, f"127.0.{number % 50}.{1 + number // 50}"))
            if number % 3 == 0:
                held.append(connect(node.peer_port))
                held.append(connect(node.health_port))
        end = time.monotonic() + 6
        while time.monotonic() < end:
            romeo.ping(2)
            assert node.is_running, node.log_text()[-2000:]
            await asyncio.sleep(0.5)
        assert node.health() == READY
        status = node.status()
        assert status["serving"] and status["connections"]["now"] <= 64
        for stranger in filter(None, held):
            stranger.close()
        romeo.ping(2)
        await until("there are places again", lambda: node.status()["connections"]["now"] < 20, 10)
        with logged_in(node, "juliet") as juliet:
            juliet.ping(2)


async def test_o1_a_soft_limit_is_raised(new_cluster):
    cluster = new_cluster(names=("a",))
    limited(cluster["a"], "-Sn 256")
    await cluster.start()

    assert cluster["a"].status()["connections"]["descriptors"] == resource.getrlimit(resource.RLIMIT_NOFILE)[1]


async def test_o1_a_node_without_a_file_descriptor_waits_for_one(trio):
    a, b, c = trio.nodes.values()
    follower = next(node for node in (a, b, c) if node is not trio.leader())
    other = next(node for node in (a, b, c) if node is not trio.leader() and node is not follower)
    with logged_in_with_tls(follower, "romeo") as romeo:
        before = resource.prlimit(follower.process.pid, resource.RLIMIT_NOFILE)
        highest = max(int(number) for number in os.listdir(f"/proc/{follower.process.pid}/fd"))
        resource.prlimit(follower.process.pid, resource.RLIMIT_NOFILE, (highest + 1, before[1]))
        # What is free below the limit goes to these.
        held = [connect(follower.client_port, f"127.0.1.{1 + number}") for number in range(40)]
        other.kill()
        end = time.monotonic() + 5
        while time.monotonic() < end:
            romeo.ping(3)
            assert follower.is_running, follower.log_text()[-2000:]
            await asyncio.sleep(0.2)
        other.start()
        await asyncio.sleep(2)
        resource.prlimit(follower.process.pid, resource.RLIMIT_NOFILE, before)
        for stranger in filter(None, held):
            stranger.close()
        await trio.formed()
        romeo.ping(3)
    with logged_in_with_tls(follower, "juliet") as juliet:
        juliet.ping(3)


async def test_o6_strangers_at_the_links_port_do_not_keep_a_member_out(trio):
    leader, (follower, other) = trio.leader(), trio.followers()
    other.kill()
    with flood(leader.peer_port, follower.peer_port, say=b"CRES"):
        other.start()
        await trio.formed()
    assert "panicked" not in leader.log_text()


async def test_o16_silent_connections_keep_no_operator_waiting(new_cluster):
    cluster = new_cluster(names=("a",))
    await cluster.start()
    node, held = cluster["a"], []
    for number in range(200):
        stranger = socket.socket(socket.AF_UNIX)
        stranger.connect(str(node.socket))
        if number % 2:
            stranger.sendall(b"{")
        held.append(stranger)
    for _ in range(5):
        began = time.monotonic()
        assert (await node.status_later())["serving"]
        assert time.monotonic() - began < 2
    for stranger in held:
        stranger.close()


async def test_o16_honest_questions_are_answered_during_a_flood_at_the_health_port(new_cluster):
    cluster = new_cluster(names=("a",))
    await cluster.start()
    node = cluster["a"]
    for say in (b"", b"G"):
        with flood(node.health_port, say=say):
            answers = [node.health() for _ in range(73)]
        assert answers == [READY] * 73


@pytest.fixture
async def impatient(new_cluster):
    """A node that asks after two seconds of silence and waits for two more."""
    cluster = new_cluster(names=("a",), tls="optional")
    cluster.import_users(["romeo", "juliet"])
    for name in ("ask-after", "give-up-after"):
        run = cluster.cli("property", "set", f"client.silence.{name}", "2", "--config", cluster["a"].config)
        assert run.returncode == 0, run.stderr
    await cluster.start()
    return cluster["a"]


async def gone(node, raw, asked):
    """The client says nothing any more: it is asked, and then its connection ends."""
    began = time.monotonic()
    text = await asyncio.to_thread(raw.rest, 10)
    assert re.search(asked, text) and conditions(text) == ["connection-timeout"], text
    assert 3 < time.monotonic() - began < 7


async def test_t12_a_client_that_is_gone_without_a_word_is_noticed(impatient):
    juliet = logged_in(impatient, "juliet")
    await gone(impatient, juliet, "<ping xmlns=['\"]urn:xmpp:ping['\"]/>")
    await until("its session is over", lambda: impatient.status()["sessions"] == 0, 5)

    with logged_in(impatient, "romeo") as romeo:
        romeo.send("<message to='juliet@example.org' type='chat'><body>where are you</body></message>")
        romeo.ping()
    with logged_in(impatient, "juliet") as juliet:
        juliet.until("where are you")


async def test_t12_a_client_that_acknowledges_can_come_back(impatient):
    juliet = logged_in(impatient, "juliet")
    juliet.send(f"<enable xmlns='{SM}' resume='true'/>")
    identity = re.search("id=['\"]([^'\"]+)", juliet.until("<enabled[^>]*>")).group(1)
    with logged_in(impatient, "romeo") as romeo:
        romeo.send("<message to='juliet@example.org' type='chat'><body>in a tunnel</body></message>")
        romeo.ping()
    await gone(impatient, juliet, f"<r xmlns='{SM}'/>")

    with Raw(impatient).open().authenticate("juliet") as juliet:
        juliet.send(f"<resume xmlns='{SM}' previd='{identity}' h='0'/>")
        juliet.until("<resumed[^>]*>")
        juliet.until("in a tunnel")


async def test_t12_clients_that_are_there_stay(impatient):
    clients = [
        await Client("romeo", acknowledge=True).log_in(impatient),
        await Client("juliet").log_in(impatient),
    ]
    await asyncio.sleep(9)
    assert not any(client.ended.is_set() or client.stream_errors for client in clients)


async def test_t12_a_network_that_is_lost_without_a_word_ends_the_session(network, new_cluster):
    server, phone = network.machine("server"), network.machine("phone")
    cluster = new_cluster(names=("a",))
    node = cluster["a"]
    node.moves_to(server)
    node.write_config(tls="disabled")
    cluster.import_users(["romeo"])
    for name in ("ask-after", "give-up-after"):
        cluster.cli("property", "set", f"client.silence.{name}", "2", "--config", node.config)
    await cluster.start()
    node.machine = phone
    with logged_in(node, "romeo"):
        assert node.status()["sessions"] == 1
        phone.unplug()
        await until("its session is over", lambda: node.status()["sessions"] == 0, 10)


def sent_away(text):
    """The server's header and an error, and nothing else."""
    header = r"(<\?xml[^>]*\?>)?\s*<stream:stream [^>]*>"
    return re.fullmatch(f"{header}<stream:error>.*</stream:error></stream:stream>", text, re.S)


async def test_t17_a_drained_node_sends_a_client_on_in_answer_to_its_header(trio):
    a, b, c = trio.nodes.values()
    drained = trio.cli("cluster", "drain", "b", "--socket", a.socket)
    assert drained.returncode == 0, drained.stderr
    await until("b is not ready", lambda: b.health() != READY, 5)

    for _ in range(10):
        with Raw(b) as client:
            client.send(HEADER)
            text = client.rest()
        assert sent_away(text) and conditions(text) == ["see-other-host"], text
        assert any(f">127.0.0.1:{node.client_port}<" in text for node in (a, c)), text

    assert trio.cli("cluster", "undrain", "b", "--socket", a.socket).returncode == 0
    await until("b is ready", lambda: b.health() == READY, 10)
    with logged_in_with_tls(b, "romeo") as romeo:
        romeo.ping()


async def test_t21_a_node_that_starts_serves_a_client_or_says_so_at_once(trio):
    a, b, c = trio.nodes.values()
    for node in (c, b):
        node.terminate()
        node.process.wait(10)
        node.start()
        served, turned_away, end = 0, 0, time.monotonic() + 20
        while served < 3 and time.monotonic() < end:
            was_ready = node.health() == READY
            try:
                client = Raw(node)
            except ConnectionRefusedError:
                assert not was_ready
                await asyncio.sleep(0.005)
                continue
            with client:
                client.send(HEADER)
                heard = client.until("</stream:features>|</stream:stream>")
                if "<stream:features>" in heard:
                    client.start_tls(node).open()
                    served += 1
                else:
                    assert sent_away(heard) and not was_ready, heard
                    turned_away += 1
        assert served == 3, (served, turned_away)
        await trio.formed()
