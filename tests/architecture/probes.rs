//! Every `sometimes!("…")` stands in the list of `sim/src/probes.rs`, with its room, and the other way round.

use std::collections::BTreeMap;

use crate::source::{Source, below};

const LIST: &str = "sim/src/probes.rs";
const MARK: &str = "sometimes!";
const ENTRY: &str = "probe(";

/// Where each probe of the code is. A name that stands there twice is a breach.
fn in_code(sources: &[Source], breaches: &mut Vec<String>) -> BTreeMap<String, String> {
    let mut places: BTreeMap<String, String> = BTreeMap::new();
    for source in sources {
        for (at, mark) in source.code.match_indices(MARK) {
            let place = format!("{}:{}", source.path, source.line(at));
            let inside = at + mark.len();
            // The name comes last, behind a condition if there is one.
            let Some(name) = literals(&source.text[inside..end_of_call(&source.code, inside)]).pop() else {
                breaches.push(format!("{place}: a probe without a name"));
                continue;
            };
            if let Some(other) = places.insert(name.clone(), place.clone()) {
                breaches.push(format!("{place}: '{name}' is also at {other}"));
            }
        }
    }
    places
}

/// The names in the list with their rooms.
fn in_list(list: &Source) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for (number, line) in list.text.lines().enumerate() {
        let is_code = list.code.lines().nth(number).is_some_and(|code| code.trim_start().starts_with(ENTRY));
        if let (true, [room, name, ..]) = (is_code, literals(line).as_slice()) {
            names.insert(name.clone(), room.clone());
        }
    }
    names
}

/// The offset behind the parenthesis that closes the one at `open`.
fn end_of_call(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'(' => depth += 1,
            b')' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

fn literals(text: &str) -> Vec<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `core/src/routing/outbox.rs` is in the room `core/routing`.
fn room(place: &str) -> String {
    let inside = place.replacen("/src/", "/", 1);
    let mut words = inside.split('/');
    let (house, room) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    format!("{house}/{}", room.split(".rs").next().unwrap_or_default())
}

fn breaches(sources: &[Source], list: &Source) -> Vec<String> {
    let mut breaches = Vec::new();
    let (code, list) = (in_code(sources, &mut breaches), in_list(list));
    for (name, place) in &code {
        match list.get(name) {
            None => breaches.push(format!("{place}: '{name}' is missing in {LIST}")),
            Some(listed) if *listed != room(place) => {
                breaches.push(format!("{place}: '{name}' is in the room {}, not {listed}", room(place)));
            }
            Some(_) => {}
        }
    }
    let gone = list.keys().filter(|name| !code.contains_key(*name));
    breaches.extend(gone.map(|name| format!("{LIST}: nothing visits '{name}'")));
    breaches
}

#[test]
fn the_list_of_probes_is_the_one_in_the_code() {
    let sources: Vec<Source> = ["core/src", "net/src", "sim/src"].into_iter().flat_map(below).collect();
    let list = sources.iter().find(|source| source.path == LIST).expect("the list of probes");

    assert_eq!(breaches(&sources, list), [""; 0]);
}

#[test]
fn a_probe_that_is_unlisted_gone_twice_or_elsewhere_is_caught() {
    let list = |text: &str| Source::new(LIST, text);
    let code = |text: &str| [Source::new("core/src/routing/outbox.rs", text)];
    let entry = "    probe(\"core/routing\", \"a\", BOTH, ANYONE),\n";

    assert_eq!(breaches(&code("sometimes!(\"a\");"), &list(entry)), [""; 0]);
    assert_eq!(breaches(&code("sometimes!(\n  f(x) && y,\n  \"a\"\n);\n// sometimes!(\"b\")"), &list(entry)), [""; 0]);
    assert_eq!(breaches(&code("sometimes!(is(\")\"), \"a\");"), &list(entry)), [""; 0]);
    assert_eq!(breaches(&code("sometimes!(\"b\"); sometimes!(\"a\")"), &list(entry)).len(), 1);
    assert_eq!(breaches(&code(""), &list(entry)).len(), 1);
    assert_eq!(breaches(&code("sometimes!(\"a\"); sometimes!(\"a\")"), &list(entry)).len(), 1);
    assert_eq!(breaches(&code("sometimes!(\"a\");"), &list(&entry.replace("routing", "node"))).len(), 1);
}
