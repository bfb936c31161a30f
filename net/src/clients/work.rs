//! What a session has said that must leave it in order: stanzas, and requests to the control plane.
//!
//! Mostly nothing has to be waited for and nothing is kept here. When something has to (a full lane, the store, what is
//! under way on an ended route), what the session says to the same account after it waits in a queue of that account;
//! everything else goes on: what it says to others, its acknowledgements, the end of its stream. So no account can hold
//! up what does not concern it. A request that waits for the control plane stands in a queue of its own.
//!
//! ```text
//! push ──▶ a queue for the same account? ─ no ─▶ begin ─▶ done, or the first of a queue that waits
//!              └─ yes ─▶ its end                                    │
//! poll ◀── a wait is over: the queue goes on until it has to wait again ◀┘
//! ```
//!
//! Bounds: beyond [`SENDER_WAITING_BYTES_MAX`] or [`SENDER_QUEUES_MAX`] the client is not read from. Who logs out is
//! waited for only as long as what waits is small ([`ABANDONED_WAITING_BYTES_MAX`]): nobody can fill these queues for
//! somebody else.
//!
//! Once the session ends nothing of it waits for a route or a row: what would have to goes into its row. So does what has
//! waited until the life of the node was over. It is said in the next one, but for presence: everybody has been told by
//! then that the sessions of that life are gone, and who held them may be elsewhere. What the session says next to the same
//! account waits behind it, and knows from then on by which ways it went.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll};

use cresset_core::jid::BareJid;
use cresset_core::limits::{
    ABANDONED_WAITING_BYTES_MAX, SENDER_QUEUES_MAX, SENDER_STORING_MAX, SENDER_WAITING_BYTES_MAX,
};
use cresset_core::node::Request;
use cresset_core::routing::{Paths, Way, may_go_elsewhere};
use cresset_core::{planted, sometimes};
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::error::TrySendError;

use crate::router::{Outgoing, Routed, Router, SessionHandle, Ticket, Wait};

/// One thing that a session has said.
#[derive(Debug)]
pub(super) enum Saying {
    Stanza(Outgoing),
    Request(Request),
}

pub(super) struct Work {
    /// The life of the node in which the session began.
    generation: u64,
    paths: Paths,
    /// Absent while nothing waits.
    waiting: Option<Box<Waiting>>,
    is_ending: bool,
    /// For whom something it said stands in a row, which what it says after that must not overtake.
    behind: BTreeSet<BareJid>,
}

/// For whom something waits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Whom {
    ControlPlane,
    Account(BareJid),
}

struct Waiting {
    queues: BTreeMap<Whom, Queue>,
    /// What the first of each queue waits for.
    waits: FuturesUnordered<BoxFuture<'static, Over>>,
    /// Counts the waits, so that one that was given up is not taken for the next of its queue.
    last_wait: u64,
    /// Of everything that waits.
    bytes: usize,
    /// A sender does not take the store for itself alone.
    storing: Arc<Semaphore>,
}

/// A wait that is over.
struct Over {
    whom: Whom,
    /// Its number.
    wait: u64,
    /// By which ways something earlier went to that account meanwhile.
    ways: Vec<Way>,
}

/// What waits for one account. The first has begun.
#[derive(Default)]
struct Queue {
    wait: u64,
    /// The first, if it is routed again when the wait is over, and the ways on which something is under way until then.
    again: Option<(Box<Outgoing>, Vec<Way>)>,
    /// Whether the wait may be given up.
    gives_way: bool,
    first_bytes: usize,
    rest: VecDeque<Saying>,
    rest_bytes: usize,
}

