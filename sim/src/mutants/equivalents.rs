//! Mutations after which the program does the same as before, judged by hand: no simulator can catch them.
//!
//! They stand in `sim/mutants.toml`, each with a reason. The text finds them again, not the line, so an entry lives as
//! long as the code that it is about.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::Deserialize;

use super::Mutation;

/// Where they are written down, seen from the top of the repository.
pub const FILE: &str = "sim/mutants.toml";

/// One of them.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivalent {
    /// The file, seen from the top of the repository.
    pub file: String,
    /// The function, as [`Mutation::function`].
    pub function: String,
    /// The text that is changed, as [`Mutation::before`].
    pub original: String,
    /// What takes its place, as [`Mutation::after`].
    pub mutated: String,
    /// Why nobody can tell the difference.
    pub reason: String,
}

/// All of them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Equivalents {
    #[serde(default)]
    equivalent: Vec<Equivalent>,
}

impl Equivalents {
    /// Reads those of the repository at `top`.
    ///
    /// # Errors
    ///
    /// If the file cannot be read or says something else.
    pub fn read(top: &Path) -> anyhow::Result<Equivalents> {
        let text = fs::read_to_string(top.join(FILE)).with_context(|| format!("{FILE} cannot be read"))?;
        toml::from_str(&text).with_context(|| format!("{FILE} is no list of equivalent mutations"))
    }

    /// Why a mutation changes nothing, if it is one of them.
    pub fn reason(&self, mutation: &Mutation) -> Option<&str> {
        self.equivalent.iter().find(|known| known.is(mutation)).map(|known| known.reason.as_str())
    }

    /// Those that are about code that there is no more.
    pub fn stale(&self, all: &[Mutation]) -> Vec<&Equivalent> {
        self.equivalent.iter().filter(|known| !all.iter().any(|mutation| known.is(mutation))).collect()
    }
}

impl Equivalent {
    fn is(&self, mutation: &Mutation) -> bool {
        let Mutation { file, function, before, after, .. } = mutation;
        (&self.file, &self.function, &self.original, &self.mutated) == (file, function, before, after)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{sites, source};
    use super::*;

    const SOURCE: &str = "impl Lease { fn holds(&self) -> Time { self.now <\n self.until } }";

    #[test]
    fn an_equivalent_is_known_by_its_text_wherever_it_stands() {
        let text = "[[equivalent]]\nfile = \"core/src/a.rs\"\nfunction = \"Lease::holds\"\n\
            original = \"self.now < self.until\"\nmutated = \"self.now <= self.until\"\nreason = \"r\"\n";
        let known: Equivalents = toml::from_str(text).expect("a list");
        let mutations = sites::of_file("core/src/a.rs", &format!("\n\n{SOURCE}")).expect("Rust");

        let reasons: Vec<_> = mutations.iter().map(|mutation| known.reason(mutation)).collect();

        assert_eq!(reasons, [Some("r"), None]);
        assert!(known.stale(&mutations).is_empty());
        assert_eq!(known.stale(&[]).len(), 1);
    }

    #[test]
    fn the_list_of_this_repository_is_about_code_that_is_there() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let known = Equivalents::read(&top).expect("the list can be read");

        let all = source::mutations(&top).expect("the source can be read");

        assert!(known.stale(&all).is_empty(), "{:?}", known.stale(&all));
        assert!(known.equivalent.iter().all(|known| known.reason.len() > 20), "each has a reason");
    }
}
