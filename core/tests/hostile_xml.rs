//! What a hostile client can do to the XML layer, and what comes of it (groups A and F of the list of hostile input).

use cresset_core::xml::{StreamEvent, StreamReader, XmlError, XmlLimits};

const OPEN: &str = "<?xml version='1.0'?><stream:stream to='example.org' version='1.0' xmlns='jabber:client' \
                    xmlns:stream='http://etherx.jabber.org/streams' xmlns:header='urn:header'>";

/// What a stream came to: the elements as they would be written, and how it ended.
#[derive(PartialEq, Eq, Debug, Default)]
struct Outcome {
    opened: usize,
    elements: Vec<String>,
    closed: usize,
    error: Option<&'static str>,
}

fn drain(reader: &mut StreamReader, outcome: &mut Outcome) -> Result<(), XmlError> {
    while let Some(event) = reader.poll()? {
        match event {
            StreamEvent::Open(_) => outcome.opened += 1,
            StreamEvent::Element(element) => outcome.elements.push(element.to_string()),
            StreamEvent::Close => outcome.closed += 1,
        }
    }
    Ok(())
}

fn read_chunks<'a>(chunks: impl Iterator<Item = &'a [u8]>) -> Outcome {
    let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
    let mut outcome = Outcome::default();
    for chunk in chunks {
        reader.feed(chunk);
        if let Err(error) = drain(&mut reader, &mut outcome) {
            outcome.error = Some(error.condition());
            assert_eq!(reader.poll(), Err(error), "an error stays");
            break;
        }
    }
    outcome
}

/// Reads the whole at once, and byte by byte, and in chunks of other sizes, which must come to the same.
fn read(bytes: &[u8]) -> Outcome {
    let whole = read_chunks(std::iter::once(bytes));
    for size in [1, 2, 3, 7, 64] {
        assert_eq!(read_chunks(bytes.chunks(size)), whole, "in chunks of {size}: {:?}", String::from_utf8_lossy(bytes));
    }
    whole
}

fn opened(behind_header: &[u8]) -> Outcome {
    read(&[OPEN.as_bytes(), behind_header].concat())
}

