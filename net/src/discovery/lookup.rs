//! The task that has the questions of a lookup answered.
//!
//! The same question is never under way twice: the system's resolver holds a thread until it gives up, however early the
//! machine does.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use cresset_core::discovery::{Lookup, NoAnswer, Output, Question, QuestionId};
use cresset_core::time::UnixMillis;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio::time::sleep;

use super::{aws, names};
use crate::clock::Clock;

/// What a question led to: addresses, or a reason for people.
pub(super) type Answer = Result<Vec<SocketAddr>, String>;

/// Looks members up until it is aborted.
pub(super) async fn run<C: Clock>(machine: Lookup, clock: C, found: watch::Sender<BTreeSet<SocketAddr>>) {
    let mut asking =
        Asking { machine, under_way: BTreeSet::new(), answers: FuturesUnordered::new(), trouble: BTreeMap::new() };
    loop {
        asking.carry_out(clock.wall(), &found);
        let pause = asking.machine.poll_timeout().map_or(Duration::MAX, |due| due.since(clock.now()));
        tokio::select! {
            biased;
            () = sleep(pause) => asking.machine.handle_timeout(clock.now()),
            Some((id, question, answer)) = asking.answers.next() => {
                asking.tell(&question, answer.as_ref().err());
                asking.under_way.remove(&id);
                asking.machine.handle_answer(clock.now(), id, answer.map_err(|_reason| NoAnswer));
            }
        }
    }
}

struct Asking {
    machine: Lookup,
    under_way: BTreeSet<QuestionId>,
    answers: FuturesUnordered<BoxFuture<'static, (QuestionId, String, Answer)>>,
    /// What is wrong with which question, as the log has it.
    trouble: BTreeMap<String, String>,
}

impl Asking {
    fn carry_out(&mut self, now: UnixMillis, found: &watch::Sender<BTreeSet<SocketAddr>>) {
        while let Some(output) = self.machine.poll_output() {
            match output {
                Output::Ask(id, question) => {
                    let shown = shown(&question);
                    if self.under_way.insert(id) {
                        self.answers.push(answer(question, now).map(move |answer| (id, shown, answer)).boxed());
                    } else {
                        self.tell(&shown, Some(&"no answer yet".to_owned()));
                    }
                }
                Output::Found(members) => {
                    tracing::info!(?members, "found by looking them up");
                    found.send_replace(members);
                }
                // Nobody but the network is sent packets.
                Output::Send(_) => {}
            }
        }
    }

    /// Says that a question has no answer, and that it has one again, once each.
    fn tell(&mut self, question: &str, reason: Option<&String>) {
        match reason {
            Some(reason) => {
                if self.trouble.insert(question.to_owned(), reason.clone()).as_ref() != Some(reason) {
                    tracing::warn!(question, reason, "members cannot be looked up: what was known is kept");
                }
            }
            None => {
                if self.trouble.remove(question).is_some() {
                    tracing::info!(question, "members can be looked up again");
                }
            }
        }
    }
}

async fn answer(question: Question, now: UnixMillis) -> Answer {
    match question {
        Question::Host { name, ports } => names::host(&name, &ports).await,
        Question::Service { name } => names::service(&name).await,
        Question::Instances(settings) => aws::instances(&settings, now).await,
    }
}

fn shown(question: &Question) -> String {
    match question {
        Question::Host { name, .. } => name.clone(),
        Question::Service { name } => format!("{name} (SRV)"),
        Question::Instances(_) => "the instances at AWS".to_owned(),
    }
}
