//! While the account store is away and nothing else breaks, sessions that are up go on: no connection ends but by its
//! client's own will (architecture, section 6).

use std::time::Duration;

use super::found;
use super::losses::{Span, losses};
use super::windows::{Window, windows};
use crate::history::Record;
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// How long before everything must have been whole for nothing else to be the reason.
const WHOLE_BEFORE: Duration = Duration::from_secs(6);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let is_loss = |window: &Window<'_>| matches!(window.fault, Fault::StoreFails | Fault::StoreStalls);
    let is_alone = |lost: &&Window<'_>| {
        let from = lost.from.saturating_sub(WHOLE_BEFORE);
        !windows.iter().any(|other| !is_loss(other) && other.touches(from, lost.to))
    };
    let alone = windows.iter().filter(|window| is_loss(window)).filter(is_alone);
    let times: Vec<Span> = alone.map(|lost| (lost.from, lost.to)).collect();
    losses(history, &times)
        .into_iter()
        .map(|(record, text)| found("store_loss_spares_sessions", record, text))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection};
    use super::*;
    use crate::history::Event;
    use crate::plan::BEGINS;

    fn run(ends_at: u64) -> Vec<Violation> {
        let plan = Plan::calm(1).with(BEGINS, Duration::from_secs(2), Fault::StoreFails);
        let (of, node) = (connection("u1", 1), "n1".to_owned());
        let jid = "u1@d/sim".to_owned();
        let history = [
            at(5_000, Event::LoggedIn { connection: of.clone(), node: node.clone(), jid }),
            at(6_000, Event::Began { episode: 0, nodes: Vec::new() }),
            at(ends_at.min(8_000), Event::Ended { episode: 0 }),
            at(ends_at, Event::Disconnected { connection: of, node, reason: "reset".to_owned() }),
        ];
        check(&plan, &history)
    }

    #[test]
    fn who_goes_on_until_the_store_is_back_is_spared() {
        assert_eq!(run(9_000), []);
    }

    #[test]
    fn who_is_thrown_off_meanwhile_is_caught() {
        let caught = run(7_000);

        assert!(caught[0].text.contains("u1/1 has lost n1: reset"), "{caught:?}");
    }
}
