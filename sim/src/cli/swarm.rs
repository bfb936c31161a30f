//! `cargo sim swarm`: many seeds on all cores, with numbers at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use cresset_core::planted::Bug;
use cresset_sim::hunts::Hunt;
use cresset_sim::open;
use cresset_sim::plan::{Level, Plan};
use cresset_sim::probes::{PARTS, PROBES, Probe, Visits, word};
use cresset_sim::scenario::Scenario;
use cresset_sim::timings::{Timings, distribution};
use cresset_sim::trial::{Trial, bug_named};
use rand::TryRng;
use rand::rngs::SysRng;
use tokio::time::Instant;

use super::pool::{End, Pool};
use super::progress::Progress;
use super::shrink;
use super::subject::{draw, level, level_name, scenario_of_seed, seed};
use super::terminal::say;
use super::worker::{Finished, Request};

/// Base seeds are below this, so that they can be read aloud.
pub(super) const BASE_MAX: u64 = 1_000_000_000;

/// Failing runs of which a scenario and a page are written.
const KEPT_MAX: usize = 20;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// For how long
    #[arg(long, value_name = "M", required_unless_present = "seeds", conflicts_with = "seeds", value_parser = minutes)]
    minutes: Option<Duration>,
    /// How many
    #[arg(long, value_name = "N")]
    seeds: Option<NonZero<u64>>,
    /// What is simulated: 'nodes', whole ones, or only their 'cores'
    #[arg(long, value_parser = level, default_value = "nodes")]
    level: Level,
    /// The first seed; drawn and printed if it is not given
    #[arg(long, value_name = "N", value_parser = seed)]
    base: Option<u64>,
    /// Processes; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// A bug to plant meanwhile; `cargo sim bugs` lists them
    #[arg(long, value_name = "NAME", value_parser = bug_named)]
    bug: Option<Bug>,
    /// Take the plans by which this bug is hunted, in place of those of the seeds; it is not planted
    #[arg(long, value_name = "NAME", value_parser = bug_named, conflicts_with = "level")]
    like: Option<Bug>,
    /// Where scenarios and pages of failing runs are written
    #[arg(long, value_name = "DIR", default_value = "target/sim-failures")]
    out: PathBuf,
    /// Do not fail for what is known and not mended yet (see sim/FOUND.md); it is counted apart
    #[arg(long)]
    tolerate_open: bool,
    /// Make one failing run of each broken invariant small
    #[arg(long)]
    shrink: bool,
    /// Print in how many runs each place was visited, and by whom
    #[arg(long)]
    visits: bool,
}

impl Arguments {
    fn plan(&self, seed: u64) -> Plan {
        self.like.map_or_else(|| draw(self.level, seed), |bug| Hunt::of(bug).plan(seed))
    }
}

/// What a swarm has seen so far.
#[derive(Default)]
struct Seen {
    visits: Visits,
    /// Each place once for every run in which it was visited.
    runs_with: Visits,
    timings: Timings,
    messages: [u64; 3],
    failures: BTreeMap<u64, Finished>,
    /// Failing seeds of which everything is known.
    open: BTreeMap<u64, Vec<&'static str>>,
    kept: usize,
}

/// Runs seeds until the time is over, or as many as asked for.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    fs::create_dir_all(&arguments.out).with_context(|| {
        format!("{} cannot be written into; name another place with --out", arguments.out.display())
    })?;
    let mut pool = Pool::new(arguments.jobs)?;
    let base = arguments.base.map_or_else(drawn_base, Ok)?;
    let name = level_name(arguments.level);
    say(&format!(
        "base seed {base}, {} processes; the same again: cargo sim swarm --level {name} --base {base}",
        pool.jobs()
    ));
    let most = arguments.seeds.map(NonZero::get);
    let seeds = base..most.map_or(u64::MAX, |most| base.saturating_add(most));
    let mut progress = Progress::new(name, most);
    let mut seen = Seen::default();
    // A worker cannot know how many failures others have written down.
    let keep = std::cell::Cell::new(true);
    let requests = seeds.map(|seed| Request {
        keep: keep.get().then(|| arguments.out.clone()),
        ..Request::of(&Trial { plan: arguments.plan(seed), bug: arguments.bug })
    });
    let until = arguments.minutes.map(|minutes| Instant::now() + minutes);
    let end = pool.drive(requests, until, |_, request, finished| {
        progress.count(finished.simulated, !finished.broken.is_empty());
        if arguments.tolerate_open && seen.is_open(request, &finished) {
            seen.merge(finished);
            return ControlFlow::Continue(());
        }
        seen.add(request, finished, &progress, &arguments.out);
        keep.set(seen.kept < KEPT_MAX);
        ControlFlow::Continue(())
    })?;
    let runs = progress.runs();
    say(&progress.end());
    if end == End::Interrupted {
        say("interrupted: what was under way is not counted");
    }
    let all_visited = tell(arguments, &seen, runs);
    if arguments.shrink && end != End::Interrupted {
        shrink_some(arguments, &mut pool, &seen)?;
    }
    Ok(seen.failures.is_empty() && all_visited)
}

impl Seen {
    /// Notes what is known of a failing run; whether that is everything.
    fn is_open(&mut self, request: &Request, finished: &Finished) -> bool {
        let known = finished.broken.iter().map(|broken| open::known(&request.plan, &broken.invariant));
        let Some(known) = known.collect::<Option<Vec<_>>>().filter(|known| !known.is_empty()) else { return false };
        let stories: BTreeSet<_> = known.into_iter().map(|open| open.story).collect();
        self.open.insert(request.plan.seed.0, stories.into_iter().collect());
        true
    }

