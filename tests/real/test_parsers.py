"""O10: what leaves the server is read by expat, by libxml2 and by the parser of a browser, and by all three alike.

Messages are made up from a seed and sent through the server; what arrives is given to the three parsers. Messages that
are broken at random, or use what only some parsers read, are refused or arrive in a form that all three read alike."""

import json
import os
import random
import shutil
import subprocess
import xml.parsers.expat

import pytest
from cluster import DOMAIN
from raw import conditions, logged_in

OPEN = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
CLIENT = "jabber:client"
XML = "http://www.w3.org/XML/1998/namespace"
NAMESPACES = [
    CLIENT, "", "urn:a", "urn:xmpp:sm:3", "http://example.org/a?b=c;d='e'#f", "x'/", "eu.siacs.conversations.axolotl", "a%20b",
    "//host:80/", "tag:a,b:(c)*;!$+=@~",
]
NAMES = ["body", "x", "a-b.c", "_", "é", "日本", "x\u0300", "a\u00b7", "xmlns1", "xml", "delay"]
TEXTS = [
    "plain", "]]>", "]]", "<evil/>", "&amp;", "&", "\r", "\r\n", "\n", "\t", "  ", "\"'", "é日\U0001f600", "\x85\u2028", "\ufffd",
    "\uf8ff", "\U0010ffff", "\x7f\x80", "<![CDATA[", "<!--", "<?a?>",
]


# Trees: [namespace, name, {(namespace, name): value}, [text or tree, ...]]


def tree(dice, depth):
    attributes = {}
    for _ in range(dice.randrange(4)):
        attributes[(dice.choice(["", "", "urn:b", "urn:'"]), dice.choice(NAMES))] = "".join(dice.choices(TEXTS, k=dice.randrange(3)))
    if dice.random() < 0.3:
        attributes[(XML, dice.choice(["lang", "space", "id", "base", "other"]))] = dice.choice(["de", "preserve", "a", "é x", ""])
    children = []
    for _ in range(dice.randrange(5)):
        if depth and dice.random() < 0.5:
            children.append(tree(dice, depth - 1))
        else:
            children.append("".join(dice.choices(TEXTS, k=2)))
    return [dice.choice(NAMESPACES), dice.choice(NAMES), attributes, children]


def escaped(text, dice, in_attribute):
    out = []
    for character in text:
        if character in "&<\r" or (in_attribute and character in "\"'\n\t") or (character == ">" and not in_attribute):
            out.append(dice.choice([f"&#{ord(character)};", f"&#x{ord(character):x};"]))
        else:
            out.append(character)
    return "".join(out)


def written(node, dice, around):
    namespace, name, attributes, children = node
    prefix = "p:" if namespace and dice.random() < 0.5 else ""
    tag = prefix + name
    out = ["<", tag]
    if prefix:
        out.append(f" xmlns:p='{escaped(namespace, dice, True)}'")
    elif namespace != around or dice.random() < 0.3:
        out.append(f" xmlns='{escaped(namespace, dice, True)}'")
        around = namespace
    for number, ((of, name), value) in enumerate(attributes.items()):
        if of == XML:
            qualified = f"xml:{name}"
        elif of:
            out.append(f" xmlns:q{number}='{escaped(of, dice, True)}'")
            qualified = f"q{number}:{name}"
        else:
            qualified = name
        out.append(f"{dice.choice([' ', chr(10)])}{qualified} = '{escaped(value, dice, True)}'")
    out.append(">")
    for child in children:
        if not isinstance(child, str):
            out.append(written(child, dice, around))
        elif "]]>" not in child and "\r" not in child and not child.endswith("]") and dice.random() < 0.3:
            out.append(f"<![CDATA[{child}]]>")
        else:
            out.append(escaped(child, dice, False))
    out.append(f"</{tag}>")
    return "".join(out)


def plain(node):
    """A tree for comparison: texts joined, attributes in order."""
    namespace, name, attributes, children = node
    joined = []
    for child in children:
        if not isinstance(child, str):
            joined.append(plain(child))
        elif joined and isinstance(joined[-1], str):
            joined[-1] += child
        elif child:
            joined.append(child)
    return [namespace, name, sorted([of, name, value] for (of, name), value in attributes.items()), joined]


