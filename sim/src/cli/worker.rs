//! A process that carries out runs for another one: a line of JSON asks for a run, a line of JSON says how it went.

use std::fs::{self, File};
use std::io::{BufRead, BufWriter, Write, stdin, stdout};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context;
use cresset_sim::history::Event;
use cresset_sim::plan::Plan;
use cresset_sim::probes::Visits;
use cresset_sim::report::{Report, page};
use cresset_sim::scenario::Expectation;
use cresset_sim::timings::Timings;
use cresset_sim::trace::{Detail, Trace, Watcher};
use cresset_sim::trial::{Trial, bug_named};
use serde::{Deserialize, Serialize};

use super::subject::{level_name, scenario_of_seed};

/// Violations that are told of one run.
const BROKEN_MAX: usize = 50;

/// A run that is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Request {
    /// What is to happen.
    pub(crate) plan: Plan,
    /// Which bug is planted.
    pub(crate) bug: Option<String>,
    /// What is expected besides the invariants.
    pub(crate) expect: Vec<Expectation>,
    /// If something does not hold, a scenario and a page are written into this folder.
    pub(crate) keep: Option<PathBuf>,
    /// Every line of the trace is written into this file.
    pub(crate) lines: Option<PathBuf>,
    /// Whether it is carried out once before, of which only the trace is told.
    pub(crate) twice: bool,
}

/// How a run went.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Finished {
    /// What did not hold.
    pub(crate) broken: Vec<Broken>,
    /// The sum of the trace and how many records it has.
    pub(crate) trace: String,
    /// That of the run before, if it was carried out twice.
    pub(crate) trace_before: Option<String>,
    /// How much time was simulated.
    pub(crate) simulated: Duration,
    /// How much time that took.
    pub(crate) took: Duration,
    /// Messages that were sent, acknowledged and received.
    pub(crate) messages: [u64; 3],
    /// Where the nodes were.
    pub(crate) visits: Visits,
    /// How long things took.
    pub(crate) timings: Timings,
    /// What was written about it.
    pub(crate) kept: Vec<PathBuf>,
}

/// Something that did not hold.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Broken {
    /// The invariant.
    pub(crate) invariant: String,
    /// What was seen, with the time.
    pub(crate) text: String,
}

impl Request {
    /// A run, of which nothing is kept but how it went.
    pub(crate) fn of(trial: &Trial) -> Request {
        let bug = trial.bug.map(|bug| bug.name().to_owned());
        Request { plan: trial.plan.clone(), bug, expect: Vec::new(), keep: None, lines: None, twice: false }
    }
}

impl Finished {
    /// Whether this invariant is among those that did not hold.
    pub(crate) fn has_broken(&self, invariant: &str) -> bool {
        self.broken.iter().any(|broken| broken.invariant == invariant)
    }
}

/// Carries out what standard input asks for until it ends.
pub(crate) fn run() -> anyhow::Result<bool> {
    for line in stdin().lock().lines() {
        let request: Request = serde_json::from_str(&line?).context("a request that is none")?;
        let finished = carry_out(&request)?;
        let mut out = stdout().lock();
        serde_json::to_writer(&mut out, &finished)?;
        out.write_all(b"\n")?;
        out.flush()?;
    }
    Ok(true)
}

fn carry_out(request: &Request) -> anyhow::Result<Finished> {
    let bug = request.bug.as_deref().map(bug_named).transpose().map_err(anyhow::Error::msg)?;
    let trial = Trial { plan: request.plan.clone(), bug };
    let silent = || Trace::new(Detail::Nothing, None);
    let trace_before = request.twice.then(|| trace_of(&trial.carry_out(silent()).report));
    let begun = Instant::now();
    let trace = match &request.lines {
        Some(path) => Trace::new(Detail::Packets, Some(writer_to(path)?)),
        None => silent(),
    };
    let mut scenario = scenario_of_seed(trial, None);
    scenario.expect = request.expect.clone();
    let outcome = scenario.carry_out(trace);
    let report = &outcome.report;
    let mut finished = Finished {
        broken: broken(report),
        trace: trace_of(report),
        trace_before,
        simulated: report.history.last().map(|record| record.at).unwrap_or_default(),
        took: begun.elapsed(),
        messages: messages(report),
        visits: outcome.visits.clone(),
        timings: Timings::of(&report.plan, &report.history),
        kept: Vec::new(),
    };
    if let (Some(folder), Some(first)) = (&request.keep, report.violations.first()) {
        let scenario = scenario_of_seed(scenario.trial, Some(first.invariant));
        let stem = format!("{}-{}", level_name(request.plan.level), request.plan.seed.0);
        let paths = [folder.join(format!("{stem}.toml")), folder.join(format!("{stem}.html"))];
        fs::write(&paths[0], scenario.text())?;
        fs::write(&paths[1], page::draw(&scenario, report))?;
        finished.kept = paths.to_vec();
    }
    Ok(finished)
}

fn trace_of(report: &Report) -> String {
    format!("{} of {} records", report.trace, report.records)
}

fn writer_to(path: &PathBuf) -> anyhow::Result<Watcher> {
    let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
    let mut out = BufWriter::new(file);
    // A disk that is full shows in lines that are missing, which is what the reader looks at.
    Ok(Box::new(move |line| drop(writeln!(out, "{line}"))))
}

fn broken(report: &Report) -> Vec<Broken> {
    let first = report.violations.iter().take(BROKEN_MAX);
    first.map(|it| Broken { invariant: it.invariant.to_owned(), text: it.to_string() }).collect()
}

fn messages(report: &Report) -> [u64; 3] {
    let count = |kind: fn(&Event) -> bool| report.count(kind) as u64;
    [
        count(|event| matches!(event, Event::Sent { .. })),
        count(|event| matches!(event, Event::Acknowledged { .. })),
        count(|event| matches!(event, Event::Received { .. })),
    ]
}