    /// In how many runs a place was visited, by each part.
    fn visits_of(&self, probe: &Probe) -> String {
        let by = PARTS.iter().map(|part| (word(*part), self.runs_with.by(probe.name, *part)));
        let by: Vec<_> = by.filter(|(_, runs)| *runs > 0).map(|(word, runs)| format!("{word} in {runs}")).collect();
        format!("  visits: {} ({}): {}", probe.name, probe.room, by.join(", "))
    }

    fn merge(&mut self, mut finished: Finished) -> Finished {
        self.runs_with.add_run(&finished.visits);
        self.visits.merge(std::mem::take(&mut finished.visits));
        self.timings.merge(std::mem::take(&mut finished.timings));
        self.messages.iter_mut().zip(finished.messages).for_each(|(sum, more)| *sum += more);
        finished
    }

    fn add(&mut self, request: &Request, finished: Finished, progress: &Progress, out: &Path) {
        let mut finished = self.merge(finished);
        let Some(first) = finished.broken.first() else { return };
        let (seed, level) = (request.plan.seed.0, level_name(request.plan.level));
        progress.tell(&format!("seed {seed} BROKEN: {}", first.text));
        if finished.kept.is_empty() && self.kept < KEPT_MAX {
            // The worker died before it could write anything down.
            let bug = request.bug.as_deref().and_then(|name| bug_named(name).ok());
            let trial = Trial { plan: request.plan.clone(), bug };
            let path = out.join(format!("{level}-{seed}.toml"));
            match fs::write(&path, scenario_of_seed(trial, Some(&first.invariant)).text()) {
                Ok(()) => finished.kept.push(path),
                Err(error) => progress.tell(&format!("  {} cannot be written: {error}", path.display())),
            }
        }
        if let Some(path) = finished.kept.first() {
            self.kept += 1;
            progress.tell(&format!("  the same again: cargo sim replay {}", path.display()));
        }
        if let Some(path) = finished.kept.get(1) {
            progress.tell(&format!("  look at it: {}", path.display()));
        }
        self.failures.insert(seed, finished);
    }
}

/// Says what was seen; whether every place was visited that has to be.
fn tell(arguments: &Arguments, seen: &Seen, runs: u64) -> bool {
    let [sent, acknowledged, received] = seen.messages;
    say(&format!("messages: {sent} sent, {acknowledged} acknowledged, {received} received"));
    say(&format!("whole again after a heal: {}", distribution(&seen.timings.converged_ms)));
    say(&format!("users back after losing their node: {}", distribution(&seen.timings.back_ms)));
    let never = seen.visits.never(PROBES);
    say(&format!("places visited: {} of {}", PROBES.len() - never.len(), PROBES.len()));
    for probe in &never {
        say(&format!("  never: {} ({})", probe.name, probe.room));
    }
    if arguments.visits {
        PROBES.iter().for_each(|probe| say(&seen.visits_of(probe)));
    }
    let mut missing = seen.visits.missing(PROBES, arguments.level, runs);
    // With a bug not everything is reached, and the plans of a hunt do not go everywhere.
    if arguments.bug.is_some() || arguments.like.is_some() {
        missing.clear();
    }
    missing.iter().for_each(|text| say(&format!("  REQUIRED and not visited: {text}")));
    let stories: BTreeSet<_> = seen.open.values().flatten().collect();
    for story in stories {
        let seeds: Vec<_> = seen.open.iter().filter(|(_, of)| of.contains(story)).map(|(seed, _)| *seed).collect();
        say(&format!("open: {story}: {} seeds, {} first", seeds.len(), seeds[0]));
    }
    if !seen.failures.is_empty() {
        let mut by_invariant: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for (seed, finished) in &seen.failures {
            let names: BTreeSet<&str> = finished.broken.iter().map(|broken| broken.invariant.as_str()).collect();
            names.into_iter().for_each(|name| by_invariant.entry(name).or_default().push(*seed));
        }
        for (invariant, seeds) in by_invariant {
            say(&format!("broken: {invariant} by {} seeds, {} first", seeds.len(), seeds[0]));
        }
    }
    missing.is_empty()
}

/// One failing run of each broken invariant is made small.
fn shrink_some(arguments: &Arguments, pool: &mut Pool, seen: &Seen) -> anyhow::Result<()> {
    let mut done = BTreeSet::new();
    for finished in seen.failures.values() {
        let (Some(first), Some(path)) = (finished.broken.first(), finished.kept.first()) else { continue };
        if done.insert(first.invariant.clone()) {
            let scenario = Scenario::read(path)?;
            shrink::shrink(pool, &scenario, &arguments.out, shrink::RUNS_MAX)?;
        }
    }
    Ok(())
}

/// A seed below [`BASE_MAX`] that nobody has chosen.
///
/// # Errors
///
/// If the system has no randomness.
pub(super) fn drawn_base() -> anyhow::Result<u64> {
    Ok(SysRng.try_next_u64().context("no randomness for a base seed; give one with --base")? % BASE_MAX)
}

/// A time from the command line.
pub(super) fn minutes(text: &str) -> Result<Duration, String> {
    let minutes = text.parse::<f64>().ok().filter(|minutes| *minutes > 0.0 && *minutes <= 60.0 * 24.0 * 7.0);
    minutes.map(|minutes| Duration::from_secs_f64(minutes * 60.0)).ok_or_else(|| "minutes, up to a week".to_owned())
}
