"""Members that are not what they should be: two for one (G6), with another certificate (G24), with a wrong clock (G25)."""

import signal
import subprocess

import pytest
from client import Client
from cluster import copy_data, until

YEAR_SECONDS = 365 * 86400

# What a process is told of the time of day. The clock that only goes forward is left alone, as by an operator's `date`.
WRONG_CLOCK = r"""
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long wrong_by(void) { return atol(getenv("CLOCK_IS_WRONG_BY")); }

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = syscall(SYS_clock_gettime, clock, now);
    if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += wrong_by();
    return result;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec precise;
    (void)zone;
    clock_gettime(CLOCK_REALTIME, &precise);
    now->tv_sec = precise.tv_sec;
    now->tv_usec = precise.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *seconds) {
    struct timespec precise;
    clock_gettime(CLOCK_REALTIME, &precise);
    if (seconds) *seconds = precise.tv_sec;
    return precise.tv_sec;
}
"""


def year_of_events(node):
    run = node.cluster.cli("cluster", "events", "--socket", node.socket)
    assert run.returncode == 0 and run.stdout, run.stderr
    return int(run.stdout[:4])


async def talk(cluster, names):
    """Everybody says something to everybody on the other nodes, and to one who is away."""
    clients = [await Client(person, acknowledge=True).log_in(cluster[node]) for person, node in names.items()]
    for one in clients:
        for other in clients:
            one.say(other.boundjid, f"{one.account} to {other.account}")
        one.say("nurse@example.org", f"{one.account} to nurse")
    for one in clients:
        for other in clients:
            await one.hears(f"{other.account} to {one.account}")
        await one.acknowledged()
    nurse = await Client("nurse").log_in(cluster[next(iter(names.values()))])
    for one in clients:
        await nurse.hears(f"{one.account} to nurse")
    for client in (*clients, nurse):
        assert not client.errors
        await client.log_out()


async def test_g25_clocks_that_are_wrong_by_a_year_disturb_nobody(new_cluster, tmp_path):
    """No member proves anything by the time of day, and what is agreed rests on clocks that only go forward."""
    source, library = tmp_path / "wrong_clock.c", tmp_path / "wrong_clock.so"
    source.write_text(WRONG_CLOCK)
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", library, source], check=True)
    cluster = new_cluster()
    cluster.import_users(["romeo", "juliet", "tybalt", "nurse"])
    for name, years in (("b", 1), ("c", -1)):
        cluster[name].runs_in = ["env", f"LD_PRELOAD={library}", f"CLOCK_IS_WRONG_BY={years * YEAR_SECONDS}"]
    await cluster.start()
    this_year = year_of_events(cluster["a"])
    assert [year_of_events(cluster[name]) - this_year for name in ("b", "c")] == [1, -1]
    await talk(cluster, {"romeo": "a", "juliet": "b", "tybalt": "c"})

    # Whoever is left, whatever his clock says, goes on, and lets the other one in again.
    for name in ("a", "b", "c"):
        cluster[name].kill()
        left = [other for other in cluster.nodes if other != name]
        await until(f"{left} serve", lambda: all(cluster[each].status()["serving"] for each in left), 15)
        await talk(cluster, {"romeo": left[0], "juliet": left[1]})
        cluster[name].start()
        await cluster.formed()
    await talk(cluster, {"romeo": "a", "juliet": "b", "tybalt": "c"})


async def test_g24_certificates_are_replaced_under_load_and_nothing_is_lost(trio):
    """Links have none. Those that clients see are read again at SIGHUP, and connections that are up keep theirs."""
    a, b = trio["a"], trio["b"]
    kept = {node.name: (node.certificate.read_bytes(), (node.data / "key.pem").read_bytes()) for node in (a, b)}
    romeo = await Client("romeo", acknowledge=True).log_in(a)
    juliet = await Client("juliet").log_in(b)

    for round_number in range(20):
        for node, pair in zip((a, b), (kept["b"], kept["a"]) if round_number % 2 == 0 else (kept["a"], kept["b"])):
            node.certificate.write_bytes(pair[0])
            (node.data / "key.pem").write_bytes(pair[1])
        for node in trio.nodes.values():
            node.process.send_signal(signal.SIGHUP)
        for number in range(50):
            romeo.say(juliet.boundjid, f"{round_number}.{number}")
        # Only one who trusts nothing but the new certificate.
        await until("it is read", lambda: a.log_text().count("clients see this certificate") >= round_number + 2, 10)
        nurse = await Client("nurse").log_in(a)
        nurse.say(juliet.boundjid, f"nurse {round_number}")
        await juliet.hears(f"nurse {round_number}")
        await nurse.log_out()
    await romeo.acknowledged()

    said = [f"{round_number}.{number}" for round_number in range(20) for number in range(50)]
    await until("all of it is there", lambda: len(juliet.received) == len(said) + 20, 20)
    assert [body for body in juliet.bodies if not body.startswith("nurse")] == said
    assert not romeo.errors and not romeo.ended.is_set() and not juliet.ended.is_set()


def twin_of(node, other, data):
    """The configuration of a node of the same name, at the ports of another one."""
    config = node.config.read_text().replace(f'"{node.data}"', f'"{data}"')
    for port, instead in (
        (node.client_port, other.client_port), (node.peer_port, other.peer_port), (node.health_port, other.health_port)
    ):
        config = config.replace(f'="127.0.0.1:{port}"', f'="127.0.0.1:{instead}"')
    other.config.write_text(config)
    other.data = data


@pytest.mark.parametrize("directory", ["the same", "another"])
async def test_g6_of_two_nodes_that_join_as_one_one_wins(trio, directory):
    """With the same member in two directories, or only with the same name: started at once, one of them ends, and says why."""
    node, spare = trio.followers()
    leader = trio.leader()
    node.terminate()
    spare.terminate()
    node.process.wait(10)
    spare.process.wait(10)
    twin = trio.directory / "twin"
    if directory == "the same":
        copy_data(node.data, twin)
    twin_of(node, spare, twin)

    node.start()
    spare.start()

    await until("one of them ends", lambda: node.is_running + spare.is_running == 1, 30)
    winner, loser = (node, spare) if node.is_running else (spare, node)
    assert loser.process.wait(1) == 1
    said = loser.log_text().strip().splitlines()[-1]
    expected = {
        "the same": "another process runs with a copy of this data directory",
        "another": f"another node is called '{node.name}'",
    }[directory]
    assert expected in said, said

    def is_whole():
        status = winner.status()
        if status is None:
            return False  # it is about to open its control socket
        alive = [member["name"] for member in status["members"] if member["state"] == "active"]
        return status["serving"] and sorted(alive) == sorted([leader.name, node.name])

    await until("the other one serves with the leader", is_whole, 30)
    romeo = await Client("romeo", acknowledge=True).log_in(leader)
    winner.data = node.data if winner is node else twin
    juliet = await Client("juliet").log_in(winner)
    romeo.say(juliet.boundjid, "one of you")
    await juliet.hears("one of you")
    assert winner.is_running and loser.process.poll() == 1