def with_expat(document, separator="\n"):
    parser = xml.parsers.expat.ParserCreate(namespace_separator=separator)
    root = ["", "", {}, []]
    stack = [root]

    def named(text):
        namespace, _, name = text.rpartition(separator)
        return namespace, name

    def start(name, attributes):
        node = [*named(name), {named(key): value for key, value in attributes.items()}, []]
        stack[-1][3].append(node)
        stack.append(node)

    parser.StartElementHandler = start
    parser.EndElementHandler = lambda _: stack.pop()
    parser.CharacterDataHandler = lambda text: stack[-1][3].append(text)
    parser.Parse(document.encode(), True)
    return plain(root[3][0])


def with_libxml2(document):
    """As libxml2 reads it and writes it again, which expat reads. What it says of the validity of `xml:id` is no matter of
    reading."""
    ran = subprocess.run(["xmllint", "--nonet", "--encode", "UTF-8", "-"], input=document.encode(), capture_output=True, check=False)
    lines = ran.stderr.decode(errors="replace").splitlines()
    complaints = [line for line in lines if "parser error :" in line or "namespace error :" in line]
    assert ran.returncode == 0 and not complaints, (ran.returncode, complaints[:20])
    return with_expat(ran.stdout.decode())


IN_THE_BROWSER = """document => {
    const read = new DOMParser().parseFromString(document, 'application/xml');
    if (read.getElementsByTagNameNS('*', 'parsererror').length > 0) return read.documentElement.textContent;
    const tree = node => [
        node.namespaceURI ?? '', node.localName,
        [...node.attributes].filter(it => it.namespaceURI !== 'http://www.w3.org/2000/xmlns/')
            .map(it => [it.namespaceURI ?? '', it.localName, it.value]),
        [...node.childNodes].map(child => child.nodeType === 1 ? tree(child) : child.nodeValue),
    ];
    return JSON.stringify(tree(read.documentElement));
}"""


@pytest.fixture(scope="module")
def with_browser():
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("a browser is missing; on Debian: apt-get install chromium")
    from playwright.sync_api import sync_playwright  # the other tests do without

    def revived(node):
        return [node[0], node[1], {(of, name): value for of, name, value in node[2]}, [it if isinstance(it, str) else revived(it) for it in node[3]]]

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page()

        def read(document):
            answer = page.evaluate(IN_THE_BROWSER, document)
            assert answer.startswith("["), answer[:2000]
            return plain(revived(json.loads(answer)))

        yield read
        browser.close()


@pytest.fixture(scope="module", autouse=True)
def xmllint():
    if not shutil.which("xmllint"):
        pytest.skip("xmllint is missing; on Debian: apt-get install libxml2-utils")


class Pair:
    """Romeo says something, and Juliet hears it or not."""

    def __init__(self, node):
        self.node = node
        self.juliet = logged_in(node, "juliet")
        self.romeo = logged_in(node, "romeo")
        self.count = 0

    def says(self, content, seconds=10):
        """What arrives, or nothing if the stream was ended instead: then Romeo has come back."""
        self.count += 1
        end = f"<end xmlns='urn:end' n='{self.count}'/></message>"
        self.romeo.send(f"<message to='{self.juliet.jid}' type='chat'>{content}{end}")
        self.romeo.send(f"<iq type='get' id='q{self.count}' to='{DOMAIN}'><ping xmlns='urn:xmpp:ping'/></iq>")
        try:
            answer = self.romeo.until(f"id='q{self.count}' type='result'/>|</stream:stream>", seconds)
        except AssertionError:
            answer = "</stream:stream>"  # a quotation mark or a section that does not end: the server waits for more
        if "</stream:stream>" in answer:
            self.romeo.socket.close()
            self.juliet.ping()
            assert f" n='{self.count}'" not in self.juliet.text.decode(), "what was refused was delivered"
            self.romeo = logged_in(self.node, "romeo")
            self.reasons = conditions(answer)
            return None
        heard = self.juliet.until(end)
        return heard[heard.rindex("<message from=") :]

    def close(self):
        self.romeo.socket.close()
        self.juliet.socket.close()


@pytest.fixture
def pair(solo):
    pair = Pair(solo)
    yield pair
    pair.close()


def documents(heard):
    return OPEN + "".join(heard) + "</stream:stream>"


def contents(stream):
    """What the messages contain, without the mark at their ends."""
    return [message[3][:-1] for message in stream[3]]


def test_o10_three_parsers_read_what_was_meant(pair, with_browser):
    dice = random.Random(12)
    meant, heard = [], []
    for _ in range(400):
        node = tree(dice, 3)
        content = written(node, dice, CLIENT)
        meant.append([plain(node)])
        arrived = pair.says(content)
        assert arrived, f"{pair.reasons}: {content}"
        heard.append(arrived)

    for read in (with_expat, with_libxml2, with_browser):
        for number, content in enumerate(contents(read(documents(heard)))):
            assert content == meant[number], (read, heard[number])
    for separator in (" ", "}", "|", "^"):
        assert contents(with_expat(documents(heard), separator)) == meant, separator


