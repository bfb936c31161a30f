"""A client as people use them: slixmpp with TLS, SCRAM and, if wanted, acknowledgements (XEP-0198)."""

import asyncio
import logging

import slixmpp

from cluster import DOMAIN, PASSWORD, Deadline, until

logging.getLogger("slixmpp").setLevel(logging.CRITICAL)


class Client(slixmpp.ClientXMPP):
    """One resource of one account."""

    def __init__(self, name, resource=None, password=PASSWORD, acknowledge=False, mechanism=None):
        jid = f"{name}@{DOMAIN}" + (f"/{resource}" if resource else "")
        super().__init__(jid, password, sasl_mech=mechanism)
        self.account = name
        self.received = []
        self.errors = []
        self.presences = []
        self.stream_errors = []
        self.ended = asyncio.Event()
        self.online = asyncio.Event()
        self.failed = None
        self.acknowledge = acknowledge
        if acknowledge:
            self.register_plugin("xep_0198")
            self.plugin["xep_0198"].window = 1
            self.plugin["xep_0198"].window_counter = 1
            self.plugin["xep_0198"].allow_resume = False
        self.register_plugin("xep_0030")
        self.register_plugin("xep_0199")
        self.register_plugin("xep_0203")
        self.add_event_handler("session_start", lambda _: self.online.set())
        self.add_event_handler("disconnected", lambda _: self.ended.set())
        self.add_event_handler("failed_all_auth", lambda _: self._fail("authentication failed"))
        self.add_event_handler("connection_failed", self._connection_failed)
        self.add_event_handler("stream_error", self._stream_error)
        self.add_event_handler("message", self._message)
        self.add_event_handler("message_error", self.errors.append)
        self.add_event_handler("presence_available", self.presences.append)
        self.add_event_handler("presence_unavailable", self.presences.append)

    def _fail(self, why):
        self.failed = why

    def _connection_failed(self, why):
        # TLS from the first byte is tried before STARTTLS, so other failures do not mean that nobody is there.
        if isinstance(why, ConnectionRefusedError) or "Connect call failed" in str(why):
            self._fail(f"no connection: {why}")

    def _stream_error(self, error):
        self.stream_errors.append(error["condition"])

    def _message(self, message):
        if message["type"] != "error":
            self.received.append(message)

    async def log_in(self, node, seconds=10, presence=True):
        """Connects to a node, logs in and becomes available; fails if that takes longer than `seconds`."""
        self.ca_certs = str(node.certificate)
        self.ended.clear()
        self.online.clear()
        self.connect("127.0.0.1", node.client_port)
        await until(
            f"{self.boundjid} logs in on {node.name} (stream errors {self.stream_errors}, {self.failed})",
            lambda: self.online.is_set() or self.failed or self.ended.is_set(),
            seconds,
        )
        assert self.online.is_set(), self.failed or self.stream_errors
        if presence:
            self.send_presence()
            await self.ping()
        return self

    async def ping(self, timeout=5):
        """An answer of the server: all that was sent before it has been handled in order."""
        await self.plugin["xep_0199"].ping(jid=DOMAIN, timeout=timeout)

    def say(self, to, body, identity=None):
        message = self.make_message(mto=to, mbody=body, mtype="chat")
        message["id"] = identity or body
        message.send()
        return message

    async def acknowledged(self, seconds=10):
        """The server has acknowledged everything that was sent."""
        manager = self.plugin["xep_0198"]
        # What waits in the client's own queue is not counted yet: after an answer it has been sent.
        await self.ping(seconds)
        manager.request_ack()
        await until("the server acknowledges", lambda: not manager.unacked_queue, seconds)

    @property
    def bodies(self):
        return [message["body"] for message in self.received]

    async def hears(self, body, seconds=5):
        await until(f"{self.boundjid} receives {body!r}", lambda: body in self.bodies, seconds)

    async def log_out(self, seconds=5):
        if not self.ended.is_set():
            await self.disconnect(wait=1)
            try:
                await asyncio.wait_for(self.ended.wait(), seconds)
            except asyncio.TimeoutError:
                self.abort()


async def come_back(name, nodes, seconds=10, **options):
    """Logs in on the first of `nodes` that lets the client in, as a client with a list of hosts does.

    Returns the client, and the conditions with which it was turned away before."""
    refused = []

    async def attempt():
        for node in nodes:
            client = Client(name, **options)
            try:
                return await client.log_in(node, seconds=seconds)
            except (Deadline, AssertionError):
                refused.extend(client.stream_errors)
                client.abort()
        return None

    return await until(f"{name} comes back", attempt, seconds), refused
