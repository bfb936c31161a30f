//! What goes out means what came in, as another parser reads it (cases A31 to A34 of the list of hostile input).
//!
//! Documents are made up from a seed: prefixes, namespaces with quotes in them, every kind of escape, CDATA, line ends.
//! `roxmltree` says what they mean, before and after. A second run breaks them byte by byte: whatever is accepted then
//! has to be XML for `roxmltree` too, with the same meaning.

use std::fmt::Write;

use cresset_core::xml::{Element, StreamEvent, StreamReader, XmlLimits, ns};

const DOCUMENTS: u64 = 10_000;

const OPEN: &str =
    "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' xmlns:h='urn:header'>";

/// Small numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("less than the sides")
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.roll(from.len())]
    }
}

const NAMES: &[&str] = &["message", "body", "x", "y", "a-b.c", "_", "é", "delay"];
const NAMESPACES: &[&str] =
    &["jabber:client", "urn:a", "urn:b", "urn:q'q", "urn:&#x61;&apos;", "http://example.org/?a=b;c='d'#e", "x'/"];
const TEXTS: &[&str] = &[
    "plain text",
    "]]",
    "]] >",
    "&gt;",
    "]]&gt;",
    "&lt;evil/&gt;",
    "&amp;amp;",
    "&#13;",
    "&#x9;",
    "\r\n",
    "\r",
    "\n",
    "\t",
    "\"",
    "'",
    "&quot;&apos;",
    "<![CDATA[<evil/>]]>",
    "<![CDATA[]]>",
    "<![CDATA[]]]]>",
    "<![CDATA[&amp;\r\n]]>",
    "é日😀",
    "&#x1F600;",
    "\u{FFFD}",
    "\u{F8FF}",
    "\u{85}\u{2028}",
    "  ",
];
const VALUES: &[&str] = &[
    "",
    "v",
    "&gt;",
    "&lt;",
    "]]>",
    "&#13;&#10;",
    "\r\n",
    "\n",
    "\t",
    " ",
    "&#9;",
    "&amp;",
    "&quot;",
    "&apos;",
    "é😀",
    "a b",
];

