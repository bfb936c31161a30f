//! What is printed of mutants.

use std::collections::BTreeMap;

use cresset_sim::mutants::Mutation;

use super::super::terminal::say;
use super::judge::Verdict;

/// How much is printed of a text.
const SHOWN_MAX: usize = 160;

/// How many mutants there were of each outcome.
#[derive(Default)]
pub(super) struct Score {
    /// Those that nobody can tell from the original.
    pub(super) equivalent: usize,
    caught: usize,
    escaped: usize,
    by_invariant: BTreeMap<String, usize>,
    /// Caught, and judged, of each kind and in each room.
    shares: BTreeMap<(&'static str, String), (usize, usize)>,
}

/// What was changed.
pub(super) fn mutant(number: u32, mutation: &Mutation) {
    let Mutation { file, line, kind, function, before, after, .. } = mutation;
    say(&format!("{number:>4}  {file}:{line}  {kind} in {function}"));
    let after = if after.is_empty() { "nothing" } else { after };
    say(&format!("      {}  ->  {}", shown(before), shown(after)));
}

/// That nobody can tell it from the original.
pub(super) fn equivalent(reason: &str) {
    say(&format!("      equivalent: {reason}"));
}

/// How it ended.
pub(super) fn verdict(verdict: &Verdict) {
    match verdict {
        Verdict::Caught { invariant, text, run, after } => {
            say(&format!("      caught by {invariant}: {run}, after {:.1} s", after.as_secs_f64()));
            say(&format!("        {}", shown(text)));
        }
        Verdict::Escaped { runs, has_run } => {
            let ran = if *has_run { "its code ran" } else { "its code was never reached" };
            let [cores, nodes, scenarios] = runs;
            say(&format!("      ESCAPED {cores} seeds of cores, {nodes} of nodes, {scenarios} scenarios: {ran}"));
        }
    }
}

impl Score {
    /// Counts one.
    pub(super) fn add(&mut self, mutation: &Mutation, verdict: &Verdict) {
        let is_caught = match verdict {
            Verdict::Caught { invariant, .. } => {
                *self.by_invariant.entry(invariant.clone()).or_default() += 1;
                true
            }
            Verdict::Escaped { .. } => false,
        };
        *(if is_caught { &mut self.caught } else { &mut self.escaped }) += 1;
        for key in [("kind", mutation.kind.to_string()), ("room", mutation.room())] {
            let (caught, all) = self.shares.entry(key).or_default();
            *caught += usize::from(is_caught);
            *all += 1;
        }
    }

    /// Prints the sums.
    pub(super) fn tell(&self) {
        for ((what, name), (caught, all)) in &self.shares {
            say(&format!("by {what}: {name:<20} {caught} of {all} caught"));
        }
        for (invariant, count) in &self.by_invariant {
            say(&format!("by invariant: {invariant:<32} {count}"));
        }
        let Score { equivalent, caught, escaped, .. } = self;
        let judged = caught + escaped;
        let share = if judged == 0 { 0.0 } else { *caught as f64 / judged as f64 * 100.0 };
        say(&format!(
            "{} mutants: {caught} caught, {escaped} escaped, {equivalent} equivalent: {share:.0} % of {judged}",
            judged + equivalent
        ));
    }
}

/// The first line of a text, not too long.
fn shown(text: &str) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= SHOWN_MAX {
        return line.to_owned();
    }
    let cut: String = line.chars().take(SHOWN_MAX).collect();
    format!("{cut} …")
}
