//! Comes back after a cut: address after address until one lets the account in, or the time is up.
//!
//! A session that can be resumed is resumed where a server knows it; where none does, a new one is bound with the
//! same resource. Every refusal is counted by its label, because how long users are refused is what is measured.

use super::error::ClientError;
use super::negotiate::{Account, Server, StreamManagement, login};
use super::session::{Client, Lost};
use std::time::{Duration, Instant};

/// Pause after all addresses refused in turn; a node that is being replaced is asked about twenty times a second.
const PAUSE: Duration = Duration::from_millis(50);
/// Most refusals that are remembered by label.
const REFUSALS_MAX: usize = 1000;

/// How to come back.
#[derive(Debug)]
pub(crate) struct Reconnect<'a> {
    /// The service.
    pub(crate) server: &'a Server,
    /// Its addresses, in the order in which they are tried.
    pub(crate) addresses: &'a [String],
    /// Who logs in.
    pub(crate) account: &'a Account,
    /// Whether to ask for XEP-0198.
    pub(crate) management: StreamManagement,
    /// When to give up.
    pub(crate) until: Instant,
}

/// A session that is up again.
#[derive(Debug)]
pub(crate) struct Reconnected {
    /// The session.
    pub(crate) client: Client,
    /// Which of the addresses let it in.
    pub(crate) address: usize,
    /// How many more stanzas the server turned out to have handled, if the session was resumed.
    pub(crate) resumed: Option<u32>,
    /// Labels of what was refused on the way.
    pub(crate) refusals: Vec<String>,
}

impl Reconnect<'_> {
    /// Tries the addresses in turn, beginning with `first`.
    ///
    /// # Errors
    /// The time is up: the last refusal, and the labels of all.
    pub(crate) async fn run(
        &self,
        first: usize,
        mut lost: Option<Lost>,
    ) -> Result<Reconnected, (ClientError, Vec<String>)> {
        let mut refusals = Vec::new();
        let mut tried = 0;
        loop {
            let address = (first + tried) % self.addresses.len();
            let (outcome, still_lost) = self.attempt(&self.addresses[address], lost).await;
            lost = still_lost;
            let error = match outcome {
                Ok((client, resumed)) => return Ok(Reconnected { client, address, resumed, refusals }),
                Err(error) => error,
            };
            if refusals.len() < REFUSALS_MAX {
                refusals.push(error.label());
            }
            tried += 1;
            if Instant::now() >= self.until {
                return Err((error, refusals));
            }
            if tried.is_multiple_of(self.addresses.len()) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn attempt(
        &self,
        address: &str,
        lost: Option<Lost>,
    ) -> (Result<(Client, Option<u32>), ClientError>, Option<Lost>) {
        let Some(lost) = lost else {
            let outcome = login(self.server, address, self.account, self.management).await;
            return (outcome.map(|client| (client, None)), None);
        };
        match Client::resume(self.server, address, self.account, lost).await {
            Ok((client, newly)) => (Ok((client, Some(newly))), None),
            // The server answered that there is nothing to resume: from here on a new session is wanted.
            Err((_, error @ ClientError::StreamManagementRefused { .. })) => (Err(error), None),
            Err((lost, error)) => (Err(error), Some(lost)),
        }
    }
}
