//! What operators and load balancers are told, and how operators' orders reach the control task.
//!
//! Why clients cannot log in is said by the control task, in core's words. One reason it does not know: that the account
//! store is away, which is looked at here when somebody asks, and not more than once in a second.

use std::sync::Arc;
use std::time::Duration;

use cresset_core::admission::Budget;
use cresset_core::cluster::Happening;
use cresset_core::node::{Order, Refusal, TimesWanted, Unready};
use futures_util::FutureExt;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::accounts::ClusterStore;
use crate::admin::{self, ClusterEvent, ClusterStatus, Connections, Request, Response};
use crate::clients::Admission;
use crate::control::Question;
use crate::health;

/// How long what was seen of the account store counts.
const STORE_SEEN_FOR: Duration = Duration::from_secs(1);

/// How long the account store may take to answer whether it is there. A client that logs in would wait longer, and give
/// up.
const STORE_TIME_MAX: Duration = Duration::from_secs(2);

/// Where answers come from. Clones share what they have seen.
#[derive(Clone)]
pub(super) struct Told {
    questions: mpsc::Sender<Question>,
    accounts: Arc<dyn ClusterStore>,
    /// Whether the account store was away, and when that was seen.
    store: Arc<Mutex<Option<(Instant, bool)>>>,
    /// The places for clients; absent where there are none.
    clients: Option<(Budget, Admission)>,
}

impl Told {
    pub(super) fn new(questions: mpsc::Sender<Question>, accounts: Arc<dyn ClusterStore>) -> Told {
        Told { questions, accounts, store: Arc::default(), clients: None }
    }

    /// Tells of these places for clients, too.
    pub(super) fn of_clients(&mut self, places: (Budget, Admission)) {
        self.clients = Some(places);
    }

    /// For operators.
    pub(super) fn to_operators(&self) -> admin::Answers {
        let told = self.clone();
        Arc::new(move |request| {
            let told = told.clone();
            let stopped = || Response::Refused { reason: Unready::Stopping.to_string() };
            async move { told.answer(request).await.unwrap_or_else(stopped) }.boxed()
        })
    }

    /// For load balancers.
    pub(super) fn of_health(&self) -> health::Answers {
        let told = self.clone();
        Arc::new(move |question| {
            let told = told.clone();
            async move {
                match question {
                    // Whoever answers anything does its work.
                    health::Question::Live => told.unready().await.map(drop).ok_or_else(ended),
                    health::Question::Ready => match told.unready().await {
                        None => Err(ended()),
                        Some(Some(reason)) => Err(reason.to_string()),
                        Some(None) if told.is_store_away().await => Err(Unready::StoreAway.to_string()),
                        Some(None) => Ok(()),
                    },
                }
            }
            .boxed()
        })
    }

    /// How the cluster is; absent if the control task has ended.
    async fn status(&self) -> Option<ClusterStatus> {
        let status = ask(&self.questions, Question::Status).await?;
        let is_away = status.unready.is_none() && self.is_store_away().await;
        let unready = if is_away { Some(Unready::StoreAway.to_string()) } else { status.unready.clone() };
        let connections = self.clients.as_ref().map(|(budget, admission)| Connections {
            now: admission.connections(),
            max: budget.connections_max,
            configured: budget.wanted,
            descriptors: budget.descriptors,
        });
        Some(ClusterStatus { unready, connections, ..status })
    }

    async fn unready(&self) -> Option<Option<Unready>> {
        ask(&self.questions, Question::Unready).await
    }

    async fn is_store_away(&self) -> bool {
        let mut seen = self.store.lock().await;
        if let Some((at, is_away)) = *seen
            && at.elapsed() < STORE_SEEN_FOR
        {
            return is_away;
        }
        let is_away = !matches!(timeout(STORE_TIME_MAX, self.accounts.known_identity()).await, Ok(Ok(_)));
        *seen = Some((Instant::now(), is_away));
        is_away
    }

