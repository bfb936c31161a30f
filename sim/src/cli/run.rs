//! `cargo sim run`: one run, shown as it goes on.

use std::time::Instant;

use clap::{ArgAction, Args};
use cresset_sim::scenario::Scenario;
use cresset_sim::trace::{Detail, Trace, Watcher};

use super::subject::Subject;
use super::terminal::say;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Debug, Args)]
pub(super) struct Verbosity {
    /// Show what happens; twice, what nodes log as well; three times, every packet as well
    #[arg(short, action = ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    pub(super) fn detail(&self) -> Detail {
        match self.verbose {
            0 => Detail::Nothing,
            1 => Detail::Events,
            2 => Detail::Log,
            _ => Detail::Packets,
        }
    }
}

/// Runs a seed.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let scenario = arguments.subject.scenario()?;
    Ok(carry_out(&scenario, arguments.verbosity.detail()))
}

/// Runs it here, and shows as much as is wanted.
pub(super) fn carry_out(scenario: &Scenario, detail: Detail) -> bool {
    say(&scenario.trial.to_string());
    let watcher: Watcher = Box::new(say);
    let begun = Instant::now();
    let outcome = scenario.carry_out(Trace::new(detail, Some(watcher)));
    say(&format!("{} ({:.1} s)", outcome.report, begun.elapsed().as_secs_f64()));
    outcome.report.violations.is_empty()
}
