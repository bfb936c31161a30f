//! Mutants: small faults that are drawn from a seed and put into a copy of the production code, many into one build.
//!
//! ```text
//! source (which files) ─▶ sites (what could be changed) ─▶ draw (what is) ─▶ splice (text) ─▶ build (a copy, by cargo)
//!                                                            ▲                                  │
//!                                        equivalents ────────┘◀──── what does not compile ──────┘
//! ```
//!
//! The planted bugs say how good the simulator is at what its authors thought of. Mutants say how good it is at what
//! nobody thought of: the command `cargo sim mutants` counts how many of a fresh sample the simulator alone catches.
//!
//! The invariant: a build in which no mutant is on behaves like the source from which it was made. So each change stands
//! beside the text that it replaces, and the environment says which of both is executed. Two changes never overlap.
//!
//! Nothing here runs a simulation or judges one: the command does.

pub mod build;
pub mod draw;
pub mod equivalents;
mod errors;
mod kind;
pub mod sites;
pub mod source;
mod splice;

use std::ops::Range;

pub use kind::Kind;

/// One change of the production code that could be made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mutation {
    /// The file, seen from the top of the repository.
    pub file: String,
    /// The line in which the changed text begins, from 1.
    pub line: usize,
    /// The function that holds it, with the type to which the function belongs: `Lease::renew`.
    pub function: String,
    /// What is done.
    pub kind: Kind,
    /// The text that is changed, each run of white space as one space.
    pub before: String,
    /// What takes its place; empty if nothing does.
    pub after: String,
    splice: Splice,
}

/// How a change is written into the text: `opening`, then the condition under which it counts, then `closing`.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Splice {
    /// The bytes that are replaced; empty if something is inserted.
    range: Range<usize>,
    opening: String,
    closing: String,
}

impl Mutation {
    /// Whether both change the same text, or one of them a part of what the other one changes.
    pub fn overlaps(&self, other: &Mutation) -> bool {
        let (own, others) = (&self.splice.range, &other.splice.range);
        let shared = own.start < others.end && others.start < own.end;
        self.file == other.file && (own.start == others.start || shared)
    }

    /// The crate and the folder or file in it, as `core/liveness`.
    pub fn room(&self) -> String {
        let mut words = self.file.split('/').filter(|word| *word != "src");
        let (house, room) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        format!("{house}/{}", room.trim_end_matches(".rs"))
    }

    /// Whether it changes the machines of core, which both levels of the simulator run.
    pub fn is_in_core(&self) -> bool {
        self.file.starts_with("core/")
    }
}
