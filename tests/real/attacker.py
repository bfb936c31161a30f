"""Attacks on a node, each a function that goes on for some seconds. Run as a process of its own that works when nobody else
does: an attacker's machine is not the server's, so what it costs him must not count.

    attacker.py ATTACK PORT SECONDS
"""

import contextlib
import os
import socket
import sys
import threading
import time
from types import SimpleNamespace

from cluster import DOMAIN, PASSWORD
from raw import HEADER, SM, Raw, auth

# A label of the dearest kind to prepare: it is legal, and longer in its A-form than any that is looked up.
DEAR_LABEL = "".join(chr(0x4E00 + at) for at in range(900))


def dear(labels):
    return ".".join([DEAR_LABEL] * labels)


def strangers(node, until, count, act):
    """So many connections at a time; each does `act` with a fresh one again and again."""

    def one():
        while time.monotonic() < until:
            with contextlib.suppress(OSError, AssertionError):
                with Raw(node, timeout=5) as raw:
                    act(raw)

    threads = [threading.Thread(target=one, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, until + 10 - time.monotonic()))


DEAR_HEADER = HEADER.replace(f"to='{DOMAIN}'", f"to='{dear(11)}' from='{dear(11)}'")


def nobody(_, until):
    """An attack that costs the attacker's machine as much as others, on a listener of its own: what this does to the two
    who talk is done by the processors that they share with it."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=100)

    def answer():
        while True:
            stranger, _ = listener.accept()
            with contextlib.suppress(OSError), stranger:
                stranger.recv(1 << 20)
                stranger.sendall(b"x" * 500)

    threading.Thread(target=answer, daemon=True).start()
    own = SimpleNamespace(connect=connector(listener.getsockname()[1]))
    strangers(own, until, 40, lambda raw: (raw.send(DEAR_HEADER), raw.rest()))


def dear_headers(node, until):
    """Strangers who open streams to addresses that cost as much as they can."""
    strangers(node, until, 40, lambda raw: (raw.send(DEAR_HEADER), raw.rest()))


def longest_legal_headers(node, until):
    """As above, of the longest addresses that are not refused unread."""
    label = "".join(chr(0x4E00 + at) for at in range(12))
    name = ".".join([label] * 20)
    header = HEADER.replace(f"to='{DOMAIN}'", f"to='{name}' from='{name}'")
    strangers(node, until, 40, lambda raw: (raw.send(header), raw.rest()))


def garbage(node, until):
    """Strangers who send as many elements as a stream may have before its end."""
    strangers(node, until, 20, lambda raw: (raw.send(HEADER + "<a b='c'>" * 60 + "x" * 50_000), raw.rest()))


def idle(node, until):
    """Connections that say nothing."""
    held = []
    while time.monotonic() < until and len(held) < 900:
        with contextlib.suppress(OSError):
            held.append(node.connect(timeout=5))
    time.sleep(max(0, until - time.monotonic()))
    for connection in held:
        connection.close()


def passwords(node, until):
    """Wrong passwords for one account."""

    def guess(raw):
        raw.open()
        for number in range(5):
            raw.send(auth("PLAIN", f"\0romeo\0wrong{number}"))
            raw.until("</failure>")

    strangers(node, until, 20, guess)


def sessions(node, name, resources):
    """Sessions of one account that ask for acknowledgements and never give one."""
    found = []
    for number in range(resources):
        raw = Raw(node).open().authenticate(name, PASSWORD).bind(f"r{number}")
        raw.send(f"<enable xmlns='{SM}' resume='true'/>")
        raw.until("<enabled")
        found.append(raw)
    return found


def freeze(node, until):
    """Sessions without presence that ask a victim something and acknowledge no answer."""
    deaf = sessions(node, "mercutio", 8)
    number = 0
    while time.monotonic() < until:
        for raw in deaf:
            number += 1
            raw.send(f"<iq type='get' id='p{number}' to='juliet@{DOMAIN}/balcony'><ping xmlns='urn:xmpp:ping'/></iq>")
        time.sleep(0.2)


def giant_names(node, until):
    """Requests whose ids are as long as may be, to sessions of one's own that read nothing."""
    deaf = sessions(node, "mercutio", 8)
    identity = "i" * 250_000
    while time.monotonic() < until:
        for raw in deaf[1:]:
            deaf[0].send(f"<iq type='get' id='{identity}' to='{raw.jid}'><ping xmlns='urn:xmpp:ping'/></iq>")


def dear_recipients(node, until):
    """Messages to addresses that cost as much as they can, by somebody with an account."""

    def one():
        with contextlib.suppress(OSError, AssertionError), Raw(node) as raw:
            raw.open().authenticate("tybalt", PASSWORD).bind(None)
            while time.monotonic() < until:
                raw.send(f"<message to='a@{dear(90)}'/>")
                raw.until("</message>|</stream:stream>")

    threads = [threading.Thread(target=one, daemon=True) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.1, until + 10 - time.monotonic()))


def offline(node, until):
    """Large messages to somebody who is away."""
    with contextlib.suppress(OSError, AssertionError), Raw(node) as raw:
        raw.open().authenticate("tybalt", PASSWORD).bind(None)
        body = "x" * 60_000
        while time.monotonic() < until:
            raw.send(f"<message type='chat' to='benvolio@{DOMAIN}'><body>{body}</body></message>")


def presence(node, until):
    """A session that comes and goes as fast as it can."""
    with contextlib.suppress(OSError, AssertionError), Raw(node) as raw:
        raw.open().authenticate("tybalt", PASSWORD).bind(None)
        while time.monotonic() < until:
            raw.send("<presence/><presence type='unavailable'/>" * 50)
            raw.ping(30)


ATTACKS = [
    nobody,
    idle,
    dear_headers,
    longest_legal_headers,
    garbage,
    passwords,
    freeze,
    giant_names,
    dear_recipients,
    offline,
    presence,
]


def connector(port):
    """What `Raw` expects of a node, for this port."""
    return lambda _=None, timeout=10, source=None: socket.create_connection(
        ("127.0.0.1", port), timeout=timeout, source_address=source and (source, 0)
    )


def main():
    name, port, seconds = sys.argv[1:]
    os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    node = SimpleNamespace(connect=connector(int(port)))
    attack = next(attack for attack in ATTACKS if attack.__name__ == name)
    with contextlib.suppress(OSError, AssertionError):
        attack(node, time.monotonic() + float(seconds))


if __name__ == "__main__":
    main()
