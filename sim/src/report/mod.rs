//! How a run went, in words and as a page.

pub mod page;
mod view;

use std::fmt;
use std::time::Duration;

use crate::history::{Event, Record};
use crate::plan::Plan;
use crate::trace::TraceHash;

/// An invariant that did not hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// The invariant's name.
    pub invariant: &'static str,
    /// When it was broken, if that is known.
    pub at: Option<Duration>,
    /// What was seen.
    pub text: String,
}

/// How a run went.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was to happen.
    pub plan: Plan,
    /// What happened.
    pub history: Vec<Record>,
    /// What did not hold. Empty is good.
    pub violations: Vec<Violation>,
    /// The sum of everything that happened.
    pub trace: TraceHash,
    /// How many records the trace has.
    pub records: u64,
}

impl Report {
    /// How many events of one kind there were.
    pub fn count(&self, kind: impl Fn(&Event) -> bool) -> usize {
        self.history.iter().filter(|record| kind(&record.event)).count()
    }

    /// When the first event of one kind was, at or after `from`.
    pub fn first(&self, from: Duration, kind: impl Fn(&Event) -> bool) -> Option<Duration> {
        let mut later = self.history.iter().filter(|record| record.at >= from);
        later.find(|record| kind(&record.event)).map(|record| record.at)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(at) => write!(f, "{} at {:.3} s: {}", self.invariant, at.as_secs_f64(), self.text),
            None => write!(f, "{}: {}", self.invariant, self.text),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = if self.violations.is_empty() { "holds" } else { "BROKEN" };
        let sent = self.count(|event| matches!(event, Event::Sent { .. }));
        let acknowledged = self.count(|event| matches!(event, Event::Acknowledged { .. }));
        let received = self.count(|event| matches!(event, Event::Received { .. }));
        write!(
            f,
            "seed {} {verdict}: {sent} messages sent, {acknowledged} acknowledged, {received} received; trace {} of {} records",
            self.plan.seed.0, self.trace, self.records
        )?;
        for violation in &self.violations {
            write!(f, "\n  {violation}")?;
        }
        Ok(())
    }
}
