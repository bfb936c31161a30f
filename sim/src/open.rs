//! What the simulator has found and nobody has mended yet: by which invariant, and in which plans.
//!
//! A swarm that is told to (`--tolerate-open`) counts these apart and does not fail for them, so that what is new is
//! seen. Each is a debt, told in `sim/FOUND.md`; a line leaves this table in the change that mends it.

use std::time::Duration;

use crate::plan::{Episode, Fault, Plan};

/// How long after a silence a node may be without a life.
const NEXT_LIFE_TIME_MAX: Duration = Duration::from_secs(3);

/// Something that is known not to hold.
pub struct Open {
    /// The invariant.
    pub invariant: &'static str,
    /// In which plans it may be broken.
    pub plans: fn(&Plan) -> bool,
    /// What happens, in a sentence.
    pub story: &'static str,
}

/// Everything that is open.
pub const OPEN: &[Open] = &[
    Open {
        invariant: "no_silent_loss",
        plans: |plan| plan.nodes == 2 && plan.episodes.iter().any(takes_the_store),
        story: "what a session gives back when the store is there again goes with the life of the sender's node, if that \
                one ends meanwhile and there are only two",
    },
    Open {
        invariant: "no_silent_loss",
        plans: |plan| plan.episodes.iter().any(|stop| stops_before_the_next_life(plan, stop)),
        story: "a node that is stopped after its life has ended and before the next one has begun takes with it what it had \
                acknowledged and could not decide",
    },
    Open {
        invariant: "order",
        plans: |plan| plan.episodes.iter().any(|episode| episode.fault == Fault::StoreStalls),
        story: "a session that ends while the store stalls keeps what it has not delivered until the store answers, and \
                its correspondents do not wait for that: what they say after a second is stored first",
    },
];

fn takes_the_store(episode: &Episode) -> bool {
    matches!(episode.fault, Fault::StoreStalls | Fault::StoreFails)
}

/// Whether a node may be stopped shortly after it was silent for so long that its life was ended.
fn stops_before_the_next_life(plan: &Plan, stop: &Episode) -> bool {
    let ends_lives =
        |fault: &Fault| matches!(fault, Fault::Isolate { .. } | Fault::OneWay { .. } | Fault::Pause { .. });
    let is_shortly_before = |cut: &Episode| cut.at < stop.at && stop.at <= cut.at + cut.lasts + NEXT_LIFE_TIME_MAX;
    matches!(stop.fault, Fault::Stop { .. })
        && plan.episodes.iter().any(|cut| ends_lives(&cut.fault) && is_shortly_before(cut))
}

/// What is known of a broken invariant in a run of this plan.
pub fn known(plan: &Plan, invariant: &str) -> Option<&'static Open> {
    OPEN.iter().find(|open| open.invariant == invariant && (open.plans)(plan))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invariants;

    #[test]
    fn what_is_open_are_invariants_that_exist() {
        for open in OPEN {
            assert!(invariants::ALL.iter().any(|(name, _)| *name == open.invariant), "{}", open.invariant);
        }
    }
}
