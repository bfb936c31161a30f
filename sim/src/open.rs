//! What the simulator has found and nobody has mended yet: by which invariant, and in which plans.
//!
//! A swarm that is told to (`--tolerate-open`) counts these apart and does not fail for them, so that what is new is
//! seen. Each is a debt, told in `sim/FOUND.md`; a line leaves this table in the change that mends it.

use cresset_core::planted::Bug;

use crate::plan::{Level, Plan};

/// Something that is known not to hold.
pub struct Open {
    /// The invariant.
    pub invariant: &'static str,
    /// In which plans it may be broken.
    pub plans: fn(&Plan) -> bool,
    /// What happens, in a sentence.
    pub story: &'static str,
}

const WHILE_LOGGING_OUT: &str = "what is said to somebody who logs out may be stored before what was said earlier";

/// Everything that is open.
pub const OPEN: &[Open] = &[Open { invariant: "order", plans: delays_nodes, story: WHILE_LOGGING_OUT }];

/// Planted bugs that no hunt has found yet, which says that the simulator does not look where they are. They are hunted
/// only if asked for by name.
pub const ESCAPING: &[Bug] = &[Bug::NameForgotten, Bug::OneWitnessIsEnough, Bug::SilenceCountsAsCrash];

/// What is known of a broken invariant in a run of this plan.
pub fn known(plan: &Plan, invariant: &str) -> Option<&'static Open> {
    OPEN.iter().find(|open| open.invariant == invariant && (open.plans)(plan))
}

/// Whether nodes may learn of a presence at different times. Users of level 1 log out in one step.
fn delays_nodes(plan: &Plan) -> bool {
    plan.level == Level::Nodes && plan.nodes > 1 && !plan.episodes.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants;
    use crate::plan::{BEGINS, Fault, Target};

    #[test]
    fn what_is_open_are_invariants_that_exist() {
        for open in OPEN {
            assert!(invariants::ALL.iter().any(|(name, _)| *name == open.invariant), "{}", open.invariant);
        }
    }

    #[test]
    fn a_broken_invariant_is_known_only_where_it_was_seen() {
        let calm = Plan::calm(1);
        let fault = Fault::Isolate { node: Target::Leader };
        let cut = Plan::calm(1).with(BEGINS, BEGINS, fault);

        assert!(known(&calm, "order").is_none());
        assert!(known(&cut, "order").is_some());
        assert!(known(&Plan { level: Level::Cores, ..cut.clone() }, "order").is_none());
        assert!(known(&cut, "committed_on_quorum").is_none());
    }
}
