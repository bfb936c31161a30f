//! A run as one page that needs nothing else: what each node was and did, what was broken, who was where, what did not hold.

use crate::report::Report;
use crate::scenario::Scenario;

/// The page.
pub fn draw(scenario: &Scenario, report: &Report) -> String {
    format!("<!doctype html><title>{}</title><pre>{}</pre>", scenario.name, report)
}
