//! Where each value of a configuration came from, and what of the files had no effect.

use std::collections::BTreeMap;

use super::files::Files;
use super::problem::Place;

/// Where values came from, by what they are called in the whole: `cluster/network/port`, `cluster/lease@milliseconds`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Origins(BTreeMap<String, Origin>);

/// Where one value came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Origin {
    /// A file says it; with whose value, if it is written with variables.
    Said { place: Place, note: Option<String> },
    /// It follows from something else, for this reason.
    Follows(String),
}

impl Origin {
    pub(super) fn at(place: Place, note: Option<&str>) -> Self {
        Origin::Said { place, note: note.map(str::to_owned) }
    }
}

impl Origins {
    pub(super) fn insert(&mut self, name: String, origin: Origin) {
        self.0.insert(name, origin);
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// In words: a file and its line, a reason, or `default`.
    pub(super) fn describe(&self, name: &str, files: &Files) -> String {
        match self.0.get(name) {
            None => "default".to_owned(),
            Some(Origin::Follows(reason)) => reason.clone(),
            Some(Origin::Said { place, note: None }) => files.line(*place),
            Some(Origin::Said { place, note: Some(note) }) => format!("{}, {note}", files.line(*place)),
        }
    }
}

/// Something in a file that has no effect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ignored {
    /// Where it stands first.
    pub place: Place,
    /// What it is called, like `<map>`.
    pub name: String,
    /// How often it stands there.
    pub count: u32,
    /// Why it has none.
    pub reason: String,
}
