"""Groups G and H with real ports and real files: strangers on the cluster's port, and directories that were tampered
with. The rest of both groups is held by tests in `net`, byte by byte."""

import contextlib
import os
import shutil
import socket
import subprocess

import pytest
from client import Client
from cluster import copy_data, until

STRANGERS = [
    ("G7 length 0", bytes(4)),
    ("G7 length 1", bytes([0, 0, 0, 1])),
    ("G7 length 2^31", bytes([0x80, 0, 0, 0]) + bytes(64)),
    ("G7 length 2^32-1", b"\xff" * 4 + bytes(64)),
    ("G7 length 2^63", b"\x7f" + b"\xff" * 7 + bytes(64)),
    ("G1 no handshake at all", os.urandom(4096)),
    ("G21 TLS", bytes.fromhex("16030100c8010000c40303") + bytes(190)),
    ("G21 HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
]


@pytest.mark.parametrize(("what", "sent"), STRANGERS, ids=[case[0] for case in STRANGERS])
def test_a_stranger_on_the_port_of_the_cluster_is_sent_away(solo, witness, what, sent):
    before = solo.memory_bytes()
    with socket.create_connection(("127.0.0.1", solo.peer_port), timeout=15) as stranger:
        try:
            stranger.sendall(sent)
            stranger.shutdown(socket.SHUT_WR)
            while stranger.recv(65536):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # the connection was reset before everything was said

    assert solo.memory_bytes() - before < 2 << 20, what
    witness.ping(1)


async def test_strangers_do_not_disturb_the_talk_between_members(trio):
    romeo = await Client("romeo").log_in(trio["a"])
    juliet = await Client("juliet").log_in(trio["b"])
    held = []
    for node in trio.nodes.values():
        for _ in range(100):
            stranger = socket.create_connection(("127.0.0.1", node.peer_port), timeout=5)
            stranger.sendall(os.urandom(100))
            held.append(stranger)

    for number in range(100):
        romeo.say(juliet.boundjid, str(number))
    await until("all of them are there", lambda: len(juliet.received) == 100, 10)
    for stranger in held:
        stranger.close()


async def test_a_node_with_another_secret_is_refused_and_both_say_so(trio):
    stopped = trio.followers()[0]
    stopped.terminate()
    stopped.process.wait(10)
    secret = trio.directory / "secret"
    secret.write_text("a secret that the others do not have")
    secret.chmod(0o600)
    stopped.write_config(cluster_settings=f'<secret file="{secret}"/>')
    stopped.start()

    others = [node for node in trio.nodes.values() if node is not stopped]
    words = ("secret", "handshake", "seal", "belong")
    await until("its log says so", lambda: any(word in stopped.log_text().lower() for word in words), 10)
    await until("theirs do", lambda: any(w in n.log_text().lower() for n in others for w in words), 10)
    assert all(node.is_running for node in trio.nodes.values())
    assert not (await until("it answers", stopped.status_later, 10))["serving"]


# ---- files --------------------------------------------------------------------------------------------------------------


def segments(node):
    return sorted(node.data.rglob("log-*"))


def start_fails(cluster, node):
    """Starts a node that must not, and returns what it says."""
    run = subprocess.run(
        [cluster.program, "node", "--config", node.config], capture_output=True, text=True, timeout=30, check=False
    )
    assert run.returncode in (1, 2), run
    return run.stdout + run.stderr


async def busy(cluster):
    """Some entries in the log of every node."""
    for number in range(12):
        client = await Client("romeo", f"r{number}").log_in(cluster["a"])
        await client.log_out()


async def test_h1_a_damaged_log_is_not_voted_with_and_the_place_is_named(trio):
    await busy(trio)
    victim = trio.followers()[0]
    victim.kill()
    file = max(segments(victim), key=lambda path: path.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 0x10
    file.write_bytes(content)

    said = start_fails(trio, victim)
    assert "damaged" in said and file.name in said and "offset" in said, said


async def test_h2_a_torn_tail_is_cut_off_and_the_node_goes_on(trio):
    await busy(trio)
    victim = trio.followers()[0]
    victim.kill()
    file = segments(victim)[-1]
    with file.open("ab") as log:
        log.write(bytes(512))  # a sector that was allotted and never written

    victim.start()
    await trio.formed()


async def test_h4_a_log_without_its_vote_does_not_start(trio):
    await busy(trio)
    victim = trio.followers()[0]
    victim.kill()
    for file in segments(victim):
        file.unlink()

    said = start_fails(trio, victim)
    assert "incomplete" in said or "vote" in said or "missing" in said, said


async def test_h5_a_copied_directory_is_refused(trio):
    original, copy = trio.followers()
    original.terminate()
    copy.terminate()
    original.process.wait(10)
    copy.process.wait(10)
    shutil.rmtree(copy.data)
    copy_data(original.data, copy.data)

    said = start_fails(trio, copy)
    assert f"belongs to the node '{original.name}'" in said, said


async def test_a_node_that_lost_its_disk_joins_as_another_member(trio):
    victim = trio.followers()[0]
    victim.kill()
    shutil.rmtree(victim.data)

    victim.start()
    await trio.formed()
    status = await victim.status_later()
    assert sum(member["voter"] for member in status["members"]) == 3


async def test_two_processes_do_not_share_a_directory(trio):
    node = trio["a"]
    said = start_fails(trio, node)
    assert "use" in said, said
    assert node.is_running


async def test_h6_a_full_disk_stops_one_node_and_is_survived(new_cluster):
    """A small file system fills up under the node: it steps down, the others go on, and it recovers by itself."""
    cluster = new_cluster()
    victim = cluster["b"]
    victim.data.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m,mode=0700", "tmpfs", victim.data], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip("a small file system cannot be mounted here: " + mounted.stderr.decode().strip())
    try:
        cluster.import_users(["romeo", "juliet"])
        await cluster.start()
        filler = victim.data / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as fill:
            while fill.write(bytes(4096)):
                pass
        romeo = await Client("romeo").log_in(cluster["a"], 20)
        await romeo.ping()
        assert victim.is_running
        filler.unlink()
        await cluster.formed()
    finally:
        cluster.stop()
        subprocess.run(["umount", victim.data], check=False)
