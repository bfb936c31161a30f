//! The house of core: a room imports only rooms on floors below its own.

use crate::paths::named;
use crate::source::{Source, below};

/// Every room of core with its floor. The ground floor may use itself: it is the types that everyone uses.
const FLOORS: &[(u8, &[&str])] = &[
    (5, &["session"]),
    (4, &["routing", "services", "node", "links"]),
    (3, &["stanza", "discovery"]),
    (2, &["xml", "cluster", "liveness", "config", "sasl"]),
    (GROUND, &["time", "limits", "ids", "jid", "wire", "resilience", "admission", "fencing", "probe", "planted"]),
];

const GROUND: u8 = 1;

fn floor(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(_, rooms)| rooms.contains(&room)).map(|(floor, _)| *floor)
}

/// Imports that go up, or sideways to another room, and rooms that are on no floor.
fn breaches(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        let module = module(&source.path);
        let Some(room) = module.first() else { continue };
        let Some(own) = floor(room) else {
            breaches.push(format!("{}: the room '{room}' is on no floor", source.path));
            continue;
        };
        for name in named(source) {
            let Some(other) = room_of(&name.words, &module) else { continue };
            // What is not a room is a name in the root of the crate, like a macro.
            let Some(theirs) = floor(&other) else { continue };
            let is_allowed = other == *room || theirs < own || (own == GROUND && theirs == GROUND);
            if !is_allowed {
                breaches.push(format!(
                    "{}:{}: '{room}' (floor {own}) imports '{other}' (floor {theirs})",
                    source.path, name.line
                ));
            }
        }
    }
    breaches
}

/// `core/src/xml/element.rs` is `["xml", "element"]`; the root is empty.
fn module(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("core/src/").unwrap_or(path).trim_end_matches(".rs");
    let mut module: Vec<String> = inside.split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib")) {
        module.pop();
    }
    module
}

/// The room in which a path of `crate::…` or `super::…` ends up.
fn room_of(words: &[String], module: &[String]) -> Option<String> {
    let ups = words.iter().take_while(|word| *word == "super").count();
    if ups > 0 {
        let stays = module.len().checked_sub(ups)?;
        return module[..stays].first().or_else(|| words.get(ups)).cloned();
    }
    (words.first()? == "crate").then(|| words.get(1).cloned())?
}

#[test]
fn rooms_of_core_import_only_from_below() {
    assert_eq!(breaches(&below("core/src")), [""; 0]);
}

/// R4.13. A rule about what is not there holds nothing, and hides that something has another name.
#[test]
fn every_room_with_a_floor_is_there() {
    let sources = below("core/src");
    let is_there =
        |room: &&str| sources.iter().any(|source| module(&source.path).first().is_some_and(|is| is == *room));

    let empty: Vec<&&str> = FLOORS.iter().flat_map(|(_, rooms)| *rooms).filter(|room| !is_there(room)).collect();

    assert_eq!(empty, [&""; 0]);
}

#[test]
fn planted_imports_are_caught() {
    for (path, planted) in [
        ("core/src/xml/mod.rs", "use crate::session::Session;"),
        ("core/src/cluster/state.rs", "use crate::{ids::Term, xml::Element};"),
        ("core/src/node/mod.rs", "fn f() -> crate::routing::Outbox {}"),
        ("core/src/xml/mod.rs", "use super::stanza::Stanza;"),
        ("core/src/xml/element.rs", "use super::super::stanza::Stanza;"),
        ("core/src/ids.rs", "use crate::cluster::Command;"),
        ("core/src/attic.rs", ""),
    ] {
        assert_eq!(breaches(&[Source::new(path, planted)]).len(), 1, "{path}: {planted}");
    }
}

#[test]
fn imports_from_below_and_from_the_same_room_are_allowed() {
    for (path, allowed) in [
        ("core/src/session/mod.rs", "use crate::{ids::Term, stanza::Stanza};\nuse super::xml::Element;"),
        ("core/src/xml/element.rs", "use super::XmlError; use super::super::limits::X; use crate::xml::Y;"),
        ("core/src/time.rs", "use crate::ids::LogIndex;"),
        ("core/src/lib.rs", "pub use crate::session::Session;"),
    ] {
        assert_eq!(breaches(&[Source::new(path, allowed)]), [""; 0], "{path}");
    }
}
