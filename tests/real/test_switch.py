"""Clustering is switched off and on again for all nodes, while people talk."""

import asyncio
import time

import pytest
from client import Client
from cluster import START_SECONDS_MAX, until
from database import PostgreSQL, Way, programs

# Five seconds are promised and two are usual. On a machine with other work to do it is not the switch that takes longer.
FOLLOWED_WITHIN = 15


def switch(cluster, word, **options):
    """`cresset cluster enable` or `disable`, at the database."""
    run = cluster.cli("cluster", word, "--config", next(iter(cluster.nodes.values())).config, **options)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


async def alone(nodes):
    """All of these serve by themselves."""
    begin = time.monotonic()

    async def are():
        statuses = await asyncio.gather(*(node.status_later() for node in nodes))
        return all(status["alone"] and status["serving"] for status in statuses)

    await until("each serves its own clients", are, FOLLOWED_WITHIN)
    return time.monotonic() - begin


async def together(nodes):
    """All of these serve as one cluster."""
    begin, names = time.monotonic(), {node.name for node in nodes}

    async def are():
        statuses = await asyncio.gather(*(node.status_later() for node in nodes))
        return all(
            status["serving"]
            and not status["alone"]
            and names == {member["name"] for member in status["members"] if member["state"] == "active"}
            for status in statuses
        )

    await until("all are one cluster", are, FOLLOWED_WITHIN)
    return time.monotonic() - begin


async def test_nobody_is_thrown_off_when_clustering_goes_off_and_on_again(trio):
    one, two, three = trio.nodes.values()
    romeo = await Client("romeo", acknowledge=True).log_in(one)
    nurse = await Client("nurse").log_in(one)
    juliet = await Client("juliet", acknowledge=True).log_in(two)
    everybody = [romeo, nurse, juliet]

    assert switch(trio, "disable") == "clustering is off, was on; all nodes follow within 5 s\n"
    took = await alone([one, two, three])
    print(f"alone after {took:.2f} s")

    # Those on one node talk; what is said to somebody on another one is stored.
    romeo.say(nurse.boundjid, "who is she")
    await nurse.hears("who is she")
    romeo.say(juliet.boundjid.bare, "across the wall")
    await romeo.acknowledged()
    # The same resource on two nodes: nobody knows of the other.
    twin = await Client("nurse", resource=nurse.boundjid.resource).log_in(three)
    assert not any(client.ended.is_set() for client in [*everybody, twin]), [(client.boundjid, client.stream_errors) for client in [*everybody, twin] if client.ended.is_set()]
    assert juliet.bodies == []
    assert switch(trio, "disable") == "clustering is off already\n"

    assert switch(trio, "enable") == "clustering is on, was off; all nodes follow within 5 s\n"
    took = await together([one, two, three])
    print(f"together after {took:.2f} s")

    await juliet.hears("across the wall")
    await until("one of the two has the resource", lambda: nurse.ended.is_set() or twin.ended.is_set(), 5)
    loser, winner = (nurse, twin) if nurse.ended.is_set() else (twin, nurse)
    assert loser.stream_errors == ["conflict"] and not winner.ended.is_set()
    for number in range(20):
        romeo.say(juliet.boundjid, f"to juliet {number}")
        juliet.say(romeo.boundjid, f"to romeo {number}")
        romeo.say(winner.boundjid, f"to nurse {number}")
    await juliet.hears("to juliet 19")
    await romeo.hears("to romeo 19")
    await winner.hears("to nurse 19")
    assert juliet.bodies == ["across the wall", *(f"to juliet {number}" for number in range(20))]
    assert not romeo.ended.is_set() and not juliet.ended.is_set()
    assert not romeo.errors and not juliet.errors


async def test_the_switch_is_remembered_with_who_threw_it_and_shown(trio):
    node = trio["b"]
    switch(trio, "disable", env={"USER": "ada"})
    await alone(trio.nodes.values())

    shown = trio.cli("cluster", "status", "--socket", node.socket)
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "clustering is off: every node serves its own clients alone" in shown.stdout
    history = trio.cli("property", "history", "--config", node.config).stdout
    assert "ada@" in history and "cluster.enabled  (default)  false" in history
    run = trio.cli("cluster", "drain", "a", "--socket", node.socket)
    assert run.returncode == 1 and run.stderr.startswith("cresset: refused: clustering is off"), run.stderr

    # One that starts now serves at once, by itself.
    node.terminate()
    await until("it has ended", lambda: not node.is_running, 10)
    node.start()
    await until("it answers", node.status, START_SECONDS_MAX)
    await alone([node])
    await (await Client("romeo").log_in(node)).log_out()

    # By its name in the original, at the one place where all properties are.
    assert trio.cli("property", "set", "--config", node.config, "clustering.enabled", "true").returncode == 0
    await together(trio.nodes.values())