/// What a thing that was begun waits for.
enum Busy {
    /// The rest of what was begun.
    Rest(BoxFuture<'static, ()>),
    /// The rest, which occupies the store.
    Storing(BoxFuture<'static, ()>),
    /// Something after which this is routed again.
    Again(Wait, Box<Outgoing>),
}

impl Work {
    /// Of a session that has said nothing yet.
    pub(super) fn of(session: &SessionHandle) -> Work {
        Work {
            generation: session.generation(),
            paths: Paths::default(),
            waiting: None,
            is_ending: false,
            behind: BTreeSet::new(),
        }
    }

    /// Whether the session may say more.
    pub(super) fn has_room(&self) -> bool {
        self.waiting.as_ref().is_none_or(|waiting| {
            waiting.bytes <= SENDER_WAITING_BYTES_MAX
                && waiting.queues.len() <= SENDER_QUEUES_MAX
                && !waiting.queues.contains_key(&Whom::ControlPlane)
                && !planted!(OneWaitHoldsAll)
        })
    }

    /// The session goes on in that life of the node.
    pub(super) fn goes_on_in(&mut self, generation: u64) {
        self.generation = generation;
    }

    pub(super) fn paths(&mut self) -> &mut Paths {
        &mut self.paths
    }

    /// Sees to it at once if it can be.
    pub(super) fn push(&mut self, router: &Arc<Router>, saying: Saying) {
        if let Some(waiting) = &mut self.waiting
            && let Some(whom) = whom(router, &saying)
            && let Some(queue) = waiting.queues.get_mut(&whom)
        {
            let bytes = weight(&saying);
            queue.rest.push_back(saying);
            queue.rest_bytes += bytes;
            waiting.bytes += bytes;
            let is_much =
                queue.rest_bytes > ABANDONED_WAITING_BYTES_MAX || waiting.bytes > SENDER_WAITING_BYTES_MAX / 2;
            if queue.gives_way && is_much {
                sometimes!("too_much_waits_for_whoever_logs_out");
                self.go_on(router, &whom);
            }
            return;
        }
        let bytes = weight(&saying);
        if let Some((whom, busy)) = self.begin(router, saying) {
            self.wait(whom, busy, bytes);
        }
    }

    /// Goes on with what waits; ready each time when there was something to do.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, router: &Arc<Router>) -> Poll<()> {
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        if let Some(over) = std::task::ready!(waiting.waits.poll_next_unpin(cx)) {
            self.is_over(router, &over);
        }
        self.forget_if_nothing_waits();
        Poll::Ready(())
    }

    /// The session ends: waits until nothing waits here.
    pub(super) async fn end(&mut self, router: &Arc<Router>) {
        self.is_ending = true;
        while let Some(waiting) = &mut self.waiting {
            let is_again = |(_, queue): &(&Whom, &Queue)| queue.again.is_some();
            if let Some(whom) = waiting.queues.iter().find(is_again).map(|(whom, _)| whom.clone()) {
                self.go_on(router, &whom);
            } else if let Some(over) = waiting.waits.next().await {
                self.is_over(router, &over);
            }
            self.forget_if_nothing_waits();
        }
    }

    fn is_over(&mut self, router: &Arc<Router>, Over { whom, wait, ways }: &Over) {
        let queue = self.waiting.as_ref().and_then(|waiting| waiting.queues.get(whom));
        if queue.is_some_and(|queue| queue.wait == *wait) {
            if let Whom::Account(account) = whom {
                self.paths.take_over(account, ways);
            }
            self.go_on(router, whom);
        }
    }

    fn forget_if_nothing_waits(&mut self) {
        if self.waiting.as_ref().is_some_and(|waiting| waiting.queues.is_empty() && waiting.waits.is_empty()) {
            self.waiting = None;
        }
    }

    /// The first of that queue waits no longer.
    fn go_on(&mut self, router: &Arc<Router>, whom: &Whom) {
        let Some(mut queue) = self.waiting.as_mut().and_then(|waiting| waiting.take(whom)) else { return };
        let mut next = None;
        match queue.again.take() {
            // The wait was given up.
            Some((outgoing, ways)) if self.is_ending || !self.is_of_this_life(router) => {
                self.say_later(router, *outgoing, ways);
            }
            Some((outgoing, _)) => next = Some(Saying::Stanza(*outgoing)),
            None => {}
        }
        while let Some(saying) = next.take().or_else(|| queue.rest.pop_front()) {
            let bytes = weight(&saying);
            if let Some((_, busy)) = self.begin(router, saying) {
                // An error that goes back to the session waits here as well: it is one of what was said to that account.
                self.wait_in(queue, whom.clone(), busy, bytes);
                return;
            }
        }
    }

    /// The first of a queue waits. What waits for somebody who is waited for already stands behind it.
    fn wait(&mut self, whom: Whom, busy: Busy, bytes: usize) {
        let waiting = self.waiting.get_or_insert_with(Waiting::none);
        let Some(queue) = waiting.queues.get_mut(&whom) else {
            return self.wait_in(Queue::default(), whom, busy, bytes);
        };
        // What was said to somebody else has come back as an error to the session's own account.
        match busy {
            Busy::Again(_, outgoing) => {
                queue.rest.push_back(Saying::Stanza(*outgoing));
                queue.rest_bytes += bytes;
                waiting.bytes += bytes;
            }
            Busy::Rest(rest) | Busy::Storing(rest) => waiting.waits.push(Box::pin(async move {
                rest.await;
                Over { whom, wait: 0, ways: Vec::new() }
            })),
        }
    }

    fn wait_in(&mut self, mut queue: Queue, whom: Whom, busy: Busy, bytes: usize) {
        let waiting = self.waiting.get_or_insert_with(Waiting::none);
        waiting.last_wait += 1;
        let (key, wait) = (whom.clone(), waiting.last_wait);
        (queue.wait, queue.gives_way, queue.first_bytes) = (wait, false, bytes);
        waiting.waits.push(match busy {
            Busy::Rest(rest) => Box::pin(async move {
                rest.await;
                Over { whom: key, wait, ways: Vec::new() }
            }),
            Busy::Storing(rest) => {
                let storing = waiting.storing.clone();
                Box::pin(async move {
                    let _place = storing.acquire_owned().await.expect("the semaphore is never closed");
                    rest.await;
                    Over { whom: key, wait, ways: Vec::new() }
                })
            }
            Busy::Again(again, outgoing) => {
                queue.gives_way = again.gives_way;
                queue.again = Some((outgoing, again.ways));
                Box::pin(async move { Over { whom: key, wait, ways: again.until.await } })
            }
        });
        queue.rest_bytes = queue.rest.iter().map(weight).sum();
        waiting.bytes += queue.first_bytes + queue.rest_bytes;
        sometimes!(waiting.queues.len() > 1, "a_sender_waits_for_several");
        waiting.queues.insert(whom, queue);
    }

    /// Says for whom it has to wait, if it has to.
    fn begin(&mut self, router: &Arc<Router>, saying: Saying) -> Option<(Whom, Busy)> {
        match saying {
            Saying::Stanza(outgoing) if !self.is_of_this_life(router) => {
                self.say_later(router, outgoing, Vec::new());
                None
            }
            Saying::Stanza(outgoing) => match self.route(router, outgoing) {
                Routed::Done => None,
                Routed::Finish(account, rest) => Some((Whom::Account(account), Busy::Rest(rest))),
                Routed::Store(account, rest) => Some((Whom::Account(account), Busy::Storing(rest))),
                Routed::Again(wait, outgoing) if self.is_ending => {
                    self.say_later(router, *outgoing, wait.ways);
                    None
                }
                Routed::Again(wait, outgoing) => {
                    Some((Whom::Account(wait.account.clone()), Busy::Again(wait, outgoing)))
                }
            },
            Saying::Request(request) => match router.control().try_send(request) {
                // Without a control plane the node is stopping.
                Ok(()) | Err(TrySendError::Closed(_)) => None,
                Err(TrySendError::Full(request)) => {
                    let control = router.control().clone();
                    let sent = async move { drop(control.send(request).await) };
                    Some((Whom::ControlPlane, Busy::Rest(Box::pin(sent))))
                }
            },
        }
    }

    fn say_later(&mut self, router: &Router, outgoing: Outgoing, ways: Vec<Way>) {
        if !self.is_of_this_life(router) && !may_go_elsewhere(&outgoing.stanza) {
            sometimes!("presence_of_an_ended_life_is_dropped");
            return outgoing.ticket.into_iter().for_each(Ticket::done);
        }
        sometimes!("a_session_ends_before_what_it_said_is_decided");
        self.behind.extend(router.recipient(&outgoing.stanza));
        router.say_later(outgoing, &mut self.paths, ways, self.generation);
    }

    fn route(&mut self, router: &Arc<Router>, outgoing: Outgoing) -> Routed {
        match self.behind_whom(router, &outgoing) {
            None => router.route(&mut self.paths, outgoing),
            Some(account) => {
                sometimes!(!self.is_ending, "a_session_goes_on_behind_what_it_said_in_another_life");
                router.route_behind(account, outgoing)
            }
        }
    }

    /// The account for which this is, if something said to it before stands in a row: what is said next waits behind this.
    fn behind_whom(&mut self, router: &Router, outgoing: &Outgoing) -> Option<BareJid> {
        if self.behind.is_empty() {
            return None;
        }
        self.behind.take(&router.recipient(&outgoing.stanza)?)
    }

    fn is_of_this_life(&self, router: &Router) -> bool {
        self.generation == router.generation() || planted!(FarewellOfTheExpelled)
    }
}

impl Waiting {
    fn none() -> Box<Waiting> {
        Box::new(Waiting {
            queues: BTreeMap::new(),
            waits: FuturesUnordered::new(),
            last_wait: 0,
            bytes: 0,
            storing: Arc::new(Semaphore::new(SENDER_STORING_MAX)),
        })
    }

    /// Takes a queue out, whose first waits no longer.
    fn take(&mut self, whom: &Whom) -> Option<Queue> {
        let queue = self.queues.remove(whom)?;
        self.bytes -= queue.first_bytes + queue.rest_bytes;
        Some(queue)
    }
}

/// For whom it would have to wait; none if it is for nobody who could be waited for.
fn whom(router: &Router, saying: &Saying) -> Option<Whom> {
    match saying {
        Saying::Stanza(outgoing) => router.recipient(&outgoing.stanza).map(Whom::Account),
        Saying::Request(_) => Some(Whom::ControlPlane),
    }
}

/// What it keeps while it waits.
fn weight(saying: &Saying) -> usize {
    match saying {
        Saying::Stanza(outgoing) => outgoing.stanza.weight(),
        Saying::Request(_) => size_of::<Request>(),
    }
}
