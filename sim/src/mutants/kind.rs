//! The kinds of changes.

use std::fmt;

/// What a mutation does.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// Another comparison: `<` for `<=`, `!=` for `==`.
    Comparison,
    /// Other arithmetic: `-` for `+`, a number that is off by one, the greater of two for the smaller.
    Arithmetic,
    /// Another logical operator, or the opposite of a condition.
    Logic,
    /// A call that is left out.
    DroppedCall,
    /// A function that returns before it does anything.
    EarlyReturn,
    /// Two arguments in the place of each other.
    SwappedArguments,
    /// A future that is dropped and not awaited.
    LostAwait,
    /// A function that returns an empty value.
    Default,
    /// A condition that always holds, or never.
    RemovedGuard,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 9] = [
        Kind::Comparison,
        Kind::Arithmetic,
        Kind::Logic,
        Kind::DroppedCall,
        Kind::EarlyReturn,
        Kind::SwappedArguments,
        Kind::LostAwait,
        Kind::Default,
        Kind::RemovedGuard,
    ];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Comparison => "comparison",
            Kind::Arithmetic => "arithmetic",
            Kind::Logic => "logic",
            Kind::DroppedCall => "dropped call",
            Kind::EarlyReturn => "early return",
            Kind::SwappedArguments => "swapped arguments",
            Kind::LostAwait => "lost await",
            Kind::Default => "default",
            Kind::RemovedGuard => "removed guard",
        })
    }
}
