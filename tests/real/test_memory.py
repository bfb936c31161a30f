"""What one account can make two nodes keep, whatever it does with all its sessions at once (O9)."""

import asyncio
import contextlib
import threading
import time

from cluster import DOMAIN, until
from raw import SM, logged_in
from test_attacks import Pair

MIB = 1 << 20

# What the bounds add up to: 32 MiB for what waits for an account's clients, as much for what is under way to it at another
# node, and for each of its 32 sessions what it has said and nobody has handled, what of that waits for recipients, and
# what a socket holds.
ONE_ACCOUNT_MAX = 144 * MIB

# What a node itself needs the first time that it has so much to do: page caches of the account store, stacks, buffers.
NODE_MAX = 48 * MIB

# What may be left when it is over.
LEFT_MAX = 32 * MIB

# The allocator of glibc keeps what was freed in pieces of such a size, unless it is told to map them. What is asked here
# is what a node keeps, not what its allocator does.
MAPPED = ["env", "MALLOC_MMAP_THRESHOLD_=65536"]

LARGE = "x" * 250_000
ROUNDS = 3

# How long a message of others may take meanwhile, in seconds. The attacker shares processors with the nodes and the test.
PATIENCE = 30


class Gauge:
    """The most memory that each of some nodes has had meanwhile, over what it had before."""

    def __init__(self, *nodes):
        self.nodes = nodes
        self.before = [node.memory_bytes() for node in nodes]
        self.most = list(self.before)
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.02):
            self.look()

    def look(self):
        self.most = [max(most, node.memory_bytes()) for most, node in zip(self.most, self.nodes)]

    def grown(self):
        return [most - before for most, before in zip(self.most, self.before)]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()
        self.look()


def deaf(node, resource):
    """A session that may be resumed, reads nothing and acknowledges nothing. It is refused as long as what the account has
    left behind fills its share."""
    end = time.monotonic() + 60
    while True:
        try:
            raw = logged_in(node, "tybalt", resource)
            raw.send(f"<enable xmlns='{SM}' resume='true' max='10'/>")
            raw.until("<enabled[^>]*>")
            raw.socket.settimeout(2)
            return raw
        except AssertionError:
            assert time.monotonic() < end


def says(raw, stanzas):
    """Says as much of it as the node takes, and reads nothing."""
    with contextlib.suppress(OSError):
        for stanza in stanzas:
            raw.socket.sendall(stanza.encode())


def message(to):
    return f"<message type='chat' to='{to}' id='m'><body>{LARGE}</body></message>"


def request(to, identity="p"):
    return f"<iq type='get' to='{to}' id='{identity}'><ping xmlns='urn:xmpp:ping' at='{LARGE[len(identity) :]}'/></iq>"


def worst(here, there):
    """Sessions at two nodes that say large things to each other, to others and to some that have gone, and that go
    themselves in the middle of it."""
    local = [deaf(here, f"here{number}") for number in range(20)]
    remote = [deaf(there, f"there{number}") for number in range(8)]
    for raw in local[:6]:
        raw.socket.close()  # they hibernate
    speakers = [
        # 160 requests with ids of 250,000 bytes, and as many whose payload is as large.
        (local[6], [request(raw.jid, LARGE) for raw in local[:8]] * 20),
        (local[7], [request(raw.jid) for raw in local[:8]] * 20),
        # To hibernated sessions and to deaf ones on the same node.
        (local[8], [message(raw.jid) for raw in local[:6]] * 10),
        (local[9], [message(raw.jid) for raw in local[10:]] * 10),
        # 300 across nodes in each direction.
        (remote[0], [message(raw.jid) for raw in local] * 15),
        (remote[1], [request(raw.jid) for raw in local] * 15),
        (local[10], [message(raw.jid) for raw in remote] * 38),
        # To the account, to another one that is away, and to nobody.
        (local[11], [message(f"tybalt@{DOMAIN}")] * 60),
        (local[12], [message(f"benvolio@{DOMAIN}")] * 60),
        (local[13], [message(f"nobody@{DOMAIN}")] * 60),
    ]
    threads = [threading.Thread(target=says, args=speaker) for speaker in speakers]
    for thread in threads:
        thread.start()
    for thread in threads[:5]:
        thread.join()
    for raw in local[14:] + remote[2:]:
        raw.socket.close()  # receivers hang up
    for thread in threads:
        thread.join()
    return local + remote


async def test_o9_the_worst_that_one_account_does_stays_within_its_bound(new_cluster):
    cluster = new_cluster(names=("a", "b"), tls="disabled")
    cluster.import_users(["romeo", "juliet", "tybalt", "benvolio"])
    here, there = cluster.nodes.values()
    here.runs_in = there.runs_in = MAPPED
    await cluster.start()
    pair = Pair(logged_in(there, "romeo", "orchard"), logged_in(here, "juliet", "balcony"))
    pair.talk(1)
    grown, slowest = [], 0
    with Gauge(here, there) as gauge:
        for _ in range(ROUNDS):
            attack = asyncio.create_task(asyncio.to_thread(worst, here, there))
            while not attack.done():
                times = await asyncio.to_thread(pair.talk, 0.5, PATIENCE)
                slowest = max(slowest, times[-1])
            for raw in await attack:
                raw.socket.close()
            await until("all its sessions are over", lambda: here.status()["sessions"] == 2, 60)
            pair.talk(0.5)
            gauge.look()
            grown.append([round(each / MIB) for each in gauge.grown()])
            print(f"\nafter {len(grown)} rounds: at most +{grown[-1]} MiB, slowest message {slowest:.0f} ms")
    left = [node.memory_bytes() - before for node, before in zip(gauge.nodes, gauge.before)]
    print(f"left: +{[round(each / MIB) for each in left]} MiB")

    assert max(gauge.grown()) < ONE_ACCOUNT_MAX + NODE_MAX, grown
    assert max(left) < LEFT_MAX, left
