//! Addresses, compared with what the crate `jid` makes of them, which peers and stores may have used.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::limits::{JID_DOMAIN_CHARACTERS_MAX, JID_PART_BYTES_MAX};

fn prepared(text: &str) -> String {
    Jid::new(text).unwrap_or_else(|error| panic!("{text:?}: {error}")).as_str().to_owned()
}

#[test]
fn an_address_is_taken_apart() {
    let jid = Jid::new("Juliet@Capulet.Example./Balcony @/x").unwrap();

    assert_eq!(jid.as_str(), "juliet@capulet.example/Balcony @/x");
    assert_eq!(jid.node().map(|node| node.to_owned()), Some(NodePart::new("juliet").unwrap()));
    assert_eq!(jid.domain(), DomainPart::new("capulet.example").unwrap());
    assert_eq!(jid.resource().map(|resource| resource.as_str()), Some("Balcony @/x"));
    assert_eq!(jid.to_bare(), BareJid::new("juliet@capulet.example").unwrap());
    assert_eq!(FullJid::try_from(jid.clone()).unwrap(), jid);
    assert_eq!(BareJid::try_from(jid.clone()), Err(JidError::ResourceNotAllowed));
    assert_eq!(FullJid::new("capulet.example"), Err(JidError::ResourceMissing));
}

/// O12. The crate `jid` leaves the dot in and counts the resource from before it: `/x` of `bob@localhost`.
#[test]
fn the_final_dot_of_a_domain_is_no_part_of_it() {
    for text in ["bob@localhost./x", "bob@localhost/x", "BOB@LOCALHOST./x"] {
        let jid = FullJid::new(text).unwrap();
        assert_eq!(jid.as_str(), "bob@localhost/x", "{text}");
        assert_eq!((jid.domain().as_str(), jid.resource().as_str()), ("localhost", "x"), "{text}");
    }
    assert!(Jid::new("bob@localhost../x").is_err());
    assert_eq!(Jid::new("."), Err(JidError::Empty(JidPart::Domain)));
}

/// O12. A preparation that makes another address of its own result would give one contact two places in a roster, or none
/// that can be read again.
#[test]
fn an_address_whose_prepared_form_is_another_one_is_refused() {
    for (text, fault) in [
        ("x@\u{1806}", JidError::Empty(JidPart::Domain)),
        ("x@\u{AD}", JidError::NotAllowed(JidPart::Domain)),
        ("\u{AD}@example.org", JidError::Empty(JidPart::Node)),
        ("\u{1F130}lice@example.org", JidError::Unstable(JidPart::Node)),
    ] {
        assert_eq!(Jid::new(text), Err(fault), "{text:?}");
    }
}

#[test]
fn one_domain_has_one_form() {
    for (text, form) in [
        ("EXAMPLE.ORG", "example.org"),
        ("m\u{FC}nchen.example", "m\u{FC}nchen.example"),
        ("M\u{DC}NCHEN.example.", "m\u{FC}nchen.example"),
        ("mu\u{308}nchen.example", "m\u{FC}nchen.example"),
        ("xn--mnchen-3ya.example", "m\u{FC}nchen.example"),
        ("XN--MNCHEN-3YA.example", "m\u{FC}nchen.example"),
        ("m\u{FC}nchen\u{3002}example", "m\u{FC}nchen.example"),
        ("example\u{FF61}org", "example.org"),
        // Nameprep makes `ss` of this letter, and IDNA of today does not: the two names are two hosts.
        ("xn--strae-oqa.example", "xn--strae-oqa.example"),
        ("stra\u{DF}e.example", "strasse.example"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8:0::1]", "[2001:db8::1]"),
        ("with_underscore.example", "with_underscore.example"),
    ] {
        assert_eq!(prepared(text), form, "{text}");
    }
}

