//! Whether the simulator catches a mutant: it runs the program with the mutant on, until something does not hold that
//! holds without it.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::iter;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::ensure;
use cresset_sim::mutants::Mutation;
use cresset_sim::mutants::build::{ON, REACHED, Workshop};
use cresset_sim::plan::{FIRST_OPERATED_SEED, Level, SWITCHED_FROM};
use cresset_sim::scenario::{self, Scenario};
use cresset_sim::seeds::Seed;
use cresset_sim::trial::Trial;
use rand::RngExt;
use rand::seq::SliceRandom;
use tokio::time::Instant;

use super::super::pool::{ENDLESS, End, Pool, Program};
use super::super::subject::{draw, level_name};
use super::super::swarm::BASE_MAX;
use super::super::terminal::say;
use super::super::worker::{Finished, Request};

/// No run takes as long, even on a busy machine. One that takes longer counts as caught: it does not end.
const RUN_TIME_MAX: Duration = Duration::from_secs(45);

/// How much address space a run may take. A mutant that collects without end is to take its own process with it, and
/// not the machine.
const MEMORY_KIB_MAX: u64 = 6 << 20;

/// The part of the time in which only machines of core run, if the mutant is one of core. Hundreds of those runs take as
/// long as one of whole nodes.
const CORES_PART: f64 = 0.4;

/// Seeds of cores and of nodes by which the program is compared with the one of which it is a copy.
const COMPARED: [(Level, u64); 2] = [(Level::Cores, 60), (Level::Nodes, 2)];

/// How a mutant ended.
pub(super) enum Verdict {
    /// Something did not hold, which holds without it.
    Caught {
        /// The first invariant that did not hold.
        invariant: String,
        /// What it said.
        text: String,
        /// The run.
        run: String,
        /// How long it took to find.
        after: Duration,
    },
    /// Nothing was found in time.
    Escaped {
        /// Runs of cores, of nodes, of scenarios.
        runs: [usize; 3],
        /// Whether the changed code was executed at all.
        has_run: bool,
    },
}

/// Judges mutants, one after the other.
pub(super) struct Judge {
    program: PathBuf,
    workshop: Workshop,
    seed: Seed,
    jobs: Option<NonZero<usize>>,
    time_max: Duration,
    /// The same program without any mutant.
    sound: Pool,
    scenarios: Vec<(String, Request)>,
    /// Runs that fail without any mutant, too. They say nothing.
    failing: BTreeSet<String>,
}

/// A run with its name.
type Run = (String, Request);

impl Judge {
    /// Prepares to judge the mutants of a program, for so long each.
    pub(super) fn new(
        program: PathBuf,
        workshop: Workshop,
        seed: Seed,
        jobs: Option<NonZero<usize>>,
        time_max: Duration,
    ) -> anyhow::Result<Judge> {
        let scenarios = scenarios(&workshop.top().join("sim/scenarios"))?;
        let sound = Pool::of(program_with(&program, Vec::new()), jobs)?;
        Ok(Judge { program, workshop, seed, jobs, time_max, sound, scenarios, failing: BTreeSet::new() })
    }

    /// Makes sure that the program without any mutant is the one of which it is a copy: the same seeds are the same runs.
    pub(super) fn compare(&mut self) -> anyhow::Result<()> {
        let mut original = Pool::new(self.jobs)?;
        for (level, count) in COMPARED {
            let base = self.base(level, 0, 0);
            let runs = || (base..base + count).map(|seed| Request::of(&Trial::of(draw(level, seed))));
            let (mut own, mut others) = (BTreeSet::new(), BTreeSet::new());
            for (pool, traces) in [(&mut original, &mut own), (&mut self.sound, &mut others)] {
                pool.drive(runs(), None, |number, _, finished| {
                    traces.insert((number, finished.trace));
                    ControlFlow::Continue(())
                })?;
            }
            let differing = own.difference(&others).count();
            if differing > 0 {
                let name = level_name(level);
                say(&format!("with no mutant on, {differing} of {count} seeds of {name} are other runs than before"));
            }
        }
        Ok(())
    }

    /// Looks for a mutant.
    pub(super) fn judge(&mut self, number: u32, mutation: &Mutation) -> anyhow::Result<Verdict> {
        let reached = self.workshop.file("reached");
        drop(fs::remove_file(&reached));
        let variables = vec![(ON, OsString::from(number.to_string())), (REACHED, reached.clone().into_os_string())];
        let mut pool = Pool::of(program_with(&self.program, variables), self.jobs)?;
        let begun = Instant::now();
        let until = begun + self.time_max;
        let (runs, mut counts) = (self.runs(number, mutation.is_in_core(), begun), [0; 3]);
        let mut runs = runs.into_iter();
        while Instant::now() < until {
            let Some((name, request, finished)) = first_broken(&mut pool, &mut runs, until, &mut counts)? else {
                break;
            };
            let after = begun.elapsed();
            // On a machine that is busy with other things a run may take too long once.
            if finished.has_broken(ENDLESS) && once(&mut pool, &request)?.broken.is_empty() {
                say(&format!("      {name} took too long once, and not again: it does not count"));
                continue;
            }
            if !once(&mut self.sound, &request)?.broken.is_empty() {
                say(&format!("      {name} breaks something without the mutant, too: it does not count"));
                self.failing.insert(name);
                continue;
            }
            if let Some(broken) = finished.broken.into_iter().next() {
                return Ok(Verdict::Caught { invariant: broken.invariant, text: broken.text, run: name, after });
            }
        }
        Ok(Verdict::Escaped { runs: counts, has_run: reached.exists() })
    }

