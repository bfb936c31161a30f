//! Runs told as small files: what is to happen, why it is of interest, and what is expected besides the invariants.
//!
//! ```toml
//! format = 1
//! name = "the leader's voice is cut"
//! story = "What the leader says does not reach the others, and it hears them. They elect another one."
//! expect = ["leader-changes", "majority-serves", "minority-fences"]
//!
//! [plan]
//! seed = 11
//!
//! [[plan.episodes]]
//! at_ms = 10000
//! lasts_ms = 8000
//! fault = "one-way"
//! node = "leader"
//! way = "out"
//! ```
//!
//! What the plan leaves out is as in [`Plan::calm`]; if it does not say when everything is whole, that is when the last
//! episode ends. What a file says that no plan knows is refused, never skipped.

mod expect;
pub mod seeds;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cresset_core::planted::Bug;
use serde::{Deserialize, Serialize};
use toml::{Table, Value};

use crate::plan::{BEGINS, Plan};
use crate::trace::Trace;
use crate::trial::{Outcome, Trial, bug_named};

pub use expect::Expectation;

/// The version of the files that this simulator reads and writes.
pub const FORMAT: u32 = 1;

/// No scenario is as long.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// A run with its story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Scenario {
    /// In a few words.
    pub name: String,
    /// What happens and why it is of interest, in two sentences.
    pub story: String,
    /// Which invariant it broke when it was found.
    pub invariant: Option<String>,
    /// The plan and the planted bug.
    pub trial: Trial,
    /// What is expected besides the invariants.
    pub expect: Vec<Expectation>,
}

/// A scenario as it stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    format: u32,
    name: String,
    story: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    invariant: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bug: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    expect: Vec<Expectation>,
    plan: Plan,
}

/// A file that is no scenario, in sentences that say what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct NoScenario {
    path: PathBuf,
    problem: String,
}

impl Scenario {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// If it is not there, is no scenario, or is one that cannot be carried out.
    pub fn read(path: &Path) -> Result<Scenario, NoScenario> {
        let refuse = |problem| NoScenario { path: path.to_owned(), problem };
        let bytes = fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
        if bytes > FILE_BYTES_MAX {
            return Err(refuse(format!("{bytes} bytes are no scenario; {FILE_BYTES_MAX} at most can be")));
        }
        let text = fs::read_to_string(path).map_err(|error| refuse(format!("cannot be read: {error}")))?;
        Scenario::parse(&text).map_err(refuse)
    }

    /// Reads a scenario from its text.
    ///
    /// # Errors
    ///
    /// If it is none, or one that cannot be carried out: why, and what to do.
    pub fn parse(text: &str) -> Result<Scenario, String> {
        let mut table: Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
        match table.get("format").map(Value::as_integer) {
            Some(Some(format)) if format == i64::from(FORMAT) => {}
            Some(Some(format)) => {
                return Err(format!(
                    "a scenario of format {format}; this simulator reads format {FORMAT}: use the version of it that \
                     wrote the file, or write the file anew"
                ));
            }
            Some(None) | None => {
                return Err(format!("no scenario: its first line is to be 'format = {FORMAT}'"));
            }
        }
        let Some(Value::Table(given)) = table.remove("plan") else {
            return Err("the scenario has no [plan]".to_owned());
        };
        let (plan, asked) = (complete(&given)?, given);
        table.insert("plan".to_owned(), Value::Table(plan));
        let written: Written = table.clone().try_into().map_err(|error: toml::de::Error| error.to_string())?;
        refuse_unknown(&asked, &written.plan)?;
        let flaws = written.plan.flaws();
        if !flaws.is_empty() {
            return Err(format!("the plan cannot be carried out: {}", flaws.join("; ")));
        }
        let bug = written.bug.as_deref().map(bug_named).transpose()?;
        Ok(Scenario {
            name: written.name,
            story: written.story,
            invariant: written.invariant,
            trial: Trial { plan: written.plan, bug },
            expect: written.expect,
        })
    }

    /// Carries it out. What was expected and did not come to pass is a violation like any other.
    ///
    /// # Panics
    ///
    /// In a build in which no run can be repeated.
    pub fn carry_out(&self, trace: Trace) -> Outcome {
        let mut outcome = self.trial.carry_out(trace);
        let disappointments = self.expect.iter().filter_map(|expected| expected.check(&outcome.report));
        let disappointments: Vec<_> = disappointments.collect();
        outcome.report.violations.extend(disappointments);
        outcome
    }

    /// The text of a file that says all of it.
    pub fn text(&self) -> String {
        let written = Written {
            format: FORMAT,
            name: self.name.clone(),
            story: self.story.clone(),
            invariant: self.invariant.clone(),
            bug: self.trial.bug.map(Bug::name).map(str::to_owned),
            expect: self.expect.clone(),
            plan: self.trial.plan.clone(),
        };
        toml::to_string(&written).expect("a scenario consists of what can be written")
    }
}

