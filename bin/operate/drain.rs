//! `cresset cluster drain`: has the clients of a member sent to the others, and shows how that goes on.

use std::path::Path;
use std::time::Duration;

use cresset_net::admin::{ClusterStatus, MemberState, Request, ask_status, order};
use tokio::time::{Instant, sleep};

use crate::exit::Failure;
use crate::terminal;

/// How often the node is asked how far it is.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How long it may take until one client fewer is there. Clients that do not go keep what they have.
const PATIENCE: Duration = Duration::from_secs(30);

/// Characters of the progress bar.
const BAR: u64 = 30;

/// Gives the order and waits until the member has no clients.
///
/// # Errors
///
/// If it is refused, or if some clients do not go.
pub(super) async fn drain(socket: &Path, name: &str) -> Result<(), Failure> {
    order(socket, &Request::Drain { name: name.to_owned() }).await.map_err(Failure::asking)?;
    let outcome = follow(socket, name).await;
    terminal::progress("");
    if outcome.is_ok() {
        terminal::say(&format!("{name} has no clients and does not lead: it can be stopped"));
    }
    outcome
}

async fn follow(socket: &Path, name: &str) -> Result<(), Failure> {
    let mut progress = Progress::default();
    let mut last_change = Instant::now();
    loop {
        let status = ask_status(socket).await.map_err(Failure::failed)?;
        let Some(left) = left(&status, name)? else { return Ok(()) };
        if progress.is_news(left) {
            last_change = Instant::now();
            terminal::progress(&progress.bar(left));
        }
        if last_change.elapsed() > PATIENCE {
            return Err(Failure::failed(format_args!(
                "{} after {} s; the drain goes on until '{name}' is stopped or undrained",
                remaining(left),
                PATIENCE.as_secs()
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// How far a drain is.
#[derive(Debug, Default)]
struct Progress {
    most: u64,
    last: Option<Left>,
}

/// What a drained member still has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Left {
    sessions: u64,
    leads: bool,
}

/// Nothing if the member has neither clients nor the lead.
fn left(status: &ClusterStatus, name: &str) -> Result<Option<Left>, Failure> {
    let namesakes = status.members.iter().filter(|member| member.name == name);
    match namesakes.min_by_key(|member| member.state == MemberState::Gone) {
        Some(member) if member.state == MemberState::Draining => {
            let left = Left { sessions: member.sessions, leads: member.leader };
            Ok((left.sessions > 0 || left.leads).then_some(left))
        }
        Some(member) if member.state == MemberState::Gone => {
            Err(Failure::failed(format_args!("'{name}' has ended before it was drained")))
        }
        Some(_) | None => Err(Failure::failed(format_args!("'{name}' is not drained any more"))),
    }
}

fn remaining(left: Left) -> String {
    match (left.sessions, left.leads) {
        (0, _) => "it still leads".to_owned(),
        (sessions, true) => format!("{sessions} sessions are still there, and it leads"),
        (sessions, false) => format!("{sessions} sessions are still there"),
    }
}

impl Progress {
    fn is_news(&mut self, left: Left) -> bool {
        self.most = self.most.max(left.sessions);
        self.last.replace(left) != Some(left)
    }

    fn bar(&self, left: Left) -> String {
        let gone = self.most - left.sessions;
        let full = (gone * BAR).checked_div(self.most).unwrap_or(BAR);
        let cells: String = (0..BAR).map(|cell| if cell < full { '#' } else { '.' }).collect();
        format!("[{cells}] {gone} of {} sessions sent away", self.most)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_grows_with_the_clients_that_have_gone() {
        let mut progress = Progress::default();
        let left = |sessions| Left { sessions, leads: false };
        assert!(progress.is_news(left(10)) && !progress.is_news(left(10)));
        assert_eq!(progress.bar(left(10)), format!("[{}] 0 of 10 sessions sent away", ".".repeat(30)));

        assert!(progress.is_news(left(5)));
        let half = format!("[{}{}] 5 of 10 sessions sent away", "#".repeat(15), ".".repeat(15));
        assert_eq!(progress.bar(left(5)), half);
        assert_eq!(progress.bar(left(0)), format!("[{}] 10 of 10 sessions sent away", "#".repeat(30)));
    }

    #[test]
    fn what_is_left_is_said_in_words() {
        assert_eq!(remaining(Left { sessions: 0, leads: true }), "it still leads");
        assert_eq!(remaining(Left { sessions: 3, leads: false }), "3 sessions are still there");
    }
}