/// Before the stream is open.
#[test]
fn what_is_no_stream_is_refused() {
    let header = |attributes: &str| format!("<stream:stream {attributes}>");
    let streams = "xmlns:stream='http://etherx.jabber.org/streams'";
    let utf16: Vec<u8> = OPEN.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("A1 HTTP", b"GET / HTTP/1.1\r\n\r\n".to_vec(), "not-well-formed"),
        ("A2 TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "not-well-formed"),
        (
            "A3 wrong stream namespace",
            b"<stream:stream xmlns='jabber:client' xmlns:stream='urn:evil'>".to_vec(),
            "invalid-namespace",
        ),
        ("A3 no namespace", b"<stream>".to_vec(), "invalid-namespace"),
        ("A4 wrong content namespace", header(&format!("{streams} xmlns='jabber:evil'")).into(), "invalid-namespace"),
        ("A4 another root", format!("<stream:flow {streams}>").into(), "bad-format"),
        ("A9 document type", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a/>".to_vec(), "restricted-xml"),
        ("A12 comment", b"<!-- a --><a/>".to_vec(), "restricted-xml"),
        ("A13 processing instruction", b"<?php evil ?>".to_vec(), "restricted-xml"),
        ("A13 style sheet", b"<?xml-stylesheet href='a'?>".to_vec(), "restricted-xml"),
        ("A14 two declarations", b"<?xml version='1.0'?><?xml version='1.0'?>".to_vec(), "restricted-xml"),
        ("A14 late declaration", b" <?xml version='1.0'?>".to_vec(), "restricted-xml"),
        ("declaration without version", b"<?xml encoding='utf-8'?>".to_vec(), "not-well-formed"),
        ("XML 2.0", b"<?xml version='2.0'?>".to_vec(), "not-well-formed"),
        ("endless declaration", [b"<?xml version='1.".to_vec(), vec![b'0'; 300]].concat(), "policy-violation"),
        ("A15 another encoding", b"<?xml version='1.0' encoding='ISO-8859-1'?>".to_vec(), "unsupported-encoding"),
        ("A16 UTF-16 with mark", b"\xff\xfe".to_vec(), "unsupported-encoding"),
        ("A16 UTF-16, other end", b"\xfe\xff".to_vec(), "unsupported-encoding"),
        ("A16 UTF-16 without mark", utf16, "unsupported-encoding"),
        ("UTF-8 mark", "\u{FEFF}<a/>".into(), "not-well-formed"),
        ("A22 unbound prefix", b"<stream:stream xmlns='jabber:client'>".to_vec(), "not-well-formed"),
        ("A24 attribute twice", header(&format!("{streams} to='a' to='b'")).into(), "not-well-formed"),
        ("A26 xml bound", header(&format!("{streams} xmlns:xml='urn:evil'")).into(), "bad-namespace-prefix"),
        ("end before start", b"</stream:stream>".to_vec(), "not-well-formed"),
        (
            "F5 attributes",
            header(&(0..50_000).map(|n| format!("a{n}='' ")).collect::<String>()).into(),
            "policy-violation",
        ),
        ("F7 long name", [b"<".to_vec(), vec![b'a'; 1 << 20]].concat(), "policy-violation"),
    ];
    for (name, input, condition) in cases {
        let outcome = read(&input);
        assert_eq!(outcome, Outcome { error: Some(condition), ..Outcome::default() }, "{name}");
    }
}

#[test]
fn what_opens_a_stream_opens_it() {
    for input in [
        "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>",
        "\r\n <stream:stream xmlns:stream=\"http://etherx.jabber.org/streams\" xmlns = \"jabber:client\" >",
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone='yes' ?>\n<stream xmlns='http://etherx.jabber.org/streams'>",
        "<?xml version='1.1' encoding='utf-8'?><s:stream xmlns:s='http://etherx.jabber.org/streams'>",
    ] {
        assert_eq!(read(input.as_bytes()), Outcome { opened: 1, ..Outcome::default() }, "{input}");
    }
}

/// On an open stream.
#[test]
fn what_is_no_xml_or_forbidden_xml_is_refused() {
    let xmlns_many: String = (0..50_000).map(|n| format!(" xmlns:a{n}='b'")).collect();
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("A9 document type", b"<!DOCTYPE a [<!ENTITY b 'c'>]>".to_vec(), "restricted-xml"),
        ("A9 in an element", b"<message><!DOCTYPE a>".to_vec(), "restricted-xml"),
        ("A10 external entity", b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'>".to_vec(), "restricted-xml"),
        ("A11 undefined entity", b"<message><body>&lol;</body></message>".to_vec(), "restricted-xml"),
        ("A11 in an attribute", b"<message to='&lol;'/>".to_vec(), "restricted-xml"),
        ("A12 comment", b"<message><!-- a --></message>".to_vec(), "restricted-xml"),
        ("A13 processing instruction", b"<message><?a b?></message>".to_vec(), "restricted-xml"),
        ("A14 declaration", b"<?xml version='1.0'?>".to_vec(), "restricted-xml"),
        ("A17 not UTF-8", b"<message><body>\xff\xfe</body></message>".to_vec(), "not-well-formed"),
        ("A17 in a name", b"<m\xff/>".to_vec(), "not-well-formed"),
        ("A17 between stanzas", b"\xff".to_vec(), "not-well-formed"),
        ("A18 overlong", b"<message><body>\xc0\xbcevil/></body></message>".to_vec(), "not-well-formed"),
        ("A19 surrogate", b"<message><body>\xed\xa0\x80</body></message>".to_vec(), "not-well-formed"),
        ("A20 NUL", b"<message><body>\0</body></message>".to_vec(), "not-well-formed"),
        ("A20 NUL in a tag", b"<message\0/>".to_vec(), "not-well-formed"),
        ("A20 U+FFFE", "<message><body>\u{FFFE}</body></message>".into(), "not-well-formed"),
        ("A20 control in CDATA", b"<message><![CDATA[\x01]]></message>".to_vec(), "not-well-formed"),
        ("A21 &#0;", b"<message><body>&#0;</body></message>".to_vec(), "not-well-formed"),
        ("A21 &#8;", b"<message><body>&#8;</body></message>".to_vec(), "not-well-formed"),
        ("A21 &#xFFFE;", b"<message to='&#xFFFE;'/>".to_vec(), "not-well-formed"),
        ("A22 unbound prefix", b"<evil:message/>".to_vec(), "not-well-formed"),
        ("A22 unbound prefix of an attribute", b"<message evil:to='a'/>".to_vec(), "not-well-formed"),
        ("A22 prefix out of scope", b"<message><a:b xmlns:a='c'/><a:b/></message>".to_vec(), "not-well-formed"),
        ("A23 tags that do not match", b"<message><body></message></body>".to_vec(), "not-well-formed"),
        ("A23 another prefix", b"<a:m xmlns:a='c' xmlns:b='c'></b:m>".to_vec(), "not-well-formed"),
        ("A24 attribute twice", b"<message to='a' to='b'/>".to_vec(), "not-well-formed"),
        ("A24 declaration twice", b"<message xmlns:a='b' xmlns:a='c'/>".to_vec(), "not-well-formed"),
        ("A24 default twice", b"<message xmlns='b' xmlns='c'/>".to_vec(), "not-well-formed"),
        ("A25 by two prefixes", b"<message xmlns:a='c' xmlns:b='c' a:d='' b:d=''/>".to_vec(), "not-well-formed"),
        ("A26 xml bound", b"<message xmlns:xml='urn:evil'/>".to_vec(), "bad-namespace-prefix"),
        ("A26 xmlns bound", b"<message xmlns:xmlns='urn:evil'/>".to_vec(), "bad-namespace-prefix"),
        (
            "A26 xml by another name",
            b"<message xmlns:a='http://www.w3.org/XML/1998/namespace'/>".to_vec(),
            "bad-namespace-prefix",
        ),
        ("A26 xmlns as default", b"<message xmlns='http://www.w3.org/2000/xmlns/'/>".to_vec(), "bad-namespace-prefix"),
        ("A26 an element of xmlns", b"<xmlns:message/>".to_vec(), "not-well-formed"),
        ("a prefix unbound", b"<message xmlns:a=''/>".to_vec(), "not-well-formed"),
        ("A27 text between stanzas", b"hello".to_vec(), "bad-format"),
        ("A27 CDATA between stanzas", b"<![CDATA[hello]]>".to_vec(), "restricted-xml"),
        ("A28 a stream in a message", b"<message><stream:error/></message>".to_vec(), "bad-format"),
        ("O13 deep", b"<message><a xmlns='u'><stream:stream/></a></message>".to_vec(), "bad-format"),
        ("O13 an attribute", b"<message><a stream:b=''/></message>".to_vec(), "bad-format"),
        ("O13 as default", b"<message><a xmlns='http://etherx.jabber.org/streams'/></message>".to_vec(), "bad-format"),
        ("A33 a quote", b"<message><a xmlns='x\"y'/></message>".to_vec(), "not-well-formed"),
        ("A33 a tag", b"<message><a xmlns='x&gt;&lt;y'/></message>".to_vec(), "not-well-formed"),
        ("O10 a brace", b"<message><a xmlns='a}b'/></message>".to_vec(), "not-well-formed"),
        ("O10 a brace behind a prefix", b"<message xmlns:a='a}b'/>".to_vec(), "not-well-formed"),
        ("O10 a brace on top", b"<a xmlns='a}b'/>".to_vec(), "not-well-formed"),
        ("O10 an ampersand", b"<message><a xmlns='a&amp;b'/></message>".to_vec(), "not-well-formed"),
        ("O10 a blank", b"<message><a xmlns='a b'/></message>".to_vec(), "not-well-formed"),
        ("O10 beyond ASCII", "<message><a xmlns='urn:\u{FC}'/></message>".into(), "not-well-formed"),
        (
            "O10 the fifth edition",
            "<message><body>x</body><\u{132} xmlns='urn:x'/></message>".into(),
            "not-well-formed",
        ),
        ("O10 later in a name", "<message><a\u{132}/></message>".into(), "not-well-formed"),
        ("O10 an attribute", "<message><a \u{132}=''/></message>".into(), "not-well-formed"),
        ("O10 a prefix", "<message xmlns:\u{132}='a'/>".into(), "not-well-formed"),
        ("O10 beyond U+FFFF", "<message><\u{10000}/></message>".into(), "not-well-formed"),
        ("A32 end of CDATA in text", b"<message>]]></message>".to_vec(), "not-well-formed"),
        ("A32 < in an attribute", b"<message to='<'/>".to_vec(), "not-well-formed"),
        ("no quotes", b"<message to=a/>".to_vec(), "not-well-formed"),
        ("no value", b"<message to/>".to_vec(), "not-well-formed"),
        ("no white space", b"<message to='a'from='b'/>".to_vec(), "not-well-formed"),
        ("blank before the name", b"< message/>".to_vec(), "not-well-formed"),
        ("blank in the end", b"<message/ >".to_vec(), "not-well-formed"),
        ("no name", b"<>".to_vec(), "not-well-formed"),
        ("no name at the end", b"</>".to_vec(), "not-well-formed"),
        ("attribute of an end tag", b"<message></message to='a'>".to_vec(), "not-well-formed"),
        ("another root's end", b"</stream>".to_vec(), "not-well-formed"),
        ("& alone", b"<message>a & b</message>".to_vec(), "not-well-formed"),
        ("F4 depth", b"<a>".repeat(100_000), "policy-violation"),
        ("F6 declarations", format!("<message{xmlns_many}/>").into(), "policy-violation"),
        ("F7 long name", format!("<{}/>", "a".repeat(1000)).into(), "policy-violation"),
        ("F7 long attribute name", format!("<message {}=''/>", "a".repeat(1000)).into(), "policy-violation"),
        ("F8 text", [b"<message>".to_vec(), vec![b'a'; 1 << 20]].concat(), "policy-violation"),
        ("F8 CDATA", [b"<message><![CDATA[".to_vec(), vec![b'<'; 1 << 20]].concat(), "policy-violation"),
        ("F8 children", [b"<message>".to_vec(), b"<a/>".repeat(1 << 18)].concat(), "policy-violation"),
    ];
    for (name, input, condition) in cases {
        let outcome = opened(&input);
        assert_eq!(outcome, Outcome { opened: 1, error: Some(condition), ..Outcome::default() }, "{name}");
    }
}

/// What goes out of what came in.
#[test]
fn what_is_accepted_goes_out_in_one_form() {
    let cases: &[(&str, &str, &str)] = &[
        ("A31 prefix", "<x:message xmlns:x='jabber:client'><x:body/></x:message>", "<message><body/></message>"),
        (
            "prefix of the header",
            "<message><header:a header:b='c'/></message>",
            "<message><a xmlns='urn:header' xmlns:ns0='urn:header' ns0:b='c'/></message>",
        ),
        ("A28 a stream in a stream", "<stream:stream/>", "<stream xmlns='http://etherx.jabber.org/streams'/>"),
        ("A30 any element", "<a xmlns='b'><c/></a>", "<a xmlns='b'><c/></a>"),
        (
            "no namespace",
            "<message><a xmlns=''><b xmlns='jabber:client'/></a></message>",
            "<message><a xmlns=''><b xmlns='jabber:client'/></a></message>",
        ),
        ("namespace repeated", "<a xmlns='b'><c xmlns='b' /></a >", "<a xmlns='b'><c/></a>"),
        ("prefix bound anew", "<p:a xmlns:p='1'><p:b xmlns:p='2'/><p:c/></p:a>", "<a xmlns='1'><b xmlns='2'/><c/></a>"),
        (
            "A32 CDATA",
            "<message><body>a<![CDATA[<b>]] ]]>]]&gt;</body></message>",
            "<message><body>a&lt;b&gt;]] ]]&gt;</body></message>",
        ),
        (
            "A32 line ends",
            "<message><body>a\r\nb\rc&#13;d</body></message>",
            "<message><body>a\nb\nc&#13;d</body></message>",
        ),
        (
            "A32 attributes",
            "<message><a b='c\r\nd\te&#9;&#10;&#13;\"&lt;&gt;&amp;'/></message>",
            "<message><a b='c d e&#9;&#10;&#13;&quot;&lt;&gt;&amp;'/></message>",
        ),
        ("A32 quotes", "<message><a b=\"'>/>'\"/></message>", "<message><a b='&apos;&gt;/&gt;&apos;'/></message>"),
        (
            "A33 quotes in a namespace",
            "<message><a xmlns=\"x'/y&#39;\"/></message>",
            "<message><a xmlns='x&apos;/y&apos;'/></message>",
        ),
        (
            "xml:lang",
            "<message xml:lang='de'><body xml:lang='en'>a</body></message>",
            "<message xml:lang='de'><body xml:lang='en'>a</body></message>",
        ),
        (
            "two prefixes",
            "<message xmlns:a='1' xmlns:b='2' a:x='' b:x='' x=''/>",
            "<message xmlns:ns0='1' ns0:x='' xmlns:ns1='2' ns1:x='' x=''/>",
        ),
        ("xml may be bound to itself", "<message xmlns:xml='http://www.w3.org/XML/1998/namespace'/>", "<message/>"),
        (
            "beyond ASCII",
            "<message><é日='\u{10FFFF}'>é&#x1F600;</é日></message>".replace("<é日=", "<é日 ü=").leak(),
            "<message><é日 ü='\u{10FFFF}'>é😀</é日></message>",
        ),
        ("empty", "<message></message>", "<message/>"),
        ("only blanks", "<message> </message>", "<message> </message>"),
    ];
    for (name, input, output) in cases {
        let outcome = opened(input.as_bytes());
        assert_eq!(
            outcome,
            Outcome { opened: 1, elements: vec![(*output).to_owned()], ..Outcome::default() },
            "{name}"
        );
        let again = opened(output.as_bytes());
        assert_eq!(again.elements, vec![(*output).to_owned()], "{name}: what is written is read as it was");
    }
}

#[test]
fn a_stream_is_closed_once_and_nothing_is_read_behind_it() {
    for end in [
        "</stream:stream>",
        "</stream:stream ></stream:stream>",
        " </stream:stream><message/>",
        "</stream:stream>\0\u{FFFE}<",
    ] {
        assert_eq!(opened(end.as_bytes()), Outcome { opened: 1, closed: 1, ..Outcome::default() }, "{end:?}");
    }
    let at_once = "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'/>";
    assert_eq!(read(at_once.as_bytes()), Outcome { opened: 1, closed: 1, ..Outcome::default() });
}

/// A sender must not make us write more than it sent by a factor that it chooses: one long namespace, declared once and
/// used by thousands of children, would have to be written out for each.
#[test]
fn a_short_stanza_with_a_long_canonical_form_is_refused() {
    let uri = "u".repeat(30_000);
    let cases = [
        format!("<message xmlns:a='{uri}'>{}</message>", "<a:b/>".repeat(5000)),
        format!("<message xmlns:a='{uri}'><x a:b=''/><x a:b=''/><x a:b=''/></message>"),
        format!("<message><![CDATA[{}]]></message>", "<".repeat(60_000)),
    ];
    for input in cases {
        assert!(input.len() < XmlLimits::BEFORE_AUTHENTICATION.element_bytes_max, "short");
        let outcome = opened(input.as_bytes());
        assert_eq!(outcome.error, Some("policy-violation"));
    }
    let prefixes: String = (0..30).map(|n| format!(" xmlns:a{n}='u{n}'")).collect();
    let attributes: String = (0..30).map(|n| format!(" a{n}:b=''")).collect();
    let outcome = opened(format!("<message{prefixes}><x{attributes}>{}", "<b/>".repeat(9)).as_bytes());
    assert_eq!(outcome.error, None, "60 attributes and declarations are allowed");
    let more: String = (0..40).map(|n| format!(" b{n}=''")).collect();
    let outcome = opened(format!("<message{prefixes}><x{attributes}{more}/>").as_bytes());
    assert_eq!(outcome.error, Some("policy-violation"), "100 are not, in whatever form");
}

/// The size of an element is bounded exactly, wherever chunks are cut.
#[test]
fn the_largest_allowed_element_is_read_and_one_byte_more_is_not() {
    let limit = XmlLimits::BEFORE_AUTHENTICATION.element_bytes_max;
    let element = |bytes: usize| format!("<message>{}</message>", "a".repeat(bytes - "<message></message>".len()));

    assert_eq!(opened(element(limit).as_bytes()).elements.len(), 1);
    assert_eq!(opened(element(limit + 1).as_bytes()).error, Some("policy-violation"));
}

#[test]
fn white_space_between_stanzas_is_nothing() {
    let mut reader = StreamReader::new(XmlLimits::AUTHENTICATED);
    reader.feed(OPEN.as_bytes());
    assert!(matches!(reader.poll(), Ok(Some(StreamEvent::Open(_)))));

    for _ in 0..1000 {
        reader.feed(b" \r\n\t");
        assert_eq!(reader.poll(), Ok(None));
        assert!(reader.is_idle());
    }
    reader.feed(&vec![b' '; 1 << 20]);
    assert_eq!(reader.poll(), Ok(None));
    assert!(reader.is_idle());
}

#[test]
fn a_restarted_stream_forgets_what_was_declared_and_keeps_what_was_fed() {
    let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
    reader.feed(format!("{OPEN}<auth/>{OPEN}<message/><header:a/>").replace("<header:a/>", "<evil:a/>").as_bytes());
    let mut outcome = Outcome::default();
    for _ in 0..2 {
        match reader.poll().expect("well-formed") {
            Some(StreamEvent::Open(_)) => outcome.opened += 1,
            Some(StreamEvent::Element(element)) => outcome.elements.push(element.to_string()),
            Some(StreamEvent::Close) | None => panic!("two events"),
        }
    }

    reader.restart();
    assert!(drain(&mut reader, &mut outcome).is_err());

    assert_eq!(outcome.opened, 2);
    assert_eq!(outcome.elements, ["<auth/>", "<message/>"]);
}

/// T13. Some clients end each element with a line feed; what is left of that comes before the next stream.
#[test]
fn white_space_between_two_streams_is_nothing() {
    for blanks in ["\n", "\r\n", " \t\n\n "] {
        for size in [1, 2, 1000] {
            let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
            let mut outcome = Outcome::default();
            for turn in 0..3 {
                let said = format!("{OPEN}{blanks}<auth/>{blanks}");
                for chunk in said.as_bytes().chunks(size) {
                    reader.feed(chunk);
                    assert_eq!(drain(&mut reader, &mut outcome), Ok(()), "{blanks:?} by {size}, turn {turn}");
                }
                reader.restart();
                reader.feed(blanks.as_bytes());
                assert_eq!(drain(&mut reader, &mut outcome), Ok(()), "{blanks:?} by {size}, turn {turn}");
                assert!(reader.is_idle());
            }
            assert_eq!((outcome.opened, outcome.elements.len()), (3, 3));
        }
    }
    let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
    reader.restart();
    reader.feed(format!("\n<?xml version='1.0'?><?xml version='1.0'?>{OPEN}").as_bytes());
    assert_eq!(reader.poll().map_err(|error| error.condition()), Err("restricted-xml"));
}

/// For the bytes behind `<starttls/>`, which must not be taken for the start of anything (B1).
#[test]
fn what_was_not_read_can_be_taken_out() {
    let mut reader = StreamReader::new(XmlLimits::BEFORE_AUTHENTICATION);
    reader.feed(format!("{OPEN}<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\x16\x03").as_bytes());
    for _ in 0..2 {
        assert!(matches!(reader.poll(), Ok(Some(_))));
    }

    assert_eq!(reader.take_remaining(), b"\x16\x03");
    assert!(reader.is_idle());
}

/// Time must be linear in what is sent, also byte by byte: were it not, this would take minutes.
#[test]
fn hostile_shapes_cost_no_more_than_plain_text() {
    let names: String = (0..60).map(|n| format!(" xmlns:a{n}='u'")).collect();
    let attributes: String = (0..60).map(|n| format!(" a{n}=''")).collect();
    let cases = [
        format!("<message{names}>{}</message>", "<a0:b/>".repeat(4000)),
        format!("<message>{}</message>", format!("<a{attributes}/>").repeat(100)),
        format!("<message>{}{}</message>", "<a>".repeat(60), "</a>".repeat(60)),
        format!("<message>{}</message>", "]]".repeat(30_000)),
        format!("<message>{}</message>", "&#0000000000000000000000065;".repeat(2000)),
    ];
    for input in cases {
        let outcome = read_chunks([OPEN.as_bytes()].into_iter().chain(input.as_bytes().chunks(1)));
        assert_eq!((outcome.elements.len(), outcome.error), (1, None), "{}", &input[..40]);
    }
}
