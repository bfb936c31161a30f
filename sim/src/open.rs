//! What the simulator has found and nobody has mended yet: by which invariant, and in which plans.
//!
//! A swarm that is told to (`--tolerate-open`) counts these apart and does not fail for them, so that what is new is
//! seen. Each is a debt, told in `sim/FOUND.md`; a line leaves this table in the change that mends it.

use cresset_core::planted::Bug;

use crate::plan::{Fault, Level, Plan};

/// Something that is known not to hold.
pub struct Open {
    /// The invariant.
    pub invariant: &'static str,
    /// In which plans it may be broken.
    pub plans: fn(&Plan) -> bool,
    /// What happens, in a sentence.
    pub story: &'static str,
}

const FALSE_EVIDENCE: &str = "a node that looks dead and is not serves on until its lease ends";
const SILENT_LEADER: &str = "a leader that falls silent is expelled nine seconds later, not five";
const AROUND_A_FAILOVER: &str = "a message may be overtaken around two failovers and a store that stalls";
const TOLD_TWICE: &str = "when a node stops, some are told twice that a session is unavailable";
const EXPELLED_IN_TURN: &str = "a message is lost if its owner is expelled, and then its home before it knows of that";

/// Everything that is open.
pub const OPEN: &[Open] = &[
    Open { invariant: "bound_is_visible", plans: has_false_evidence, story: FALSE_EVIDENCE },
    Open { invariant: "linearizable", plans: has_false_evidence, story: FALSE_EVIDENCE },
    Open { invariant: "linearizable_by_search", plans: has_false_evidence, story: FALSE_EVIDENCE },
    Open { invariant: "one_holder", plans: has_false_evidence, story: FALSE_EVIDENCE },
    Open { invariant: "no_ghosts", plans: has_silence, story: SILENT_LEADER },
    Open { invariant: "order", plans: |plan| !is_of_cores(plan), story: AROUND_A_FAILOVER },
    Open { invariant: "unavailable_once", plans: |_| true, story: TOLD_TWICE },
    Open { invariant: "no_silent_loss", plans: is_of_cores, story: EXPELLED_IN_TURN },
];

/// Planted bugs that no hunt has found yet, which says that the simulator does not look where they are. They are hunted
/// only if asked for by name.
pub const ESCAPING: &[Bug] = &[Bug::SilenceCountsAsCrash];

/// What is known of a broken invariant in a run of this plan.
pub fn known(plan: &Plan, invariant: &str) -> Option<&'static Open> {
    OPEN.iter().find(|open| open.invariant == invariant && (open.plans)(plan))
}

fn has_false_evidence(plan: &Plan) -> bool {
    let is_false = |fault: &Fault| matches!(fault, Fault::FalseCrash { .. });
    plan.episodes.iter().any(|episode| is_false(&episode.fault))
}

fn has_silence(plan: &Plan) -> bool {
    plan.episodes.iter().any(|episode| matches!(episode.fault, Fault::PowerLoss { .. }))
}

fn is_of_cores(plan: &Plan) -> bool {
    plan.level == Level::Cores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants;
    use crate::plan::{BEGINS, Target};

    #[test]
    fn what_is_open_are_invariants_that_exist() {
        for open in OPEN {
            assert!(invariants::ALL.iter().any(|(name, _)| *name == open.invariant), "{}", open.invariant);
        }
    }

    #[test]
    fn a_broken_invariant_is_known_only_where_it_was_seen() {
        let calm = Plan::calm(1);
        let fault = Fault::FalseCrash { node: Target::Leader };
        let lied_to = Plan::calm(1).with(BEGINS, BEGINS, fault);

        assert!(known(&calm, "linearizable").is_none());
        assert!(known(&lied_to, "linearizable").is_some());
        assert!(known(&lied_to, "committed_on_quorum").is_none());
    }
}
