//! `cargo sim replay`: scenario files, whole folders of them, and lists of seeds.

use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cresset_sim::scenario::{self, Scenario, seeds};
use cresset_sim::trial::Trial;

use super::pool::{End, Pool};
use super::progress::Progress;
use super::run::{self, Verbosity};
use super::subject::{draw, level_name, scenario_of_seed};
use super::terminal::say;
use super::worker::Request;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Scenarios, folders of scenarios, or lists of seeds (*.txt)
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    verbosity: Verbosity,
    /// Processes, if there are several scenarios; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Where pages of those that fail are written
    #[arg(long, value_name = "DIR", default_value = "target/sim-failures")]
    out: PathBuf,
}

/// A scenario, and how it is run again.
struct Entry {
    command: String,
    scenario: Scenario,
}

/// Runs what the files say: here if it is one scenario, otherwise on all cores.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut entries = Vec::new();
    for file in &arguments.files {
        entries.extend(entries_of(file)?);
    }
    if let ([file], [entry]) = (arguments.files.as_slice(), entries.as_slice())
        && file.is_file()
    {
        say(&format!("{}: {}", entry.scenario.name, entry.scenario.story.trim()));
        return Ok(run::carry_out(&entry.scenario, arguments.verbosity.detail()));
    }
    all(arguments, &entries)
}

fn entries_of(file: &Path) -> anyhow::Result<Vec<Entry>> {
    if file.is_dir() {
        return scenario::below(file)?.iter().map(|path| entry(path)).collect();
    }
    if file.extension().is_some_and(|extension| extension == "txt") {
        let place = || format!("{}", file.display());
        let text = fs::read_to_string(file).with_context(place)?;
        let found = seeds::parse(&text).map_err(anyhow::Error::msg).with_context(place)?;
        let entry = |it: seeds::FoundSeed| {
            let level = level_name(it.level);
            let scenario = scenario_of_seed(Trial::of(draw(it.level, it.seed)), None);
            Entry { command: format!("run --level {level} --seed {}", it.seed), scenario }
        };
        return Ok(found.into_iter().map(entry).collect());
    }
    Ok(vec![entry(file)?])
}

fn entry(path: &Path) -> anyhow::Result<Entry> {
    Ok(Entry { command: format!("replay {}", path.display()), scenario: Scenario::read(path)? })
}

/// A line for each that fails, and a number at the end.
fn all(arguments: &Arguments, entries: &[Entry]) -> anyhow::Result<bool> {
    fs::create_dir_all(&arguments.out).with_context(|| {
        format!("{} cannot be written into; name another place with --out", arguments.out.display())
    })?;
    let mut pool = Pool::new(arguments.jobs)?;
    let mut progress = Progress::new("scenarios", Some(entries.len() as u64));
    let mut failed = Vec::new();
    let requests = entries.iter().map(|entry| Request {
        expect: entry.scenario.expect.clone(),
        keep: Some(arguments.out.clone()),
        ..Request::of(&entry.scenario.trial)
    });
    let end = pool.drive(requests, None, |number, _, finished| {
        let Entry { command, scenario } = &entries[number];
        progress.count(finished.simulated, !finished.broken.is_empty());
        if !finished.broken.is_empty() {
            progress.tell(&format!("FAILED: {}", scenario.name));
            finished.broken.iter().take(5).for_each(|broken| progress.tell(&format!("    {}", broken.text)));
            progress.tell(&format!("    the same again: cargo sim {command}"));
            failed.push(number);
        }
        ControlFlow::Continue(())
    })?;
    say(&progress.end());
    anyhow::ensure!(end != End::Interrupted, "interrupted");
    say(&format!("{} passed, {} failed", entries.len() - failed.len(), failed.len()));
    Ok(failed.is_empty())
}
