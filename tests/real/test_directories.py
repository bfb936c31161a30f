"""Data directories that are not what their node believes: copied, restored, emptied, another cluster's (H4, H5, H11)."""

import asyncio
import shutil

from client import Client
from cluster import copy_data, until


def ends(node, seconds=20):
    """Waits until a node has ended by itself, and gives what it said last."""
    code = node.process.wait(timeout=seconds)
    lines = [line for line in node.log_text().splitlines() if line.startswith("cresset: ")]
    assert code in (1, 2), (code, node.log_text())
    return lines[-1]


def ids(node):
    return {member["name"]: member["id"] for member in node.status()["members"] if member["state"] != "gone"}


async def marks(node):
    """Until the node has marked its directory once more, which says then that there is a log."""
    before = (node.data / "stamp").read_bytes()
    while (node.data / "stamp").read_bytes() == before:
        await asyncio.sleep(0.05)


async def serves(cluster, name):
    await cluster.formed()
    assert cluster[name].status()["serving"]


async def test_an_older_backup_is_forgotten_and_its_node_joins_as_a_new_member(trio):
    """H11. With what it had promised since it must not be counted; with nothing it can begin anew."""
    victim = trio.followers()[0]
    before = ids(victim)[victim.name]
    victim.kill()
    backup = trio.directory / "backup"
    copy_data(victim.data, backup)
    victim.start()
    await trio.formed()
    # It has marked its directory since.
    await Client("romeo").log_in(victim)
    assert ids(victim)[victim.name] == before
    victim.kill()
    shutil.rmtree(victim.data)
    copy_data(backup, victim.data)

    victim.start()

    await serves(trio, victim.name)
    assert "an older copy of this member's" in victim.log_text()
    assert ids(victim)[victim.name] > before
    leader = trio.leader()
    await until("the votes are counted right", lambda: leader.status()["can_lose"] == 1, 10)
    assert set(ids(leader)) == {"a", "b", "c"}
    romeo = await Client("romeo", acknowledge=True).log_in(victim)
    juliet = await Client("juliet").log_in(leader)
    romeo.say(juliet.boundjid, "back again")
    await juliet.hears("back again")


async def test_a_copy_of_a_directory_is_refused_while_its_member_runs_and_the_member_notices_nothing(trio):
    """H5: on the same machine, under another name, and as a clone of the whole machine with a network of its own."""
    member = trio.followers()[0]
    romeo = await Client("romeo", acknowledge=True).log_in(member)
    status = member.status()

    again = trio.cli("node", "--config", member.config)
    assert again.returncode == 2 and "another process uses it" in again.stderr, again.stderr

    spare = trio.followers()[1]
    spare.kill()
    copy_data(spare.data, trio.directory / "kept")
    shutil.rmtree(spare.data)
    copy_data(member.data, spare.data)
    spare.start()
    said = await asyncio.to_thread(ends, spare)
    assert f"belongs to the node '{member.name}' and this node is called '{spare.name}'" in said

    # A mark is in the directory before it is in the database: the second one says that the first is in both.
    for _ in range(2):
        mark = (member.data / "stamp").read_bytes()
        await until("the original marks its directory", lambda: (member.data / "stamp").read_bytes() != mark, 20)
    # The clone is told apart from a backup by the marks that the original goes on making.
    config = member.config.read_text()
    member.config.write_text(config.replace(f'data="{member.data}"', f'data="{spare.data}"').replace(
        f":{member.client_port}\"", f":{spare.client_port}\"").replace(
        f'listen address="127.0.0.1:{member.peer_port}"', f'listen address="127.0.0.1:{spare.peer_port}"').replace(
        f":{member.health_port}\"", f":{spare.health_port}\""))
    clone = trio.cli("node", "--config", member.config)
    member.config.write_text(config)
    assert clone.returncode == 1, clone.stderr
    assert "another process runs with a copy of this data directory" in clone.stderr.strip().splitlines()[-1]

    shutil.rmtree(spare.data)
    copy_data(trio.directory / "kept", spare.data)
    spare.start()
    await trio.formed()
    assert (member.status()["term"], ids(member)) == (status["term"], ids(spare))
    juliet = await Client("juliet").log_in(trio.leader())
    romeo.say(juliet.boundjid, "nothing happened")
    await juliet.hears("nothing happened")
    assert not romeo.ended.is_set()


async def test_the_directory_of_another_cluster_and_one_without_its_log_are_refused_and_told_what_to_do(trio, new_cluster):
    """H5 and H4."""
    other = new_cluster(names=("a",))
    await other.start()
    other["a"].kill()
    victim = trio["a"]
    await asyncio.wait_for(marks(victim), 10)
    victim.kill()
    copy_data(victim.data, trio.directory / "kept")
    shutil.rmtree(victim.data)
    copy_data(other["a"].data, victim.data)
    victim.start()
    said = await asyncio.to_thread(ends, victim)
    assert "this node has the wrong directory or the wrong account store" in said

    for files, reason in ((["log-*"], "its segments are gone"), (["log*", "snapshot*"], "its log is gone")):
        shutil.rmtree(victim.data)
        copy_data(trio.directory / "kept", victim.data, files)
        victim.start()
        said = await asyncio.to_thread(ends, victim)
        assert reason in said and "and the node joins as a new member" in said
        # A start marks the directory, so that what was kept is an older copy but for this.
        shutil.copy(victim.data / "stamp", trio.directory / "kept" / "stamp")

    # What it was told to do is what helps.
    for pattern in ("log*", "snapshot*", "stamp", "member"):
        for file in victim.data.glob(pattern):
            file.unlink()
    victim.start()
    await serves(trio, "a")
