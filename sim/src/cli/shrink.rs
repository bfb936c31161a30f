//! `cargo sim shrink`: a failing run, made small.

use std::cell::{Cell, RefCell};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use cresset_sim::plan::Plan;
use cresset_sim::report::page;
use cresset_sim::scenario::Scenario;
use cresset_sim::trace::{Detail, Trace};
use cresset_sim::trial::Trial;

use super::pool::{End, Pool};
use super::subject::Subject;
use super::terminal::say;
use super::worker::Finished;

/// Runs after which a plan is small enough.
pub(crate) const RUNS_MAX: usize = 300;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    subject: Subject,
    /// The invariant that is to stay broken; if not given, the first that is
    #[arg(long, value_name = "NAME")]
    invariant: Option<String>,
    /// Runs at most
    #[arg(long, value_name = "N", default_value_t = RUNS_MAX)]
    runs: usize,
    /// Processes; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Where the scenario and its page are written
    #[arg(long, value_name = "DIR", default_value = "target/sim-failures")]
    out: PathBuf,
}

/// Shrinks a run. That it is found to hold is no failure of the command, but nothing was shrunk either.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut scenario = arguments.subject.scenario()?;
    scenario.invariant = arguments.invariant.clone();
    fs::create_dir_all(&arguments.out).with_context(|| {
        format!("{} cannot be written into; name another place with --out", arguments.out.display())
    })?;
    let mut pool = Pool::new(arguments.jobs)?;
    say(&format!("to be shrunk: {} ({})", scenario.trial, arguments.subject.file_stem()));
    let small = shrink(&mut pool, &scenario, &arguments.out, arguments.runs)?;
    Ok(small.is_some())
}

/// Shrinks a scenario and writes what is left of it, as a scenario and a page, into a folder. Absent if it holds.
pub(crate) fn shrink(
    pool: &mut Pool,
    scenario: &Scenario,
    out: &Path,
    runs_max: usize,
) -> anyhow::Result<Option<Trial>> {
    let Some((invariant, _)) = broken_by(pool, &scenario.trial, scenario.invariant.as_deref())? else {
        say("it holds: there is nothing to shrink");
        return Ok(None);
    };
    let (small, runs) = smallest(pool, &scenario.trial, &invariant, runs_max)?;
    say(&format!("after {runs} runs, still breaking {invariant}: {small}"));
    write_down(&small, &invariant, out)?;
    Ok(Some(small))
}

/// Writes a small trial into a folder, as a scenario and a page, and says what can be done with them.
pub(crate) fn write_down(small: &Trial, invariant: &str, out: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(out).with_context(|| format!("{} cannot be written into", out.display()))?;
    let seed = small.plan.seed.0;
    let planted = small.bug.map(|bug| format!("-{}", bug.name().to_lowercase())).unwrap_or_default();
    let stem = format!("{}-{seed}{planted}", invariant.replace('_', "-"));
    let found = Scenario {
        name: stem.clone(),
        story: format!("What is left of seed {seed} when everything is taken away without which it holds."),
        invariant: Some(invariant.to_owned()),
        trial: small.clone(),
        expect: Vec::new(),
    };
    let path = out.join(format!("{stem}.toml"));
    fs::write(&path, found.text()).with_context(|| format!("{} cannot be written", path.display()))?;
    say(&format!("the same again: cargo sim replay {}", path.display()));
    if small.bug.is_none() {
        say("as a test: move it into sim/scenarios/found/ and tell its story; `cargo sim-test` runs what is there");
    }
    // What took its process with it would take this one too.
    if !matches!(invariant, "sound_process" | "the_run_ends") {
        let page = path.with_extension("html");
        let outcome = found.carry_out(Trace::new(Detail::Nothing, None));
        fs::write(&page, page::draw(&found, &outcome.report))?;
        say(&format!("look at it: {}", page.display()));
    }
    Ok(())
}

/// The smallest trial found that breaks the invariant, and how many runs that took.
pub(crate) fn smallest(
    pool: &mut Pool,
    trial: &Trial,
    invariant: &str,
    runs_max: usize,
) -> anyhow::Result<(Trial, usize)> {
    let (runs, failed) = (Cell::new(0), RefCell::new(None));
    let plan = cresset_sim::shrink::shrink(&trial.plan, &mut |plans: &[Plan]| {
        if runs.get() >= runs_max || failed.borrow().is_some() {
            return None;
        }
        let trials = plans.iter().map(|plan| {
            runs.set(runs.get() + 1);
            Trial { plan: plan.clone(), bug: trial.bug }
        });
        match pool.first_broken(trials, |finished| finished.has_broken(invariant)) {
            Ok((first, End::Done | End::TimeOver)) => first.map(|(place, _)| place),
            Ok((_, End::Interrupted)) => {
                failed.replace(Some(anyhow::anyhow!("interrupted")));
                None
            }
            Err(error) => {
                failed.replace(Some(error));
                None
            }
        }
    });
    match failed.into_inner() {
        Some(error) => Err(error),
        None => Ok((Trial { plan, bug: trial.bug }, runs.get())),
    }
}

/// The invariant that a trial breaks: the one asked for, or the first.
fn broken_by(pool: &mut Pool, trial: &Trial, asked: Option<&str>) -> anyhow::Result<Option<(String, Finished)>> {
    let (first, _) = pool.first_broken(std::iter::once(trial.clone()), |finished| {
        asked.map_or(!finished.broken.is_empty(), |asked| finished.has_broken(asked))
    })?;
    Ok(first.map(|(_, finished)| {
        let invariant = asked.map(str::to_owned).or_else(|| finished.broken.first().map(|it| it.invariant.clone()));
        (invariant.unwrap_or_default(), finished)
    }))
}
