//! `cargo sim report`: a run as a page.

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use cresset_sim::report::page;
use cresset_sim::trace::{Detail, Trace};

use super::subject::Subject;
use super::terminal::say;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// The page
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Runs and draws. That something does not hold is what the page is for, and is said by the exit code too.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let scenario = arguments.subject.scenario()?;
    let path = arguments.output.clone().unwrap_or_else(|| format!("{}.html", arguments.subject.file_stem()).into());
    // Better to know before a run than after it.
    let refused = || format!("{} cannot be written; name another place with -o", path.display());
    fs::write(&path, "").with_context(refused)?;
    let outcome = scenario.carry_out(Trace::new(Detail::Nothing, None));
    fs::write(&path, page::draw(&scenario, &outcome.report)).with_context(refused)?;
    say(&outcome.report.to_string());
    say(&format!("look at it: {}", path.display()));
    Ok(outcome.report.violations.is_empty())
}
