//! One run with everything that it is about: the plan, and the bug that is planted while it goes on.

use std::fmt;

use cresset_core::planted::Bug;

use crate::plan::{Level, Plan};
use crate::probes::Visits;
use crate::report::Report;
use crate::trace::Trace;
use crate::{cores, world};

/// What is to be run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trial {
    /// What is to happen.
    pub plan: Plan,
    /// What is wrong with the nodes, on purpose.
    pub bug: Option<Bug>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// How it went.
    pub report: Report,
    /// Where the nodes were meanwhile.
    pub visits: Visits,
}

impl Trial {
    /// A plan for nodes with which nothing is wrong.
    pub fn of(plan: Plan) -> Trial {
        Trial { plan, bug: None }
    }

    /// Carries it out.
    ///
    /// # Panics
    ///
    /// In a build in which no run can be repeated.
    pub fn carry_out(&self, trace: Trace) -> Outcome {
        switches::plant(self.bug);
        // Visits of whatever went before are nobody's.
        switches::visits();
        let report = carry_out(&self.plan, trace);
        switches::plant(None);
        Outcome { report, visits: switches::visits() }
    }
}

/// Carries a plan out at its level.
///
/// # Panics
///
/// In a build in which no run can be repeated.
pub fn carry_out(plan: &Plan, trace: Trace) -> Report {
    match plan.level {
        Level::Cores => cores::run(plan, trace),
        Level::Nodes => world::run(plan, trace),
    }
}

/// The planted bug of that name, however it is spelt: `VoteNotPersisted`, `vote-not-persisted`.
///
/// # Errors
///
/// If there is none: a sentence that says where the names are.
pub fn bug_named(name: &str) -> Result<Bug, String> {
    let plain = |name: &str| name.replace(['-', '_'], "").to_lowercase();
    let found = Bug::ALL.iter().find(|bug| plain(bug.name()) == plain(name)).copied();
    found.ok_or_else(|| format!("no bug is called '{name}'; `cargo sim bugs` lists them all"))
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.plan)?;
        self.bug.map_or(Ok(()), |bug| write!(f, "; planted: {} ({})", bug.name(), bug.story()))
    }
}

/// What exists only in a build that can see into nodes.
#[cfg(cresset_simulated)]
mod switches {
    use cresset_core::planted::{self, Bug};
    use cresset_core::probe;

    use crate::probes::Visits;

    pub(super) fn plant(bug: Option<Bug>) {
        planted::activate(bug);
    }

    pub(super) fn visits() -> Visits {
        let mut visits = Visits::default();
        for ((name, part), times) in probe::take() {
            visits.add(name, part, times);
        }
        visits
    }
}

/// In any other build nothing can be run either.
#[cfg(not(cresset_simulated))]
mod switches {
    use cresset_core::planted::Bug;

    use crate::probes::Visits;

    pub(super) fn plant(_: Option<Bug>) {}

    pub(super) fn visits() -> Visits {
        Visits::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bug_is_found_however_its_name_is_spelt() {
        let [first, ..] = Bug::ALL else { panic!("there are bugs") };

        assert_eq!(bug_named(first.name()), Ok(*first));
        assert_eq!(bug_named("vote-not-persisted"), Ok(Bug::VoteNotPersisted));
        assert_eq!(bug_named("vote_NOT_persisted"), Ok(Bug::VoteNotPersisted));
        assert!(bug_named("none").is_err_and(|sentence| sentence.contains("cargo sim bugs")));
    }
}
