"""Two programs in one cluster: the nodes are upgraded one after the other and back while people talk (P9).

`tests/upgrade` builds the older program from the history of git and runs this."""

import asyncio
import os
import random
import re

import pytest
from client import Client
from cluster import DOMAIN, Deadline, until

OLDER = os.environ.get("CRESSET_OLDER_PROGRAM")
PEOPLE = ["romeo", "juliet", "nurse", "mercutio", "benvolio", "tybalt"]

pytestmark = pytest.mark.skipif(
    not OLDER, reason="needs an older program: run tests/upgrade, or say in CRESSET_OLDER_PROGRAM where it is"
)


class Person:
    """Somebody who is always logged in somewhere, talks to all others, and says again what was not acknowledged."""

    def __init__(self, name, cluster, node):
        self.name = name
        self.cluster = cluster
        self.node = node
        self.client = None
        self.said = {}  # what was said, and to whom
        self.open = {}  # that of it which no server has acknowledged
        self.heard = []
        self.errors = []
        self.left = 0  # how often it had to go elsewhere
        self.is_talking = False
        self.task = None

    async def log_in(self):
        """Logs in at its node, or at the first other one that lets it in."""
        nodes = [self.node, *(node for node in self.cluster.nodes.values() if node is not self.node)]

        async def attempt():
            for node in (node for node in nodes if node.is_running):
                client = Client(self.name, acknowledge=True)
                # From the first stanza on, which may be one that was stored.
                client.add_event_handler("message", lambda message: self._hear(message))
                client.add_event_handler("stanza_acked", lambda stanza: self.open.pop(stanza["id"], None))
                try:
                    self.client, self.node = await client.log_in(node, seconds=10), node
                    return True
                except (Deadline, AssertionError):
                    # Or it goes on trying, and is there when the node is.
                    client.cancel_connection_attempt()
                    client.abort()
            return False

        await until(f"{self.name} logs in somewhere", attempt, 20)

    def _hear(self, message):
        if message["type"] == "error":
            self.errors.append(message)
        else:
            self.heard.append(message["id"])

    def say(self, identity, to):
        self.client.say(f"{to}@{DOMAIN}", identity, identity)

    async def live(self):
        """Talks for ever, wherever it has to go for that."""
        while True:
            if self.client.ended.is_set():
                self.is_talking = False
                self.left += 1
                await self.log_in()
                for identity, to in list(self.open.items()):
                    self.say(identity, to)
            self.is_talking = True
            to = random.choice([name for name in PEOPLE if name != self.name])
            identity = f"{self.name}-{len(self.said)}"
            self.said[identity] = self.open[identity] = to
            self.say(identity, to)
            await asyncio.sleep(0.02)

    async def falls_silent(self):
        """Says nothing more; all that it said is acknowledged."""
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        if self.client.ended.is_set():
            await self.log_in()
            for identity, to in list(self.open.items()):
                self.say(identity, to)
        await self.client.acknowledged()
        await until(f"all of {self.name} is acknowledged", lambda: not self.open, 10)


async def change(node, program, people):
    """Stops a node, starts it with another program, and waits until all serve. Who is elsewhere stays there."""
    elsewhere = {person: person.left for person in people if person.node is not node}
    node.terminate()
    await until(f"{node.name} ends", lambda: not node.is_running, 10)
    assert node.process.returncode == 0, node.log_text()[-3000:]
    node.program = program
    node.start()
    await node.cluster.formed()
    await until("all talk again", lambda: all(person.is_talking or person.task.done() for person in people), 20)
    for person in people:
        assert not person.task.done(), person.task.exception()
    assert {person: person.left for person in elsewhere} == elsewhere, "nobody else had to go"
    # Back to it, so that there are clients on every node that stops.
    for person in people:
        if person not in elsewhere:
            before, person.node = person.left, node
            await person.client.disconnect(wait=1)
            await until(f"{person.name} is back", lambda: person.left > before and person.is_talking, 20)


def version(cluster):
    """The version that all nodes say they keep to."""
    [version] = {node.status()["version"] for node in cluster.nodes.values()}
    return version


def spoken(node):
    """The versions on which the links of this life of a node have agreed."""
    life = node.log_text()[node.log_begun :]
    return {int(found) for found in re.findall(r"link up .*version=(\d+)", life)}


async def test_a_cluster_is_upgraded_node_by_node_and_back_and_nobody_loses_anything(new_cluster):
    cluster = new_cluster()
    newer, cluster.program = cluster.program, OLDER
    for node in cluster.nodes.values():
        node.program = OLDER
        node.environment["CRESSET_LOG"] = "info,cresset_net::links=debug"
    cluster.import_users(PEOPLE)
    await cluster.start()
    before = version(cluster)
    nodes = list(cluster.nodes.values())
    people = [Person(name, cluster, nodes[at % 3]) for at, name in enumerate(PEOPLE)]
    for person in people:
        await person.log_in()
        person.task = asyncio.create_task(person.live())

    async def step(node, to):
        node.log_begun = len(node.log_text())
        await change(node, to, people)
        print(f"{node.name} runs {'the newer' if to == newer else 'the older'} program, all keep to version {version(cluster)}")

    a, b, c = nodes
    await step(a, newer)
    assert spoken(a) == {before}, "nobody else speaks the newer one"
    await step(b, newer)
    assert before in spoken(b) and max(spoken(b)) > before, "two speak the newer one with each other"
    assert version(cluster) == before
    await step(b, OLDER)
    await step(a, OLDER)
    assert spoken(a) == {before} and version(cluster) == before

    for node in (c, a, b):
        assert version(cluster) == before
        await step(node, newer)
    await until("the last one raises the version", lambda: version(cluster) > before, 10)
    after = version(cluster)
    print(f"version {before} became {after}")

    for person in people:
        await person.falls_silent()
    said = {identity: to for person in people for identity, to in person.said.items()}
    heard = {person.name: person.heard for person in people}

    def missing():
        return [identity for identity, to in said.items() if identity not in heard[to]]

    await until(f"all {len(said)} lines are heard", lambda: not missing(), 10)
    twice = sum(len(lines) - len(set(lines)) for lines in heard.values())
    moves = sum(person.left for person in people)
    print(f"{len(said)} lines, {twice} of them twice; {moves} times somebody had to go elsewhere")
    assert not any(person.errors for person in people)

    # After the last one there is no way back, and whoever tries learns why and loses nothing.
    a.terminate()
    await until("a ends", lambda: not a.is_running, 10)
    kept = {path.name: path.read_bytes() for path in a.data.iterdir() if path.name.startswith(("log", "snapshot"))}
    a.program, a.log_begun = OLDER, len(a.log_text())
    a.start()
    told = re.compile(rf"version {after}\b.*versions? \d+ to {before}\b|theirs are {after}-{after}")
    await until("it says both versions", lambda: told.search(a.log_text()[a.log_begun :]), 20)
    if a.is_running:
        a.kill()
    assert all((a.data / name).read_bytes().startswith(content) for name, content in kept.items()), "nothing is lost"
    a.program = newer
    a.start()
    await cluster.formed()
    assert version(cluster) == after
