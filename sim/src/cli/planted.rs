//! `cargo sim planted`: every planted bug is found, within as many seeds as is published.

use std::collections::BTreeSet;
use std::num::NonZero;
use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use cresset_core::planted::Bug;
use cresset_sim::hunts::Hunt;
use cresset_sim::trial::{Trial, bug_named};

use super::pool::{End, Pool};
use super::shrink;
use super::subject::level_name;
use super::terminal::say;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only this one
    #[arg(long, value_name = "NAME", value_parser = bug_named)]
    bug: Option<Bug>,
    /// Seeds at most for each bug; as published if not given
    #[arg(long, value_name = "MAX")]
    seeds: Option<NonZero<u64>>,
    /// Make what finds each bug as small as can be
    #[arg(long)]
    shrink: bool,
    /// Runs at most to make one of them small
    #[arg(long, value_name = "N", default_value_t = shrink::RUNS_MAX)]
    runs: usize,
    /// Processes; one per core if not given
    #[arg(long, value_name = "J")]
    jobs: Option<NonZero<usize>>,
    /// Where small scenarios are written
    #[arg(long, value_name = "DIR", default_value = "target/sim-planted")]
    out: PathBuf,
}

/// Which seed found a bug, by which invariant.
struct Found {
    seed: u64,
    invariant: String,
}

/// Hunts bugs.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<bool> {
    let mut pool = Pool::new(arguments.jobs)?;
    let bugs: Vec<Bug> = arguments.bug.map_or_else(|| Bug::ALL.to_vec(), |bug| vec![bug]);
    let (mut escaped, mut sizes) = (Vec::new(), Vec::new());
    let begun = Instant::now();
    for bug in &bugs {
        let hunt = Hunt::of(*bug);
        let most = arguments.seeds.map_or(hunt.seeds_max, NonZero::get);
        let since = Instant::now();
        let found = find(&mut pool, *bug, most)?;
        let (name, level, seconds) = (bug.name(), level_name(hunt.level), since.elapsed().as_secs_f64());
        let Some(Found { seed, invariant }) = found else {
            say(&format!("{name:<28} ESCAPED {most} seeds of {level} ({seconds:.1} s): {}", bug.story()));
            escaped.push(name);
            continue;
        };
        say(&format!("{name:<28} found by seed {seed} of {level}, at most {most}: {invariant} ({seconds:.1} s)"));
        if arguments.shrink {
            let trial = Trial { plan: hunt.plan(seed), bug: Some(*bug) };
            let (small, runs) = shrink::smallest(&mut pool, &trial, &invariant, arguments.runs)?;
            let before = trial.plan.episodes.len();
            sizes.push(small.plan.episodes.len());
            shrink::write_down(&small, &invariant, &arguments.out)?;
            let after = small.plan.episodes.len();
            say(&format!("{:<28} {after} of {before} faults are left after {runs} runs: {small}", ""));
        }
    }
    let (seconds, caught) = (begun.elapsed().as_secs_f64(), bugs.len() - escaped.len());
    say(&format!("{} planted bugs, {caught} found, {} escaped, in {seconds:.0} s", bugs.len(), escaped.len()));
    if !sizes.is_empty() {
        sizes.sort_unstable();
        let (median, most) = (sizes[sizes.len() / 2], sizes[sizes.len() - 1]);
        say(&format!("faults left after shrinking: median {median}, most {most}"));
    }
    Ok(escaped.is_empty())
}

/// The first seed that breaks with the bug what it does not break without it.
fn find(pool: &mut Pool, bug: Bug, most: u64) -> anyhow::Result<Option<Found>> {
    let hunt = Hunt::of(bug);
    let mut next = 1;
    while next <= most {
        let trials = (next..=most).map(|seed| Trial { plan: hunt.plan(seed), bug: Some(bug) });
        let (broken, end) = pool.first_broken(trials, |finished| !finished.broken.is_empty())?;
        anyhow::ensure!(end != End::Interrupted, "interrupted");
        let Some((place, with_bug)) = broken else { return Ok(None) };
        let seed = next + place as u64;
        let sound = Trial::of(hunt.plan(seed));
        let (without_bug, _) = pool.first_broken(std::iter::once(sound), |_| true)?;
        let without_bug = without_bug.map(|(_, finished)| finished).unwrap_or_default();
        let telling = with_bug.broken.iter().find(|broken| !without_bug.has_broken(&broken.invariant));
        if let Some(broken) = telling {
            return Ok(Some(Found { seed, invariant: broken.invariant.clone() }));
        }
        let names: BTreeSet<_> = without_bug.broken.iter().map(|broken| broken.invariant.as_str()).collect();
        say(&format!("{:<28} seed {seed} breaks {names:?} without the bug too: it does not count", bug.name()));
        next = seed + 1;
    }
    Ok(None)
}
