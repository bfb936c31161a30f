"""What operators tell a running cluster to do, and what they are told when it cannot be done."""

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
import time

import pytest
from client import Client, come_back
from cluster import until
from conftest import PAIRS
from slixmpp.exceptions import IqTimeout


def command(cluster, node, *words):
    """`cresset cluster …` at a node."""
    return cluster.cli("cluster", *words, "--socket", node.socket)


def refused(run, code=1):
    """The one sentence with which a command was refused."""
    assert run.returncode == code and not run.stdout, (run.returncode, run.stdout, run.stderr)
    assert len(run.stderr.strip().splitlines()) == 1, run.stderr
    return run.stderr


def members(node):
    return {member["name"]: member for member in node.status()["members"]}


async def without(cluster, name, survivors):
    """A node is killed, and the others know that it is gone."""
    cluster[name].kill()
    await until(
        f"{name} is gone",
        lambda: all(members(node)[name]["state"] == "gone" and node.status()["serving"] for node in survivors),
        10,
    )


async def test_leadership_is_handed_to_whom_the_operator_names_and_nobody_is_thrown_off(trio):
    leader, (target, other) = trio.leader(), trio.followers()
    romeo = await Client("romeo", acknowledge=True).log_in(leader)
    juliet = await Client("juliet").log_in(target)

    done = await asyncio.to_thread(command, trio, other, "transfer-leader", target.name)

    assert (done.returncode, done.stdout) == (0, f"{target.name} leads\n"), done.stderr
    assert trio.leader() is target
    romeo.say(juliet.boundjid, "still here")
    await juliet.hears("still here")
    assert not romeo.ended.is_set() and not juliet.ended.is_set()
    # And to the one that leads already.
    assert command(trio, target, "transfer-leader", target.name).returncode == 0


async def test_a_member_that_is_gone_is_removed_and_joins_again_when_it_comes_back(trio):
    victim, (survivor, other) = trio.followers()[0], (trio.leader(), trio.followers()[1])
    up = refused(command(trio, survivor, "remove", victim.name))
    assert f"'{victim.name}' is up: stop it first" in up
    await without(trio, victim.name, [survivor, other])
    assert survivor.status()["advice"] == "you cannot lose a member: 1 of 3 voters away"

    done = command(trio, other, "remove", victim.name)

    assert (done.returncode, done.stdout) == (0, f"{victim.name} is not counted any more\n"), done.stderr
    await until("it is not listed", lambda: victim.name not in members(survivor), 5)
    await until("two vote", lambda: survivor.status()["advice"] == "you cannot lose a member: add a witness", 5)
    assert "no member is called" in refused(command(trio, other, "remove", victim.name))
    victim.start()
    await trio.formed()
    assert survivor.status()["can_lose"] == 1


async def test_a_wrong_name_a_dead_node_and_a_lost_quorum_are_said_in_a_sentence_and_change_nothing(trio):
    leader, (one, other) = trio.leader(), trio.followers()
    before = leader.status()

    for words in (("transfer-leader", "nobody"), ("remove", "nobody"), ("transfer-leader", ""), ("remove", "A"), ("drain", "nobody"), ("undrain", "nobody")):
        assert "no member is called" in refused(command(trio, one, *words))
    one.kill()
    for words in (("transfer-leader", other.name), ("remove", one.name), ("drain", one.name), ("events",), ("status",)):
        assert "no node runs here" in refused(command(trio, one, *words))
    await until("it is gone", lambda: members(leader)[one.name]["state"] == "gone", 10)
    assert f"'{one.name}' is gone\n" in refused(command(trio, leader, "transfer-leader", one.name))
    assert (leader.status()["leader"], leader.status()["term"]) == (before["leader"], before["term"])

    other.kill()
    await until("nobody is served", lambda: not leader.status()["serving"], 10)
    for words in (("transfer-leader", leader.name), ("remove", one.name), ("drain", leader.name)):
        assert "this node has no quorum" in refused(command(trio, leader, *words), code=3)
    assert set(members(leader)) == {leader.name, one.name, other.name}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_who_may_not_use_the_socket_or_the_accounts_is_told_so_and_changes_nothing(solo):
    """Orders, accounts and properties, each from another user of the machine, to whom the directory of the test is closed."""
    store = ("--store", solo.cluster.accounts)
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        program = shutil.copy(solo.cluster.program, place)

        def told(*words, code=1):
            run = subprocess.run(
                [program, *map(str, words)],
                capture_output=True, text=True, timeout=60, check=False, cwd="/", env={}, user=65534, group=65534, extra_groups=[],
            )
            return refused(run, code)

        for words in (("status",), ("events",), ("transfer-leader", "a"), ("remove", "a"), ("drain", "a"), ("undrain", "a")):
            assert "you may not use the control socket" in told("cluster", *words, "--socket", solo.socket)
        for words in (("property", "set", "offline.messages-max", "7"), ("property", "list"), ("user", "list")):
            assert "cannot open the account store" in told(*words, *store)
        assert str(solo.config) in told("cluster", "status", "--config", solo.config, code=2)

    assert members(solo)["a"]["state"] == "active"
    assert solo.cluster.cli("property", "get", "offline.messages-max", *store).stdout == "1000\n"


