//! Nobody loses a connection because clustering is switched off or on. Where nothing else breaks, a connection that was up
//! when the switch was thrown ends by its client's own will.

use std::time::Duration;

use super::found;
use super::losses::{Span, losses};
use super::windows::windows;
use crate::history::Record;
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// How long before the switch is thrown everything must have been whole for nothing else to be the reason: a machine
/// without power is missed for so long, and what was said to it waits.
const WHOLE_BEFORE: Duration = Duration::from_secs(5);

/// How long after the switch was thrown what happens may come of it.
const COMES_OF_IT: Duration = Duration::from_secs(6);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    let windows = windows(plan, history);
    let is_alone = |from: Duration, to: Duration| {
        let touching = windows.iter().filter(|window| window.touches(from.saturating_sub(WHOLE_BEFORE), to));
        touching.count() == 1
    };
    let switches = windows.iter().filter(|window| *window.fault == Fault::SwitchedOff);
    let times: Vec<Span> =
        switches.map(|off| (off.from, off.to + COMES_OF_IT)).filter(|(from, to)| is_alone(*from, *to)).collect();
    losses(history, &times).into_iter().map(|(record, text)| found("switch_keeps_sessions", record, text)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection};
    use super::*;
    use crate::history::Event;
    use crate::plan::BEGINS;

    fn run(before_the_end: Option<Event>) -> Vec<Violation> {
        let off = Duration::from_secs(8);
        let plan = Plan::calm(1).with(BEGINS, off, Fault::SwitchedOff).healing_at(BEGINS + off);
        let of = connection("u1", 1);
        let (node, jid) = ("n1".to_owned(), "u1@d/sim".to_owned());
        let mut history = vec![
            at(5_000, Event::LoggedIn { connection: of.clone(), node: node.clone(), jid }),
            at(6_000, Event::Began { episode: 0, nodes: Vec::new() }),
        ];
        history.extend(before_the_end.map(|event| at(6_500, event)));
        history.extend([
            at(7_000, Event::Disconnected { connection: of, node, reason: "system-shutdown".to_owned() }),
            at(14_000, Event::Ended { episode: 0 }),
        ]);
        check(&plan, &history)
    }

    #[test]
    fn who_goes_by_himself_has_lost_nothing() {
        assert_eq!(run(Some(Event::LoggedOut { connection: connection("u1", 1), node: "n1".to_owned() })), []);
    }

    #[test]
    fn who_is_thrown_off_is_caught() {
        let caught = run(None);

        assert!(caught[0].text.contains("u1/1 has lost n1: system-shutdown"), "{caught:?}");
    }
}