async def test_nodes_that_are_configured_to_be_alone_found_nothing_until_they_are_told(new_cluster):
    cluster = new_cluster()
    for node in cluster.nodes.values():
        node.config.write_text(node.config.read_text().replace("<cluster>", '<cluster enabled="false">'))
    cluster.import_users(["romeo", "juliet"])
    one, two, three = cluster.nodes.values()
    for node in (one, two, three):
        node.start()
    await until("they answer", lambda: all(node.status() for node in (one, two, three)), 10)
    await alone([one, two, three])
    romeo, juliet = await Client("romeo").log_in(one), await Client("juliet").log_in(two)
    assert [node.status()["members"] for node in (one, two, three)] == [[], [], []]

    switch(cluster, "enable")
    await together([one, two, three])

    romeo.say(juliet.boundjid, "good morrow")
    await juliet.hears("good morrow")
    assert not romeo.ended.is_set() and not juliet.ended.is_set()


async def test_nobody_loses_a_message_while_the_switch_goes_to_and_fro(trio):
    one, two, _ = trio.nodes.values()
    romeo = await Client("romeo", acknowledge=True).log_in(one)
    juliet = await Client("juliet", acknowledge=True).log_in(two)
    said, going = [], True

    async def talk():
        while going:
            said.append(f"line {len(said)}")
            romeo.say(juliet.boundjid.bare, said[-1])
            await asyncio.sleep(0.005)

    talking = asyncio.create_task(talk())
    for _ in range(2):
        await asyncio.to_thread(switch, trio, "disable")
        await alone(trio.nodes.values())
        await asyncio.to_thread(switch, trio, "enable")
        await together(trio.nodes.values())
    going = False
    await talking
    await romeo.acknowledged()

    await until("all is heard", lambda: set(said) <= set(juliet.bodies), 10)
    twice = len(juliet.bodies) - len(set(juliet.bodies))
    print(f"{len(said)} lines, {twice} of them twice")
    assert not romeo.errors and not romeo.ended.is_set() and not juliet.ended.is_set()
    # What was under way when a node left may come once more.
    assert twice <= 8, juliet.bodies


async def test_a_node_that_does_not_find_its_cluster_serves_alone_only_if_that_is_set(trio):
    one, two, three = trio.nodes.values()
    config = ("--config", one.config)
    for name, value in (("cluster.start.retries", "0"), ("cluster.start.retry-after", "1")):
        assert trio.cli("property", "set", *config, name, value).returncode == 0
    for node in (one, two, three):
        node.kill()

    one.start()
    await until("it says so", lambda: "has not found its cluster and serves nobody" in one.log_text(), 10)
    status = one.status()
    assert (status["clustering"], status["alone"], status["serving"]) == (True, False, False)
    one.kill()

    assert trio.cli("property", "set", *config, "cluster.start.alone", "true").returncode == 0
    one.start()
    await alone([one])
    assert "THIS NODE SERVES ALONE" in one.log_text()
    shown = trio.cli("cluster", "status", "--socket", one.socket)
    assert shown.returncode == 0 and shown.stdout.splitlines()[-1].startswith("THIS NODE SERVES ALONE"), shown.stdout
    romeo = await Client("romeo", acknowledge=True).log_in(one)
    romeo.say("juliet@example.org", "is anybody there")
    await romeo.acknowledged()

    two.start()
    three.start()
    await trio.formed()
    await together([one, two, three])
    juliet = await Client("juliet").log_in(two)
    await juliet.hears("is anybody there")
    juliet.say(romeo.boundjid, "we all are")
    await romeo.hears("we all are")
    assert not romeo.ended.is_set()


@pytest.mark.skipif(programs() is None, reason="needs PostgreSQL; on Debian: apt-get install postgresql")
async def test_a_node_that_does_not_see_the_switch_stays_as_it_is_and_nobody_counts_on_the_others(new_cluster, tmp_path):
    server = PostgreSQL()
    try:
        way = Way(server, server.directory / "way")
        cluster = new_cluster(database=lambda name: server.element(directory=way.directory if name == "c" else None))
        cluster.import_users(["romeo", "juliet"])
        await cluster.start()
        one, two, blind = cluster.nodes.values()
        romeo = await Client("romeo", resource="balcony").log_in(one)
        juliet = await Client("juliet").log_in(blind)

        way.close()
        await asyncio.to_thread(switch, cluster, "disable")
        await alone([one, two])

        status = blind.status()
        assert (status["clustering"], status["alone"], status["serving"]) == (True, False, True)
        await until(
            "the blind one counts on nobody",
            lambda: [member["name"] for member in blind.status()["members"] if member["state"] == "active"] == ["c"],
            FOLLOWED_WITHIN,
        )
        await juliet.ping()
        assert not romeo.ended.is_set() and not juliet.ended.is_set()

        way.open()
        await alone([blind])
        await juliet.ping()
        assert not romeo.ended.is_set() and not juliet.ended.is_set()
    finally:
        server.remove()
