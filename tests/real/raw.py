"""A client made of bytes: it can say what no library would."""

import base64
import contextlib
import hashlib
import hmac
import os
import re
import socket
import ssl
import time

from cluster import DOMAIN, PASSWORD

HEADER = (
    f"<?xml version='1.0'?><stream:stream to='{DOMAIN}' version='1.0' xml:lang='en' xmlns='jabber:client' "
    "xmlns:stream='http://etherx.jabber.org/streams'>"
)
SASL = "urn:ietf:params:xml:ns:xmpp-sasl"
BIND = "urn:ietf:params:xml:ns:xmpp-bind"
SM = "urn:xmpp:sm:3"


class Raw:
    """One connection and everything that was read from it."""

    def __init__(self, node, port=None, timeout=10, source=None):
        self.socket = node.connect(port, timeout, source)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.timeout = timeout
        self.text = b""
        self.closed = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, what):
        """Sends; a connection that the other side has closed meanwhile is no failure of the test."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(what.encode() if isinstance(what, str) else what)

    def receive(self):
        """Reads what there is; false at the end."""
        try:
            data = self.socket.recv(65536)
        except (ConnectionResetError, ssl.SSLError):
            data = b""
        self.text += data
        self.closed = not data
        return bool(data)

    def until(self, pattern, seconds=None):
        """Reads until the pattern is there and returns what was read up to and with it; the rest stays."""
        match = self._read_until(pattern, seconds)
        found, self.text = self.text[: match.end()], self.text[match.end() :]
        return found.decode()

    def take_out(self, pattern, seconds=None):
        """Reads until the pattern is there, takes that out and returns it; what came before and what follows stays."""
        match = self._read_until(pattern, seconds)
        self.text = self.text[: match.start()] + self.text[match.end() :]
        return match.group().decode()

    def _read_until(self, pattern, seconds):
        end = time.monotonic() + (seconds or self.timeout)
        pattern = pattern.encode() if isinstance(pattern, str) else pattern
        while not (match := re.search(pattern, self.text, re.S)):
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                more = self.receive()
            except TimeoutError:
                more = False
            assert more, f"expected {pattern!r}, got {self.text!r}{' and the end' if self.closed else ''}"
        return match

    def rest(self, seconds=5):
        """Reads to the end of the connection and returns all; fails if it does not end."""
        end = time.monotonic() + seconds
        while not self.closed:
            self.socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                self.receive()
            except TimeoutError:
                raise AssertionError(f"not closed within {seconds} s, got {self.text!r}") from None
        return self.text.decode(errors="replace")

    def open(self, header=HEADER):
        self.send(header)
        self.until("</stream:features>")
        return self

    def start_tls(self, node):
        self.send("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
        self.until("<proceed[^>]*>")
        return self.encrypt(node)

    def encrypt(self, node):
        context = ssl.create_default_context(cafile=str(node.certificate))
        self.socket = context.wrap_socket(self.socket, server_hostname=DOMAIN)
        return self

    def authenticate(self, user, password=PASSWORD):
        """SCRAM-SHA-256 (RFC 7677), checking the server's signature."""
        nonce = base64.b64encode(os.urandom(12)).decode()
        first = f"n={user},r={nonce}"
        self.send(auth("SCRAM-SHA-256", f"n,,{first}"))
        challenge = decode(self.until(f"<challenge xmlns=['\"]{SASL}['\"]>([^<]*)</challenge>"))
        values = dict(part.split("=", 1) for part in challenge.split(","))
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(values["s"]), int(values["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        last = f"c=biws,r={values['r']}"
        message = f"{first},{challenge},{last}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), message, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature))).decode()
        self.send(response(f"{last},p={proof}"))
        success = decode(self.until(f"<success xmlns=['\"]{SASL}['\"]>([^<]*)</success>"))
        expected = hmac.digest(hmac.digest(salted, b"Server Key", "sha256"), message, "sha256")
        assert success == f"v={base64.b64encode(expected).decode()}"
        return self.open()

    def bind(self, resource=None):
        asked = f"<resource>{resource}</resource>" if resource else ""
        self.send(f"<iq type='set' id='bind'><bind xmlns='{BIND}'>{asked}</bind></iq>")
        found = self.until("<jid>([^<]*)</jid></bind></iq>")
        self.jid = re.search("<jid>([^<]*)</jid>", found).group(1)
        return self

    def available(self):
        """Sends the initial presence. The server shows it to the sender as well, behind what is stored for it."""
        self.send("<presence/>")
        return self.ping()

    def ping(self, seconds=5):
        """An answer of the server, or a failure: whoever is alive and not disturbed gets one."""
        identity = base64.b32encode(os.urandom(5)).decode()
        self.send(f"<iq type='get' id='{identity}' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        self.take_out(f"<iq [^>]*id=['\"]{identity}['\"][^>]*/?>", seconds)
        return self


def auth(mechanism, text):
    encoded = base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()
    return f"<auth xmlns='{SASL}' mechanism='{mechanism}'>{encoded}</auth>"


def response(text):
    return f"<response xmlns='{SASL}'>{base64.b64encode(text.encode()).decode()}</response>"


def decode(element):
    return base64.b64decode(re.search(">([^<]*)</[a-z]+>$", element).group(1)).decode()


def conditions(text):
    """The stream errors in what was read."""
    found = re.findall(r"<stream:error[^>]*>\s*<([a-z-]+)", text)
    return found


def logged_in_with_tls(node, user="romeo", resource=None):
    return Raw(node).open().start_tls(node).open().authenticate(user).bind(resource).available()


def logged_in(node, user="romeo", resource=None, port=None):
    return Raw(node, port).open().authenticate(user).bind(resource).available()