/// All scenarios below a folder, in the order of their paths.
///
/// # Errors
///
/// If the folder cannot be read.
pub fn below(folder: &Path) -> Result<Vec<PathBuf>, NoScenario> {
    let refuse = |error: std::io::Error| NoScenario { path: folder.to_owned(), problem: error.to_string() };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(refuse)? {
        let path = entry.map_err(refuse)?.path();
        if path.is_dir() {
            paths.extend(below(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// A plan with all that it leaves out.
fn complete(given: &Table) -> Result<Table, String> {
    let number = |key: &str| given.get(key).and_then(Value::as_integer).and_then(|number| u64::try_from(number).ok());
    let Some(seed) = number("seed") else {
        return Err("the plan needs a seed, a whole number from 0".to_owned());
    };
    let nodes = number("nodes").and_then(|nodes| usize::try_from(nodes).ok()).unwrap_or(3);
    let heals_at = number("heals_at_ms").map_or_else(|| last_end(given), Duration::from_millis);
    let calm = Plan::calm(seed);
    let pace = calm.users.first().map(|user| user.pace).unwrap_or_default();
    let calm = Plan { nodes, ..calm }.with_users(if nodes == 0 { 0 } else { 4 }, pace).healing_at(heals_at);
    let mut plan = Table::try_from(&calm).expect("a plan consists of what can be written");
    plan.extend(given.clone());
    Ok(plan)
}

/// When the last episode ends, or when users begin if there is none.
fn last_end(plan: &Table) -> Duration {
    let episodes = plan.get("episodes").and_then(Value::as_array).into_iter().flatten();
    let number = |episode: &Value, key| episode.get(key).and_then(Value::as_integer).unwrap_or_default();
    let ends = episodes.map(|episode| number(episode, "at_ms").saturating_add(number(episode, "lasts_ms")));
    let last = ends.max().and_then(|end| u64::try_from(end).ok()).map_or(BEGINS, Duration::from_millis);
    last.max(BEGINS)
}

/// Refuses what was asked for and is not in the plan that came of it.
fn refuse_unknown(asked: &Table, plan: &Plan) -> Result<(), String> {
    let known = Value::try_from(plan).expect("a plan consists of what can be written");
    match unknown(&Value::Table(asked.clone()), &known, "plan") {
        Some(path) => Err(format!("{path} is unknown; see sim/src/plan for what a plan can say")),
        None => Ok(()),
    }
}

fn unknown(asked: &Value, known: &Value, path: &str) -> Option<String> {
    match (asked, known) {
        (Value::Table(asked), Value::Table(known)) => asked.iter().find_map(|(key, value)| {
            let path = format!("{path}.{key}");
            known.get(key).map_or_else(|| Some(path.clone()), |known| unknown(value, known, &path))
        }),
        (Value::Array(asked), Value::Array(known)) => {
            let pairs = asked.iter().zip(known).enumerate();
            pairs.into_iter().find_map(|(number, (asked, known))| unknown(asked, known, &format!("{path}[{number}]")))
        }
        (_, _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Fault, Target};

    const SMALL: &str = "format = 1\nname = \"n\"\nstory = \"s\"\n[plan]\nseed = 7\n[[plan.episodes]]\n\
                         at_ms = 8000\nlasts_ms = 2000\nfault = \"crash\"\nnode = \"leader\"\n";

    #[test]
    fn what_a_file_leaves_out_is_as_in_a_calm_plan() {
        let scenario = Scenario::parse(SMALL).expect("a scenario");

        let fault = Fault::Crash { node: Target::Leader };
        let calm = Plan::calm(7).with(Duration::from_secs(8), Duration::from_secs(2), fault);
        assert_eq!(scenario.trial.plan, calm.healing_at(Duration::from_secs(10)));
    }

    #[test]
    fn what_was_written_is_read_again() {
        let mut scenario = Scenario::parse(SMALL).expect("a scenario");
        scenario.trial = Trial { plan: Plan::draw(3), bug: Some(Bug::VoteNotPersisted) };
        scenario.invariant = Some("order".to_owned());
        scenario.expect = vec![Expectation::LeaderChanges];

        assert_eq!(Scenario::parse(&scenario.text()), Ok(scenario));
    }

    #[test]
    fn what_is_no_scenario_is_refused_with_a_sentence() {
        for (text, sentence) in [
            ("", "first line is to be 'format = 1'"),
            ("]", "TOML parse error"),
            (&SMALL.replace("format = 1", "format = 2"), "this simulator reads format 1"),
            (&SMALL.replace("format = 1", "format = \"1\""), "first line is to be"),
            (&SMALL.replace("story", "history"), "unknown field `history`"),
            (&SMALL.replace("[plan]", "[plans]"), "needs a seed"),
            (&SMALL.replace("seed = 7", ""), "needs a seed"),
            (&SMALL.replace("seed = 7", "seed = -7"), "needs a seed"),
            (&SMALL.replace("seed = 7", "seed = 7\nhaste = 1"), "unknown field `haste`"),
            (&SMALL.replace("\"crash\"", "\"crush\""), "unknown variant `crush`"),
            (&SMALL.replace("node = \"leader\"", "node = \"leader\"\nspeed = 1"), "plan.episodes[0].speed is unknown"),
            (&SMALL.replace("\"leader\"", "\"n9\""), "crash is to meet n9"),
            (&SMALL.replace("seed = 7", "seed = 7\nnodes = 0"), "from 1 to 9"),
            (&SMALL.replace("story", "bug = \"Nothing\"\nstory"), "cargo sim bugs"),
            (&SMALL.replace("story", "expect = [\"luck\"]\nstory"), "unknown variant `luck`"),
        ] {
            let refused = Scenario::parse(text).expect_err(sentence);
            assert!(refused.contains(sentence), "{refused}");
        }
    }
}