#[test]
fn what_is_no_address_is_refused() {
    for text in [
        "",
        "@",
        "/",
        "@example.org",
        "a@",
        "a@/x",
        "example.org/",
        "a@b@c",
        "a b@c",
        "a@b c",
        "a\"@b",
        "a@-b",
        "a@b-",
        "a@b..c",
        "a@.b",
        "a@ab--c",
        "a@[::1",
        "a@[::g]",
        "a@b/\u{7}",
        "a@xn--a",
        "a@b\u{2100}c",
        "a@b\u{FF0F}c",
        "a@b\u{FF20}c",
        "a\u{FF20}b@c",
        "\u{7f}@c",
        "a:b@c",
    ] {
        assert!(Jid::new(text).is_err(), "{text:?}");
    }
}

/// O2. Whatever it would become, text is refused by its length.
#[test]
fn text_that_is_too_long_is_refused_before_it_is_prepared() {
    let part = |bytes: usize| "x".repeat(bytes);
    let label = |bytes: usize| "x".repeat(bytes);
    let longest = format!("{}@{}/{}", part(JID_PART_BYTES_MAX), "example.org", part(JID_PART_BYTES_MAX));
    assert!(Jid::new(&longest).is_ok());
    assert!(Jid::new(&label(63)).is_ok());
    let names = vec![label(61); 4].join(".") + ".xxxxx";
    assert_eq!(names.len(), JID_DOMAIN_CHARACTERS_MAX);
    assert!(Jid::new(&names).is_ok());
    for (text, about) in [
        (format!("{}@x", part(JID_PART_BYTES_MAX + 1)), JidPart::Node),
        // Soft hyphens vanish, but nobody has a reason to write a thousand.
        (format!("x{}@x", "\u{AD}".repeat(JID_PART_BYTES_MAX)), JidPart::Node),
        (format!("x/{}", part(JID_PART_BYTES_MAX + 1)), JidPart::Resource),
        (part(JID_PART_BYTES_MAX + 1), JidPart::Domain),
        (label(64), JidPart::Domain),
        ("\u{4E00}".repeat(64), JidPart::Domain),
        (names + "x", JidPart::Domain),
        ("x".repeat(JID_BYTES_MAX + 1), JidPart::Whole),
        (format!("{}@x", "\u{FDFA}".repeat(341)), JidPart::Node),
        (format!("x/{}", "\u{FDFA}".repeat(341)), JidPart::Resource),
    ] {
        let refused = Jid::new(&text).expect_err("too long");
        assert_eq!(refused, JidError::TooLong(about), "{} bytes", text.len());
    }
}

/// T14. What phones are called: Unicode 3.2 of 2002 has none of this.
#[test]
fn resources_have_the_characters_of_today() {
    for resource in [
        "Pixel \u{1F4F1}",
        "\u{1F980} crab of Unicode 8",
        "\u{1FAE0} face of Unicode 14",
        "\u{1E9E}\u{A7B5} newer letters",
        "\u{105B4}",
        "abc \u{5D0}",
        "\u{5D0}1",
    ] {
        let jid = FullJid::new(&format!("romeo@example.org/{resource}")).unwrap_or_else(|e| panic!("{resource}: {e}"));
        assert_eq!(jid.resource().as_str(), resource);
    }
    // Decomposed, and with a wide space.
    assert_eq!(prepared("x/\u{1F4F1}u\u{308}\u{2003}"), "x/\u{1F4F1}\u{FC} ");
    for resource in
        ["\u{1F4F1}\u{7}", "\u{1F4F1}\u{E000}", "\u{1F4F1}\u{200D}\u{1F4F1}", "\u{1F4F1}\u{FFFE}", "\u{2FE0}"]
    {
        assert!(FullJid::new(&format!("x/{resource}")).is_err(), "{resource:?}");
    }
}