    /// The first seed of a level for the mutant of a number, above `from`.
    fn base(&self, level: Level, from: u64, number: u32) -> u64 {
        let mut random = self.seed.generator("seeds of runs", from + u64::from(number));
        match level {
            Level::Cores if from == 0 => random.random_range(1..SWITCHED_FROM / 2),
            Level::Cores => random.random_range(from..BASE_MAX),
            Level::Nodes => random.random_range(FIRST_OPERATED_SEED..BASE_MAX),
        }
    }

    /// Runs without end: of machines of core for a while, if these have the mutant, then of nodes, by turns of a fresh
    /// seed and of a scenario.
    fn runs(&self, number: u32, is_in_core: bool, begun: Instant) -> impl Iterator<Item = Run> + use<> {
        let cores_until = begun + if is_in_core { self.time_max.mul_f64(CORES_PART) } else { Duration::ZERO };
        let mut scenarios = self.scenarios.clone();
        scenarios.shuffle(&mut self.seed.generator("order of scenarios", u64::from(number)));
        let of_seed = |level: Level, name: &str, seed: u64| {
            (format!("seed {seed} of {name}"), Request::of(&Trial::of(draw(level, seed))))
        };
        let [mut plain, mut switched] = [0, SWITCHED_FROM].map(|from| self.base(Level::Cores, from, number)..);
        let mut nodes = self.base(Level::Nodes, 0, number)..;
        let mut turn = 0_u64;
        let failing = self.failing.clone();
        iter::from_fn(move || {
            turn += 1;
            if Instant::now() < cores_until {
                let seeds = if turn.is_multiple_of(4) { &mut switched } else { &mut plain };
                return seeds.next().map(|seed| of_seed(Level::Cores, "cores", seed));
            }
            let scenario = if turn.is_multiple_of(2) { scenarios.pop() } else { None };
            scenario.or_else(|| nodes.next().map(|seed| of_seed(Level::Nodes, "nodes", seed)))
        })
        .filter(move |(name, _)| !failing.contains(name))
    }
}

/// How one run goes.
fn once(pool: &mut Pool, request: &Request) -> anyhow::Result<Finished> {
    let mut how = Finished::default();
    let end = pool.drive(iter::once(request.clone()), None, |_, _, finished| {
        how = finished;
        ControlFlow::Continue(())
    })?;
    ensure!(end != End::Interrupted, "interrupted");
    Ok(how)
}

/// The first of these runs that breaks something before the time is over. Counts runs of cores, nodes and scenarios.
fn first_broken(
    pool: &mut Pool,
    runs: &mut impl Iterator<Item = Run>,
    until: Instant,
    counts: &mut [usize; 3],
) -> anyhow::Result<Option<(String, Request, Finished)>> {
    let names = RefCell::new(Vec::new());
    let requests = runs.map(|(name, request)| {
        names.borrow_mut().push(name);
        request
    });
    let mut found = None;
    let end = pool.drive(requests, Some(until), |number, request, finished| {
        let name = names.borrow()[number].clone();
        let place = match (request.plan.level, name.starts_with("seed ")) {
            (_, false) => 2,
            (Level::Cores, true) => 0,
            (Level::Nodes, true) => 1,
        };
        counts[place] += 1;
        if finished.broken.is_empty() {
            return ControlFlow::Continue(());
        }
        found.get_or_insert((name, request.clone(), finished));
        ControlFlow::Break(())
    })?;
    ensure!(end != End::Interrupted, "interrupted");
    Ok(found)
}

fn program_with(path: &Path, variables: Vec<(&'static str, OsString)>) -> Program {
    let path = path.to_owned();
    Program { path, variables, memory_kib_max: Some(MEMORY_KIB_MAX), run_time_max: RUN_TIME_MAX }
}

/// All scenarios below a folder, by the name of the file. One that plants a bug is none.
fn scenarios(folder: &Path) -> anyhow::Result<Vec<Run>> {
    let mut all = Vec::new();
    for path in scenario::below(folder)? {
        let scenario = Scenario::read(&path)?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if scenario.trial.bug.is_none() {
            all.push((name, Request { expect: scenario.expect.clone(), ..Request::of(&scenario.trial) }));
        }
    }
    Ok(all)
}