def names_of_expat():
    """Every character with which a name may begin, or which it may have, as expat sees it."""

    def is_read(name):
        try:
            xml.parsers.expat.ParserCreate().Parse(f"<{name}/>".encode(), True)
        except xml.parsers.expat.ExpatError:
            return False
        return True

    characters = [chr(code) for code in range(0x21, 0x10000) if not 0xD800 <= code < 0xE000]
    return [it for it in characters if it not in ":/>" and is_read(it)], [it for it in characters if it not in ":/>" and is_read("a" + it)]


def test_o10_every_name_of_the_fourth_edition_is_read_by_all(pair, with_browser):
    starts, others = names_of_expat()
    names = [it for it in starts] + ["a" + it for it in others]
    heard = []
    for first in range(0, len(names), 2000):
        part = names[first : first + 2000]
        content = "".join(f"<{name}/>" if number % 2 else f"<x {name}=''/>" for number, name in enumerate(part))
        arrived = pair.says(content)
        assert arrived, f"{pair.reasons}: {part[:3]}"
        heard.append(arrived)

    first, *others = (contents(read(documents(heard))) for read in (with_expat, with_libxml2, with_browser))
    for other in others:
        assert other == first
    assert sum(len(content) for content in first) == len(names)


REFUSED = [
    ("the fifth edition", "<\u0132 xmlns='urn:x'/>"),
    ("the fifth edition, later in the name", "<a\u0132/>"),
    ("the fifth edition, an attribute", "<a \u037f=''/>"),
    ("the fifth edition, a prefix", "<a xmlns:\u0132='urn:x' \u0132:b=''/>"),
    ("beyond U+FFFF", "<\U00010000/>"),
    ("a brace", "<a xmlns='a}b'/>"),
    ("a brace behind a prefix", "<a xmlns:b='a{b' b:c=''/>"),
    ("a blank", "<a xmlns='a b'/>"),
    ("a line feed", "<a xmlns='a&#10;b'/>"),
    ("an ampersand, of which libxml2 makes another namespace", "<a xmlns='a?b&amp;c#d'/>"),
    ("a bar", "<a xmlns='a|b'/>"),
    ("beyond ASCII", "<a xmlns='urn:\u00fc'/>"),
    ("a broken percent", "<a xmlns='a%zz'/>"),
    ("no scheme", "<a xmlns='1:a'/>"),
    ("no port", "<a xmlns='http://a:b/'/>"),
    ("a host in brackets", "<a xmlns='http://[::1/'/>"),
    ("two fragments", "<a xmlns='a#b#c'/>"),
    ("a stream", "<stream:stream/>"),
    ("a stream, deep", "<a xmlns='u'><b><stream:error/></b></a>"),
    ("a stream by another prefix", "<s:features xmlns:s='http://etherx.jabber.org/streams'/>"),
]


@pytest.mark.parametrize(("what", "content"), REFUSED, ids=[case[0] for case in REFUSED])
def test_o10_o13_what_some_parsers_refuse_is_not_delivered(pair, what, content):
    assert pair.says(f"<body>x</body>{content}") is None, what
    assert len(pair.reasons) == 1 and pair.reasons[0] in {"not-well-formed", "bad-format"}
    assert pair.says("<body>still there</body>")


def broken(dice, text):
    places = "<>&;'\"=/ :]!?x\r\n}{%#\u0132\u00b7\u0300é\U00010000"
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(text))
        text = dice.choice([
            lambda: text[:at] + text[at + 1 :],
            lambda: text[:at] + dice.choice(places) + text[at:],
            lambda: text[:at] + dice.choice(places) + text[at + 1 :],
            lambda: text[:at] + text[dice.randrange(len(text))] + text[at:],
        ])()
    return text


def test_o10_what_is_broken_is_refused_or_read_by_all_alike(pair, with_browser):
    dice = random.Random(10)
    heard = []
    refused = 0
    for _ in range(250):
        arrived = pair.says(broken(dice, written(tree(dice, 1), dice, CLIENT)), seconds=1)
        if arrived:
            heard.append(arrived)
        else:
            refused += 1
    assert refused > 20 and len(heard) > 20, (refused, len(heard))

    first, *others = (contents(read(documents(heard))) for read in (with_expat, with_libxml2, with_browser))
    for other in others:
        assert other == first
