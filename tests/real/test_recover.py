"""A cluster whose quorum is lost for good is given up, and another one founded with the same accounts."""

import asyncio
import shutil

from client import Client
from cluster import copy_data, until


def recover(cluster, node, *words):
    """`cresset cluster recover` from the directory of a node."""
    return cluster.cli("cluster", "recover", "--force-new-cluster", "--config", node.config, *words)


def refused(run, code=1):
    """The one sentence with which it was refused."""
    assert run.returncode == code and not run.stdout, (run.returncode, run.stdout, run.stderr)
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    return run.stderr


async def ended(node, sentence):
    await until(f"{node.name} ends", lambda: not node.is_running, 10)
    assert node.process.returncode == 1 and sentence in node.log_text(), node.log_text()[-2000:]


async def test_the_last_of_three_founds_another_cluster_and_keeps_the_accounts(trio):
    left, gone, other = trio.nodes.values()
    romeo = await Client("romeo", acknowledge=True).log_in(left)
    romeo.say("juliet@example.org", "before it broke")
    await romeo.acknowledged()
    old = left.status()["cluster_id"]

    assert "the node 'a' runs: stop it first" in refused(recover(trio, left, "--yes"))
    left.kill()
    alive = refused(recover(trio, left, "--yes"))
    assert any(f"a quorum is alive ({both}): start this node" in alive for both in ("b, c", "c, b")), alive
    gone.kill()
    assert "this node with c is a quorum: start it" in refused(recover(trio, left, "--yes"))
    other.kill()
    assert "say --yes" in refused(recover(trio, left), code=2)
    backup = trio.directory / "backup"
    copy_data(gone.data, backup)
    shutil.rmtree(gone.data)
    shutil.rmtree(other.data)
    assert "there is no data directory" in refused(recover(trio, gone, "--yes"))

    done = recover(trio, left, "--yes")

    assert done.returncode == 0 and "the node 'a' founds the cluster " in done.stdout, done.stdout + done.stderr
    assert "no cluster was founded" in refused(recover(trio, left, "--yes"))
    left.start()
    await trio.formed(["a"])
    assert left.status()["cluster_id"] in done.stdout and left.status()["cluster_id"] != old
    juliet = await Client("juliet").log_in(left)
    await juliet.hears("before it broke")

    # One that comes back as it was is refused, and says what to do.
    copy_data(backup, gone.data)
    gone.start()
    await ended(gone, f"the data directory belongs to the cluster {old}")
    assert "was given up by 'cresset cluster recover': remove the files" in gone.log_text()
    shutil.rmtree(gone.data)
    gone.start()
    other.start()
    await trio.formed()
    assert left.status()["can_lose"] == 1
    nurse = await Client("nurse").log_in(gone)
    juliet.say(nurse.boundjid, "all is well")
    await nurse.hears("all is well")
    assert not juliet.ended.is_set()


async def test_a_member_of_the_given_up_cluster_that_runs_stops(new_cluster):
    cluster = new_cluster(names=("a", "b", "c", "d", "e"))
    cluster.import_users(["romeo"])
    await cluster.start()
    for name in ("a", "b", "c"):
        cluster[name].kill()
    left, running = cluster["d"], cluster["e"]
    await until("nobody is served", lambda: not running.status()["serving"], 10)
    left.terminate()
    await until("it has ended", lambda: not left.is_running, 10)

    done = await asyncio.to_thread(recover, cluster, left, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    left.start()
    await ended(running, "this cluster was given up by 'cresset cluster recover'")
    await cluster.formed(["d"])
    await (await Client("romeo").log_in(left)).log_out()


async def test_what_cannot_be_recovered_is_said_in_a_sentence_and_changes_nothing(new_cluster):
    cluster = new_cluster(names=("a",))
    node = cluster["a"]
    assert cluster.cli("cluster", "recover", "--config", node.config).returncode == 2
    assert "there is no data directory" in refused(recover(cluster, node, "--yes"))
    node.data.mkdir(0o700)
    assert "there is no account store" in refused(recover(cluster, node, "--yes"))
    cluster.import_users(["romeo"])
    assert "no cluster was founded" in refused(recover(cluster, node, "--yes"))
    await cluster.start()
    before = node.status()["cluster_id"]
    node.kill()
    # One member is a quorum of one.
    assert "this node is a quorum: start it" in refused(recover(cluster, node, "--yes"))
    await cluster.start()
    assert node.status()["cluster_id"] == before


async def test_members_with_empty_directories_do_not_count_as_alive(trio):
    """T11. They answer, by the same names and at the same addresses, and are other members."""
    left, *wiped = trio.nodes.values()
    old = left.status()["cluster_id"]
    for node in trio.nodes.values():
        node.kill()
    for node in wiped:
        shutil.rmtree(node.data)
    for node in trio.nodes.values():
        node.start()

    def is_told():
        advice = left.status()["advice"]
        return any(f"they voted: {both};" in advice for both in ("b, c", "c, b"))

    await until("the one that is left says who answers", is_told, 15)
    advice = left.status()["advice"]
    command = f"cresset cluster recover --force-new-cluster --config {left.config}"
    assert "1 of 3 voters are there" in advice and "answer as new members and do not count" in advice, advice
    assert command in advice, advice
    await until("so do those who answer", lambda: "has nothing of it" in wiped[0].status()["advice"], 15)
    assert not wiped[0].status()["serving"]

    left.terminate()
    await until("it stops", lambda: not left.is_running, 10)
    done = await asyncio.to_thread(recover, trio, left, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    for node in wiped:
        await ended(node, "this cluster was given up by 'cresset cluster recover'")
        shutil.rmtree(node.data)
    await trio.start()
    assert left.status()["cluster_id"] != old


async def test_a_single_server_that_lost_its_directory_is_told_what_helps(new_cluster):
    """T11."""
    cluster = new_cluster(names=("a",))
    cluster.import_users(["romeo", "juliet"])
    await cluster.start()
    node = cluster["a"]
    romeo = await Client("romeo", acknowledge=True).log_in(node)
    romeo.say("juliet@example.org", "before it broke")
    await romeo.acknowledged()
    node.kill()
    shutil.rmtree(node.data)
    assert "start the node once, stop it, and say this again" in refused(recover(cluster, node, "--yes"))

    node.start()

    await until("it answers", node.status, 10)
    command = f"cresset cluster recover --force-new-cluster --config {node.config}"
    advice = node.status()["advice"]
    assert "the data directory of this node has nothing of it" in advice and command in advice, advice
    assert "0 of 0" not in advice, advice
    node.terminate()
    await until("it stops", lambda: not node.is_running, 10)
    done = await asyncio.to_thread(recover, cluster, node, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    await cluster.start()
    juliet = await Client("juliet").log_in(node)
    await juliet.hears("before it broke")


async def test_a_directory_that_knows_nobody_gives_up_nothing_while_another_node_runs(trio):
    """T11. What was emptied cannot know whether the others are a quorum."""
    wiped = trio["c"]
    others = (trio["a"], trio["b"])
    for node in trio.nodes.values():
        node.kill()
    shutil.rmtree(wiped.data)
    wiped.start()
    await until("it answers", wiped.status, 10)
    wiped.terminate()
    await until("it stops", lambda: not wiped.is_running, 10)
    for node in others:
        node.start()
    await trio.formed(["a", "b"])

    said = refused(await asyncio.to_thread(recover, trio, wiped, "--yes"))

    assert "does not know who the members are, and other nodes run" in said, said
    wiped.start()
    await trio.formed()