async def test_a_drained_leader_sends_its_clients_elsewhere_and_those_of_others_notice_nothing(trio):
    drained, (one, other) = trio.leader(), trio.followers()
    romeo = await Client("romeo", acknowledge=True).log_in(one)
    moving = [Client(f"sender{n}") for n in range(PAIRS)]
    await asyncio.gather(*(client.log_in(drained, 30) for client in moving))

    begin = time.monotonic()
    done = await asyncio.to_thread(command, trio, other, "drain", drained.name)
    print(f"{PAIRS} clients and the lead left within {time.monotonic() - begin:.2f} s")

    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{drained.name} has no clients and does not lead: it can be stopped\n"
    # This client tries the same node again, and is sent on as soon as it opens its stream.
    await until("all are told", lambda: all(set(client.stream_errors) == {"see-other-host"} for client in moving), 5)
    assert trio.leader() is not drained
    assert members(one)[drained.name]["state"] == "draining"
    # Who comes anyway is sent on as well, while he logs in or just after.
    late = Client("sender0")
    with contextlib.suppress(AssertionError, IqTimeout):
        await late.log_in(drained)
    await until("he is told", lambda: set(late.stream_errors) == {"see-other-host"}, 5)
    back, _ = await come_back("sender0", [other])
    romeo.say(back.boundjid, "there you are")
    await back.hears("there you are")
    assert not romeo.ended.is_set()
    assert "is drained: it does not lead" in refused(command(trio, one, "transfer-leader", drained.name))

    done = command(trio, one, "undrain", drained.name)

    assert (done.returncode, done.stdout) == (0, f"{drained.name} may have clients\n"), done.stderr
    juliet = await Client("juliet").log_in(drained)
    # Four times as long as until the next clients would be sent away.
    end, said = time.monotonic() + 1, 0
    while time.monotonic() < end:
        romeo.say(juliet.boundjid, f"stay {said}")
        await juliet.hears(f"stay {said}")
        said += 1
    assert not juliet.stream_errors and not romeo.stream_errors


async def test_the_last_server_that_takes_clients_is_not_drained(trio):
    leader, (one, other) = trio.leader(), trio.followers()
    for node in (one, other):
        assert command(trio, leader, "drain", node.name).returncode == 0

    sentence = refused(command(trio, leader, "drain", leader.name))

    assert f"no other server is up that takes the clients of '{leader.name}'" in sentence
    romeo = await Client("romeo").log_in(leader)
    await romeo.ping()


async def test_events_tell_who_came_and_went_and_leads(trio):
    victim, survivor = trio.followers()[0], trio.leader()
    await without(trio, victim.name, [survivor])
    victim.start()
    await trio.formed()

    run = command(trio, survivor, "events", "--json")
    events = [(event["member"], event["what"]) for event in json.loads(run.stdout)]

    name = victim.name
    assert (survivor.name, "leads") in events
    told = [what for member, what in events if member == name]
    assert told[-3:] == ["was expelled: it crashed", "joined", "takes part"], events
    shown = command(trio, survivor, "events").stdout.splitlines()
    assert len(shown) == len(events) and shown[-1].endswith(f"  {name} takes part"), shown
    # A node knows nothing of the time before it joined.
    assert json.loads(command(trio, victim, "events", "--json").stdout)[0]["what"] in ("joined", "became senior")
    assert json.loads(command(trio, victim, "events", "--json").stdout)[0]["member"] == name
