use super::*;

#[test]
fn elements_attributes_and_text_know_their_places() {
    let root = parse_it(b"<?xml version='1.0'?>\n<a>\n  <b c='1' \td = '&lt;2'> x &amp; y </b><!-- no -->\n</a>")
        .expect("XML");

    let b = &root.children[0];
    assert_eq!((root.place, b.place), (at(2, 1), at(3, 3)));
    assert_eq!((b.attributes[1].value.as_str(), b.attributes[1].place), ("<2", at(3, 13)));
    assert_eq!((b.text.as_str(), b.text_place), (" x & y ", at(3, 26)));
}

#[test]
fn what_is_not_xml_is_refused_with_its_place() {
    let cases: [(&str, Place); 13] = [
        ("", at(1, 1)),
        ("<a>", at(1, 1)),
        ("<a></b>", at(1, 4)),
        ("<a/>\n<b/>", at(2, 1)),
        ("<a/>\n x", at(2, 2)),
        ("<a b='1' b='2'/>", at(1, 1)),
        ("<a b=1/>", at(1, 1)),
        ("<a>&evil;</a>", at(1, 4)),
        ("<a>&#0;</a>", at(1, 4)),
        ("<a b='&evil;'/>", at(1, 4)),
        ("<a>\n\u{1}</a>", at(2, 1)),
        ("<?xml version='1.0' encoding='latin1'?><a/>", at(1, 1)),
        ("<a", at(1, 1)),
    ];
    for (text, place) in cases {
        let problem = parse_it(text.as_bytes()).expect_err(text);
        assert!(matches!(problem.fault, Fault::NotXml { .. }), "{text}: {problem}");
        assert_eq!(problem.place, place, "{text}: {problem}");
    }
    let problem = parse_it(b"<a>\n\xFF</a>").expect_err("not UTF-8");
    assert_eq!(problem.place, at(2, 1));
}

#[test]
fn a_definition_that_could_name_other_files_is_refused() {
    for text in ["<!DOCTYPE a [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><a>&e;</a>", "<?php ?><a/>"] {
        let problem = parse_it(text.as_bytes()).expect_err(text);
        assert!(matches!(problem.fault, Fault::Refused { .. }), "{problem}");
    }
}

#[test]
fn depth_width_and_size_are_bounded() {
    let deep = parse_it("<a>".repeat(100_000).as_bytes()).expect_err("too deep");
    assert_eq!(deep.fault, Fault::TooDeep { max: DEPTH_MAX });

    let wide: String = (0..50_000).map(|n| format!(" a{n}=''")).collect();
    assert!(parse_it(format!("<a{wide}/>").as_bytes()).is_err());

    let big = parse_it(&vec![b' '; FILE_BYTES_MAX + 1]).expect_err("too big");
    assert!(matches!(big.fault, Fault::TooLarge { .. }));
}

/// Any file may be handed in: what is not understood is a problem, never a panic.
#[test]
fn a_file_cut_or_flipped_anywhere_does_not_panic() {
    let text = b"<?xml version='1.0'?><a b='\xC3\xA4'>&amp;<![CDATA[x]]><!-- c --></a>".to_vec();
    for length in 0..text.len() {
        drop(parse_it(&text[..length]));
        for bit in 0..8 {
            let mut flipped = text.clone();
            flipped[length] ^= 1 << bit;
            drop(parse_it(&flipped));
        }
    }
}

fn at(line: u32, column: u32) -> Place {
    Place { file: 0, line, column }
}

fn parse_it(bytes: &[u8]) -> Result<Element, Problem> {
    parse(bytes, 0)
}
