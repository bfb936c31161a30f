//! Nobody waits for a stranger (P10): whatever some clients leave unacknowledged, what others ask each other is answered at
//! once. It is judged in plans in which nothing else is broken, so that a moment is a moment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::found;
use crate::history::{Connection, Event, Record};
use crate::plan::{Fault, Plan};
use crate::report::Violation;

/// How long a question and its answer may take. Half of what is promised: nothing is in their way.
const MOMENT: Duration = Duration::from_millis(500);

/// How long the cluster is as it was before, when something that was broken is whole.
const AFTERMATH: Duration = Duration::from_secs(12);

pub(super) fn check(plan: &Plan, history: &[Record]) -> Vec<Violation> {
    if !plan.looks_at_strangers() {
        return Vec::new();
    }
    let users = plan.user_names();
    let is_honest = |name: &str| users.iter().any(|user| user == name) && !never_acknowledges(plan, &users, name);
    let mut waiting: BTreeMap<&str, (&Connection, &str, Duration)> = BTreeMap::new();
    let mut violations = Vec::new();
    for record in history {
        let late = waiting.extract_if(.., |_, (.., asked)| record.at > *asked + MOMENT);
        violations.extend(late.map(|(id, (connection, to, asked))| {
            let text = format!("{connection} asked {to} at {:.3} s ({id}) and still waits", asked.as_secs_f64());
            found("strangers_do_not_wait", record, text)
        }));
        match &record.event {
            Event::Asked { connection, to, id, .. } => {
                let asked = to.split_once('@').map_or("", |(name, _)| name);
                if is_honest(connection.account()) && is_honest(asked) && is_calm(plan, record.at) {
                    waiting.insert(id, (connection, to, record.at));
                }
            }
            Event::Answered { id, .. } => drop(waiting.remove(id.as_str())),
            // What was on its way to or from a connection that ends is lost with it.
            Event::Disconnected { connection, .. } | Event::LoggedOut { connection, .. } => {
                let name = format!("{}@", connection.account());
                waiting.retain(|_, (by, to, _)| *by != connection && !to.starts_with(&name));
            }
            _ => {}
        }
    }
    violations
}

fn never_acknowledges(plan: &Plan, users: &[String], name: &str) -> bool {
    let is_so = |fault: &Fault| matches!(fault, Fault::NeverAcknowledges { user } if users[*user] == name);
    plan.episodes.iter().any(|episode| is_so(&episode.fault))
}

/// Whether nothing else is broken, or was not long since.
fn is_calm(plan: &Plan, at: Duration) -> bool {
    plan.episodes.iter().all(|episode| match episode.fault {
        Fault::NeverAcknowledges { .. } => true,
        _ => at + MOMENT < episode.at || episode.ends() + AFTERMATH < at,
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{at, connection};
    use super::*;

    #[test]
    fn who_waits_because_of_somebody_else_is_found_and_who_waits_for_him_is_not() {
        let seconds = Duration::from_secs;
        let plan = Plan::calm(1).with(seconds(1), seconds(20), Fault::NeverAcknowledges { user: 1 });
        let asked = |milliseconds, to: &str| {
            let (connection, node, id) = (connection("u1", 1), "n1".to_owned(), to.to_owned());
            at(milliseconds, Event::Asked { connection, node, to: format!("{to}@d/sim"), id })
        };
        let answered = |milliseconds, to: &str| {
            at(milliseconds, Event::Answered { connection: connection("u1", 1), id: to.to_owned(), error: None })
        };

        assert_eq!(check(&plan, &[asked(2000, "u3"), answered(2100, "u3")]), []);
        assert_eq!(check(&plan, &[asked(2000, "u2"), answered(9000, "u2")]), []);
        assert_eq!(check(&plan, &[asked(2000, "u3"), answered(2600, "u3")]).len(), 1);
        assert_eq!(check(&Plan::calm(1), &[asked(2000, "u3"), answered(2600, "u3")]), []);
    }
}