    async fn answer(&self, request: Request) -> Option<Response> {
        let order = match request {
            Request::Status => return Some(Response::Status { status: Box::new(self.status().await?) }),
            Request::Events => {
                let events = ask(&self.questions, Question::Events).await?.into_iter().map(event).collect();
                return Some(Response::Events { events });
            }
            Request::TransferLeader { to } => Order::TransferLeader { to },
            Request::Remove { name } => Order::Remove { name },
            Request::Drain { name } => Order::Drain { name },
            Request::Undrain { name } => Order::Undrain { name },
            Request::ChangeTimes { heartbeat_ms, lease_ms, drift_percent, expel_after_ms } => {
                let [heartbeat, lease, expel_after] =
                    [heartbeat_ms, lease_ms, expel_after_ms].map(|time| time.map(Duration::from_millis));
                Order::ChangeTimes(TimesWanted { heartbeat, lease, drift_percent, expel_after })
            }
        };
        Some(match self::order(&self.questions, order).await? {
            Ok(()) => Response::Done,
            Err(refusal @ Refusal::NoQuorum) => Response::NoQuorum { reason: refusal.to_string() },
            Err(refusal) => Response::Refused { reason: refusal.to_string() },
        })
    }
}

fn ended() -> String {
    "its control task has ended".to_owned()
}

fn event(happening: Happening) -> ClusterEvent {
    let Happening { at, member, what } = happening;
    ClusterEvent { at: at.to_xmpp(), member, what: what.to_string() }
}

/// Gives an operator's order: what came of it, or nothing if the node stops.
pub(super) async fn order(questions: &mpsc::Sender<Question>, order: Order) -> Option<Result<(), Refusal>> {
    ask(questions, |reply| Question::Order(order, reply)).await
}

/// Asks the control task; absent if it has ended.
pub(super) async fn ask<T>(
    questions: &mpsc::Sender<Question>,
    question: impl FnOnce(oneshot::Sender<T>) -> Question,
) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    questions.send(question(reply)).await.ok()?;
    answer.await.ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::memory::MemoryAccounts;

    /// A control task that gives always the same answer.
    fn told(accounts: &MemoryAccounts, unready: Option<Unready>) -> Told {
        let (questions, mut asked) = mpsc::channel(1);
        drop(std::thread::spawn(move || {
            while let Some(question) = asked.blocking_recv() {
                match question {
                    Question::Unready(reply) => drop(reply.send(unready)),
                    Question::Status(reply) => drop(reply.send(ClusterStatus {
                        unready: unready.map(|reason| reason.to_string()),
                        ..ClusterStatus::default()
                    })),
                    Question::StopBegins(_)
                    | Question::Events(_)
                    | Question::Order(..)
                    | Question::Switch(_)
                    | Question::GivenUp
                    | Question::ServeAlone
                    | Question::Leave => {}
                }
            }
        }));
        Told::new(questions, Arc::new(accounts.clone()))
    }

    #[tokio::test]
    async fn a_node_that_serves_is_ready_as_long_as_the_account_store_is_there() {
        let accounts = MemoryAccounts::new();
        let (told, health) = (told(&accounts, None), told(&accounts, None).of_health());
        assert_eq!(health(health::Question::Ready).await, Ok(()));
        assert_eq!(told.status().await.expect("it answers").unready, None);

        accounts.set_available(false);
        tokio::time::pause();
        tokio::time::advance(STORE_SEEN_FOR).await;

        let reason = health(health::Question::Ready).await.expect_err("nobody can log in");
        assert!(reason.starts_with("the account store is away"), "{reason}");
        assert_eq!(told.status().await.expect("it answers").unready, Some(reason));
        assert_eq!(health(health::Question::Live).await, Ok(()), "sessions go on");
    }

    #[tokio::test]
    async fn what_the_cluster_says_goes_before_the_account_store() {
        let accounts = MemoryAccounts::new();
        accounts.set_available(false);
        let health = told(&accounts, Some(Unready::NoLease)).of_health();

        assert_eq!(health(health::Question::Ready).await, Err(Unready::NoLease.to_string()));
        assert_eq!(health(health::Question::Live).await, Ok(()));
    }

    #[tokio::test]
    async fn a_node_whose_control_task_has_ended_is_not_live() {
        let (questions, _) = mpsc::channel(1);
        let health = Told::new(questions, Arc::new(MemoryAccounts::new())).of_health();

        assert_eq!(health(health::Question::Live).await, Err(ended()));
        assert_eq!(health(health::Question::Ready).await, Err(ended()));
    }
}
