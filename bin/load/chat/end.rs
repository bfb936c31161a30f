//! One side of a pair: its session, or its way back after a cut.
//!
//! ```text
//!  Up ──cut──▶ Away ──let in──▶ Up
//!   └──cut, no reconnecting──▶ Gone ◀──time is up── Away
//! ```

use super::Plan;
use crate::client::{Account, Client, ClientError, Reconnect, Reconnected, StreamManagement};
use crate::report::{Counts, Latency};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long an end that was cut tries to come back.
const RETURN_MAX: Duration = Duration::from_secs(300);
/// How long one log-in on the way back may take: a node that hangs must not keep the client from the next one.
const ATTEMPT_MAX: Duration = Duration::from_secs(3);

type Return = Pin<Box<dyn Future<Output = Result<Reconnected, (ClientError, Vec<String>)>> + Send>>;

/// Where an end stands.
enum State {
    Up(Box<Client>),
    Away(Return),
    Gone,
}

/// What a poll of an end brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Bytes came in.
    Arrived,
    /// The connection is cut.
    Cut,
    /// A session is up again; with how many more of its stanzas acknowledged, if it is the old one.
    Back {
        /// The server handled so many stanzas more than it had said before the cut; `None` for a new session.
        resumed: Option<u32>,
    },
}

/// One side of a pair.
pub(super) struct End {
    plan: Arc<Plan>,
    account: Account,
    address: usize,
    state: State,
    cut_at: Option<Instant>,
    returned_at: Option<Instant>,
    /// How often it was cut.
    pub(super) cuts: u64,
    /// Why it was cut, and refused on its way back.
    pub(super) faults: Counts,
    /// How long it took to come back.
    pub(super) returns: Latency,
}

impl fmt::Debug for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("End").field("account", &self.account.user).field("address", &self.address).finish()
    }
}

impl End {
    /// An end that is up.
    pub(super) fn new(plan: Arc<Plan>, account: Account, address: usize, client: Client) -> End {
        End {
            plan,
            account,
            address,
            state: State::Up(Box::new(client)),
            cut_at: None,
            returned_at: None,
            cuts: 0,
            faults: Counts::default(),
            returns: Latency::default(),
        }
    }

    /// The session, if it is up.
    pub(super) fn client(&mut self) -> Option<&mut Client> {
        match &mut self.state {
            State::Up(client) => Some(client),
            State::Away(_) | State::Gone => None,
        }
    }

    /// When it came back for the last time.
    pub(super) fn returned_at(&self) -> Option<Instant> {
        self.returned_at
    }

    /// Takes the session out, for good.
    pub(super) fn take(&mut self) -> Option<Client> {
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Up(client) => Some(*client),
            State::Away(_) | State::Gone => None,
        }
    }

    /// Moves bytes, or the way back.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Change> {
        match &mut self.state {
            State::Up(client) => match client.poll_io(context) {
                Poll::Ready(Ok(())) => Poll::Ready(Change::Arrived),
                Poll::Ready(Err(error)) => {
                    self.cut(&error);
                    Poll::Ready(Change::Cut)
                }
                Poll::Pending => Poll::Pending,
            },
            State::Away(way) => match way.as_mut().poll(context) {
                Poll::Ready(outcome) => self.returned(outcome),
                Poll::Pending => Poll::Pending,
            },
            State::Gone => Poll::Pending,
        }
    }

    /// The connection is at its end: tries to come back, if that is wanted.
    pub(super) fn cut(&mut self, error: &ClientError) {
        self.cuts += 1;
        self.cut_at = Some(Instant::now());
        self.faults.add(error.label());
        let lost = self.take().and_then(Client::into_lost).filter(|_| self.plan.options.resume);
        if !self.plan.options.reconnect {
            return;
        }
        let (plan, account, first) = (Arc::clone(&self.plan), self.account.clone(), self.address + 1);
        self.state = State::Away(Box::pin(async move {
            let mut server = plan.server.clone();
            server.patience = server.patience.min(ATTEMPT_MAX);
            let way = Reconnect {
                server: &server,
                addresses: &plan.options.service.address,
                account: &account,
                management: StreamManagement::from(plan.options.sm),
                until: Instant::now() + RETURN_MAX,
            };
            way.run(first, lost).await
        }));
    }

    fn returned(&mut self, outcome: Result<Reconnected, (ClientError, Vec<String>)>) -> Poll<Change> {
        let returned = match outcome {
            Ok(returned) => returned,
            Err((_, refusals)) => {
                refusals.into_iter().for_each(|label| self.faults.add(label));
                self.state = State::Gone;
                return Poll::Pending;
            }
        };
        returned.refusals.into_iter().for_each(|label| self.faults.add(label));
        self.address = returned.address;
        self.returned_at = Some(Instant::now());
        if let Some(cut_at) = self.cut_at.take() {
            self.returns.record(cut_at.elapsed());
        }
        let mut client = returned.client;
        if returned.resumed.is_none() {
            if self.plan.options.resume {
                client.keep_unacknowledged();
            }
            client.send_presence();
        }
        self.state = State::Up(Box::new(client));
        Poll::Ready(Change::Back { resumed: returned.resumed })
    }
}