/// Writes an element that may use the prefixes in `prefixes`.
fn element(dice: &mut Dice, depth: usize, prefixes: &[&'static str], out: &mut String) {
    let mut prefixes = prefixes.to_vec();
    let mut declarations = String::new();
    for prefix in ["", "p", "q", "h"] {
        if dice.roll(4) == 0 {
            let namespace = dice.pick(NAMESPACES);
            let name = if prefix.is_empty() { "xmlns".to_owned() } else { format!("xmlns:{prefix}") };
            let empty = prefix.is_empty() && dice.roll(4) == 0;
            attribute(dice, &name, if empty { "" } else { namespace }, &mut declarations);
            if !prefix.is_empty() && !prefixes.contains(&prefix) {
                prefixes.push(prefix);
            }
        }
    }
    let name = qualified(dice, &prefixes, NAMES);
    write!(out, "<{name}{declarations}").expect("strings take everything");
    let mut names = Vec::new();
    for _ in 0..dice.roll(4) {
        let local = dice.pick(NAMES);
        // Two prefixes may mean one namespace, so a local name is used once.
        if !names.contains(&local) {
            names.push(local);
            let name = qualified(dice, &prefixes, &[local]);
            let value: String = (0..dice.roll(4)).map(|_| dice.pick(VALUES)).collect();
            attribute(dice, &name, &value, out);
        }
    }
    if dice.roll(6) == 0 {
        attribute(dice, "xml:lang", "de", out);
    }
    if dice.roll(5) == 0 {
        out.push_str(dice.pick(&["/>", " />"]));
        return;
    }
    out.push('>');
    for _ in 0..dice.roll(5) {
        match dice.roll(3) {
            0 if depth > 0 => element(dice, depth - 1, &prefixes, out),
            _ => text(dice, out),
        }
    }
    write!(out, "</{name}{}>", dice.pick(&["", "", " ", "\n"])).expect("strings take everything");
}

/// Text that does not end a CDATA section by chance.
fn text(dice: &mut Dice, out: &mut String) {
    let text = dice.pick(TEXTS);
    if !(out.ends_with(']') && text.starts_with(['>', ']'])) {
        out.push_str(text);
    }
}

fn qualified(dice: &mut Dice, prefixes: &[&str], names: &[&str]) -> String {
    let local = dice.pick(names);
    match dice.roll(3) {
        0 if !prefixes.is_empty() => format!("{}:{local}", dice.pick(prefixes)),
        _ => local.to_owned(),
    }
}

fn attribute(dice: &mut Dice, name: &str, value: &str, out: &mut String) {
    let equals = dice.pick(&["=", " =\n"]);
    let (quote, value) = match dice.roll(2) {
        0 => ('\'', value.replace('\'', "&apos;")),
        _ => ('"', value.replace('"', "&quot;")),
    };
    write!(out, "{}{name}{equals}{quote}{value}{quote}", dice.pick(&[" ", "\r\n"])).expect("strings take everything");
}

/// What a document means: one line per start, attribute, text and end.
fn meaning(node: roxmltree::Node<'_, '_>, out: &mut Vec<String>) {
    if node.is_text() {
        let text = node.text().unwrap_or_default();
        match out.last_mut() {
            Some(last) if last.starts_with("text") => last.push_str(text),
            Some(_) | None if text.is_empty() => {}
            Some(_) | None => out.push(format!("text {text}")),
        }
        return;
    }
    let tag = node.tag_name();
    out.push(format!("start {:?} {}", tag.namespace().unwrap_or_default(), tag.name()));
    let mut attributes: Vec<String> = node
        .attributes()
        .map(|attribute| {
            format!("{:?} {} {:?}", attribute.namespace().unwrap_or_default(), attribute.name(), attribute.value())
        })
        .collect();
    attributes.sort();
    out.append(&mut attributes);
    for child in node.children() {
        meaning(child, out);
    }
    out.push("end".to_owned());
}

/// What the children of the stream mean to `roxmltree`, one by one; nothing if it is no XML to it. Line ends are made
/// line feeds before, as XML 1.0 section 2.11 words it: `roxmltree` leaves a carriage return at the end of a text that
/// has a reference in it.
fn meanings(stream: &str) -> Option<Vec<Vec<String>>> {
    let normalized = stream.replace("\r\n", "\n").replace('\r', "\n");
    let document = roxmltree::Document::parse(&normalized).ok()?;
    let of_child = |child| {
        let mut out = Vec::new();
        meaning(child, &mut out);
        out
    };
    Some(document.root_element().children().filter(roxmltree::Node::is_element).map(of_child).collect())
}

/// The elements that come out of a stream, and whether it was read to its end.
fn read(stream: &[u8], chunk_bytes: usize) -> (Vec<Element>, bool) {
    let mut reader = StreamReader::new(XmlLimits::AUTHENTICATED);
    let mut elements = Vec::new();
    for chunk in stream.chunks(chunk_bytes) {
        reader.feed(chunk);
        loop {
            match reader.poll() {
                Ok(Some(StreamEvent::Element(element))) => elements.push(element),
                Ok(Some(StreamEvent::Open(_))) => {}
                Ok(Some(StreamEvent::Close)) => return (elements, true),
                Ok(None) => break,
                Err(_) => return (elements, false),
            }
        }
    }
    (elements, false)
}

/// A stream with the elements as we write them.
fn written(elements: &[Element]) -> String {
    let mut out = Vec::from(OPEN);
    for element in elements {
        element.write(&mut out);
    }
    out.extend_from_slice(b"</stream:stream>");
    String::from_utf8(out).expect("what is written is UTF-8")
}

#[test]
fn what_goes_out_means_what_came_in() {
    for seed in 0..DOCUMENTS {
        let mut dice = Dice(seed);
        let mut stream = OPEN.to_owned();
        for _ in 0..1 + dice.roll(3) {
            element(&mut dice, 4, &["h"], &mut stream);
        }
        stream.push_str("</stream:stream>");

        let (elements, closed) = read(stream.as_bytes(), 1 + dice.roll(40));
        let out = written(&elements);

        assert!(closed, "seed {seed}: {stream}");
        assert_eq!(meanings(&out), Some(meanings(&stream).expect("the generator writes XML")), "seed {seed}: {stream}");
        let (again, _) = read(out.as_bytes(), usize::MAX);
        assert_eq!(again, elements, "seed {seed}: read again");
        assert_eq!(written(&again), out, "seed {seed}: the form is canonical");
        for element in &elements {
            opens_at_every_level(element);
        }
    }
}

/// Children are opened from the canonical form, which must give what reading them in place gave.
fn opens_at_every_level(element: &Element) {
    for child in element.children() {
        let opened = child.open();
        assert_eq!((opened.name(), opened.namespace()), (child.name(), child.namespace()));
        let mut written = Vec::new();
        opened.write_within(&mut written, element.namespace());
        assert_eq!(written, child.raw().as_bytes());
        opens_at_every_level(&opened);
    }
}

#[test]
fn broken_xml_is_refused_or_means_to_us_what_it_means_to_others() {
    let mut accepted = 0;
    for seed in 0..DOCUMENTS {
        let mut dice = Dice(seed ^ 0x5EED_0000_0000);
        let mut inner = String::new();
        element(&mut dice, 2, &["h"], &mut inner);
        let mut bytes = inner.into_bytes();
        for _ in 0..1 + dice.roll(3) {
            let at = dice.roll(bytes.len());
            match dice.roll(4) {
                0 => drop(bytes.remove(at)),
                1 => bytes[at] = u8::try_from(dice.roll(256)).expect("a byte"),
                2 => bytes.insert(at, b"<>&;'\"=/ :]!?x\0\r"[dice.roll(16)]),
                _ => bytes.insert(at, bytes[dice.roll(bytes.len())]),
            }
        }
        let stream = [OPEN.as_bytes(), &bytes, b"</stream:stream>"].concat();
        let (elements, closed) = read(&stream, 1 + dice.roll(40));
        if !closed {
            continue;
        }
        accepted += 1;
        let stream = std::str::from_utf8(&stream).expect("what is accepted is UTF-8");
        let theirs = meanings(stream).unwrap_or_else(|| panic!("seed {seed}: accepted, but no XML: {stream}"));
        assert_eq!(meanings(&written(&elements)), Some(theirs), "seed {seed}: {stream}");
    }
    assert!(accepted > DOCUMENTS / 20, "only {accepted} were accepted, which shows little");
}

#[test]
fn what_is_built_is_read_as_it_was_built() {
    let nasty = "a'\"<>&]]>\r\n\t\0\u{FFFE}é";
    let legal = "a'\"<>&]]>\r\n\t\u{FFFD}\u{FFFD}é";
    let built = Element::new("query", "jabber:iq:roster")
        .with_attribute("ver", nasty)
        .with_attribute_in("a", "urn:'", nasty)
        .with_language("de")
        .with_text(nasty)
        .with_child(Element::new("item", "jabber:iq:roster").with_attribute("jid", "a@b").with_text("x"))
        .with_child(Element::new("item", "urn:''").with_child(Element::new("group", "")))
        .with_text("end");

    let read = Element::parse(built.to_string().as_bytes(), ns::CLIENT).expect("what is written can be read");

    assert_eq!(read, built);
    assert_eq!(read.attribute("ver"), Some(legal));
    assert_eq!(read.attribute_in("a", "urn:'"), Some(legal));
    assert_eq!(read.text(), format!("{legal}end"));
    assert_eq!(read.children().len(), 2);
    assert_eq!(
        read.child("item", "urn:''").map(|child| child.open().content().to_owned()).as_deref(),
        Some("<group xmlns=''/>")
    );
}