#[test]
fn a_rule_for_a_character_in_its_place_holds() {
    assert!(FullJid::new("x/\u{1F4F1}l\u{B7}l").is_ok());
    assert!(FullJid::new("x/\u{1F4F1}\u{B7}").is_err());
    assert!(FullJid::new(&format!("x/\u{1F4F1}{}", "l\u{B7}l".repeat(16))).is_ok());
    assert!(FullJid::new(&format!("x/\u{1F4F1}{}", "l\u{B7}l".repeat(17))).is_err());
}

/// Small numbers from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).unwrap()
    }

    fn character(&mut self) -> char {
        let ranges: [(u32, u32); 8] = [
            (0x20, 0x7F),
            (0x20, 0x7F),
            (0x41, 0x5B),
            (0xA0, 0x250),
            (0x300, 0x700),
            (0x1800, 0x2100),
            (0x2E80, 0x3100),
            (0x1F100, 0x1F1FF),
        ];
        let (start, end) = ranges[self.roll(ranges.len())];
        let sides = usize::try_from(end - start).unwrap();
        char::from_u32(start + u32::try_from(self.roll(sides)).unwrap()).unwrap()
    }

    fn text(&mut self) -> String {
        (0..1 + self.roll(6)).map(|_| if self.roll(2) == 0 { 'a' } else { self.character() }).collect()
    }
}

/// What is accepted parses to itself, and whatever the crate `jid` accepts in a form that is stable is the same here.
#[test]
fn whatever_is_accepted_is_what_it_was_for_the_crate_jid_and_parses_to_itself() {
    let mut same = 0;
    for seed in 0..100_000 {
        let mut dice = Dice(seed);
        let text = match dice.roll(3) {
            0 => format!("{}@example.org", dice.text()),
            1 => format!("x@{}", dice.text()),
            _ => format!("x@example.org/{}", dice.text()),
        };
        let ours = Jid::new(&text);
        if let Ok(ours) = &ours {
            assert_eq!(Jid::new(ours.as_str()).as_ref(), Ok(ours), "{text:?}");
            assert_eq!(
                Jid::assembled(
                    ours.node().as_ref().map(NodeRef::as_str),
                    ours.domain().as_str(),
                    ours.resource().as_ref().map(ResourceRef::as_str),
                ),
                *ours
            );
        }
        let Ok(theirs) = jid::Jid::new(&text) else { continue };
        let is_stable = jid::Jid::new(theirs.as_str()).is_ok_and(|again| again.as_str() == theirs.as_str())
            && !theirs.domain().as_str().contains(['.', '\u{3002}', ':']);
        let is_example = theirs.domain().as_str() == "example.org";
        if is_stable || is_example && jid::Jid::new(theirs.as_str()).is_ok_and(|again| again == theirs) {
            assert_eq!(ours.map(|ours| ours.as_str().to_owned()).as_deref(), Ok(theirs.as_str()), "{text:?}");
            same += 1;
        }
    }
    assert!(same > 10_000, "only {same} were accepted, which shows little");
}

#[test]
fn an_address_is_written_as_its_text_and_read_as_any_other() {
    let jid = FullJid::new("romeo@example.org/Pixel \u{1F4F1}").unwrap();
    let written = bincode::serde::encode_to_vec(&jid, bincode::config::standard()).unwrap();
    assert_eq!(written, bincode::serde::encode_to_vec(jid.as_str(), bincode::config::standard()).unwrap());

    let (read, _): (FullJid, _) = bincode::serde::decode_from_slice(&written, bincode::config::standard()).unwrap();
    assert_eq!(read, jid);
    let refused: Result<(BareJid, usize), _> = bincode::serde::decode_from_slice(&written, bincode::config::standard());
    assert!(refused.is_err());
    let name = NodePart::new("romeo").unwrap();
    let written = bincode::serde::encode_to_vec(&name, bincode::config::standard()).unwrap();
    assert_eq!(written, bincode::serde::encode_to_vec("romeo", bincode::config::standard()).unwrap());
}
