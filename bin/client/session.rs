//! A session that is up: sends stanzas, keeps the counters of XEP-0198, hands out what arrives.
//!
//! Two ways in: `drain` looks at stanzas in place (the load generator), `receive` hands out parsed ones (a drill).
//! Both answer the server's questions for acknowledgement themselves. After a cut, [`Client::into_lost`] is what
//! is needed to resume the session elsewhere.

use super::acks::Acks;
use super::connection::Connection;
use super::error::{ClientError, Step};
use super::negotiate::{Account, LoginTimes, Server, StreamManagement, authenticate};
use super::node::Node;
use super::stanza::{Stanza, escape_into};
use std::collections::VecDeque;
use std::task::{Context, Poll};
use std::time::Duration;

/// Most stanzas that wait while the client waits for something else.
const INBOX_MAX: usize = 100_000;
/// Most sent stanzas that are kept for a resumption; beyond it the caller is told.
const UNACKED_MAX: usize = 100_000;

/// Most requests of a server that are declined out of one read; a server that floods gets no answer to the rest.
const DECLINED_MAX: usize = 16;

/// A bound session.
#[derive(Debug)]
pub(crate) struct Client {
    connection: Connection,
    jid: String,
    times: LoginTimes,
    management: Option<Management>,
    inbox: VecDeque<Node>,
}

/// XEP-0198 as it stands for a session.
#[derive(Debug)]
struct Management {
    acks: Acks,
    /// The id to resume with, empty if the server does not allow it.
    id: String,
    /// Copies of what is not acknowledged, if they are kept.
    unacked: Option<VecDeque<Vec<u8>>>,
}

/// What is left of a session whose connection was cut.
#[derive(Debug)]
pub(crate) struct Lost {
    jid: String,
    management: Management,
}

/// What [`Client::drain`] sees.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Arrival<'a> {
    /// A message, a presence or an iq.
    Stanza(Stanza<'a>),
    /// The server acknowledged so many more of our stanzas.
    Acknowledged(u32),
}

/// A message that arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    /// The full JID of the sender.
    pub(crate) from: String,
    /// The sender's id, empty if there is none.
    pub(crate) id: String,
    /// The text, empty if there is none.
    pub(crate) body: String,
    /// Whether it waited in the offline store (XEP-0203).
    pub(crate) delayed: bool,
    /// The condition, if it is one of ours that came back.
    pub(crate) bounced: Option<String>,
}

impl Client {
    pub(super) fn new(connection: Connection, jid: String, times: LoginTimes, resumption: Option<String>) -> Self {
        let management = resumption.map(|id| Management { acks: Acks::default(), id, unacked: None });
        Client { connection, jid, times, management, inbox: VecDeque::new() }
    }

    /// The full JID that the server bound.
    pub(crate) fn jid(&self) -> &str {
        &self.jid
    }

    /// How long the log-in took.
    pub(crate) fn times(&self) -> LoginTimes {
        self.times
    }

    /// Keeps a copy of each stanza until it is acknowledged, so that the session can be resumed without loss.
    pub(crate) fn keep_unacknowledged(&mut self) {
        if let Some(management) = &mut self.management {
            management.unacked.get_or_insert_default();
        }
    }

    /// Queues a stanza that `write` appends; it goes out with the next wait.
    pub(crate) fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let out = self.connection.outgoing();
        let before = out.len();
        write(out);
        if let Some(management) = &mut self.management {
            management.acks.sent(1);
            if let Some(unacked) = &mut management.unacked
                && unacked.len() < UNACKED_MAX
            {
                unacked.push_back(out[before..].to_vec());
            }
        }
    }

    /// Queues a chat message.
    pub(crate) fn send_message(&mut self, to: &str, id: &str, body: &str) {
        self.send(|out| {
            out.extend_from_slice(b"<message type='chat' to='");
            escape_into(out, to);
            out.extend_from_slice(b"' id='");
            escape_into(out, id);
            out.extend_from_slice(b"'><body>");
            escape_into(out, body);
            out.extend_from_slice(b"</body></message>");
        });
    }

    /// Queues initial presence: from now on messages to the account arrive here.
    pub(crate) fn send_presence(&mut self) {
        self.send(|out| out.extend_from_slice(b"<presence/>"));
    }

    /// Asks the server to acknowledge, unless it is asked already or there is nothing to acknowledge.
    pub(crate) fn ask(&mut self) {
        if let Some(management) = &mut self.management {
            management.acks.ask_into(self.connection.outgoing());
        }
    }

    /// How many of our stanzas are not acknowledged; none without XEP-0198.
    pub(crate) fn outstanding(&self) -> u32 {
        self.management.as_ref().map_or(0, |management| management.acks.outstanding())
    }

    /// How many bytes wait to go out.
    pub(crate) fn outgoing_bytes(&self) -> usize {
        self.connection.outgoing_bytes()
    }

    /// Writes and reads; ready when something came in.
    ///
    /// # Errors
    /// The connection is at its end.
    pub(crate) fn poll_io(&mut self, context: &mut Context<'_>) -> Poll<Result<(), ClientError>> {
        self.connection.poll_io(context).map(|read| match read {
            Ok(true) => Ok(()),
            Ok(false) => Err(ClientError::Closed(Step::Session)),
            Err(error) => Err(error),
        })
    }

    /// Hands everything that was read to `take`, answers the server's questions for acknowledgement, and declines
    /// its requests (RFC 6120, section 8.2.3). The number is how many stanzas of our own the declining took: they
    /// count for the server's acknowledgements.
    ///
    /// # Errors
    /// The stream ended.
    pub(crate) fn drain(&mut self, mut take: impl FnMut(Arrival<'_>)) -> Result<u32, ClientError> {
        let mut asked = false;
        let mut declined: Vec<Vec<u8>> = Vec::new();
        let management = &mut self.management;
        self.connection.drain(|stanza| match (&mut *management, stanza.name()) {
            (Some(_), b"r") => asked = true,
            (Some(management), b"a") => {
                let newly = Acks::h(&stanza).map_or(0, |h| management.acknowledged(h));
                if newly > 0 {
                    take(Arrival::Acknowledged(newly));
                }
            }
            (management, name) => {
                if let (Some(management), b"message" | b"presence" | b"iq") = (management, name) {
                    management.acks.received();
                }
                if name == b"iq" && declined.len() < DECLINED_MAX {
                    declined.extend(decline(&stanza));
                }
                take(Arrival::Stanza(stanza));
            }
        })?;
        if let (Some(management), true) = (&self.management, asked) {
            management.acks.answer_into(self.connection.outgoing());
        }
        for answer in &declined {
            self.send(|out| out.extend_from_slice(answer));
        }
        Ok(u32::try_from(declined.len()).unwrap_or(u32::MAX))
    }

    /// Waits for the next message, presence or iq.
    ///
    /// # Errors
    /// The stream ended, or the server floods the client.
    pub(crate) async fn receive(&mut self) -> Result<Node, ClientError> {
        loop {
            if let Some(node) = self.inbox.pop_front() {
                return Ok(node);
            }
            self.turn().await?;
        }
    }

    /// Waits for the next message, and passes over everything else.
    ///
    /// # Errors
    /// The stream ended, or the server floods the client.
    pub(crate) async fn receive_message(&mut self) -> Result<Message, ClientError> {
        loop {
            if let Some(message) = Message::from_node(&self.receive().await?) {
                return Ok(message);
            }
        }
    }

    /// Waits until the server has acknowledged everything that was sent. What arrives meanwhile waits.
    ///
    /// # Errors
    /// The stream ended, XEP-0198 is not on, or the server floods the client.
    pub(crate) async fn settle(&mut self) -> Result<(), ClientError> {
        if self.management.is_none() {
            return Err(ClientError::NotOffered("stream management".to_owned()));
        }
        while self.outstanding() > 0 {
            self.ask();
            self.turn().await?;
        }
        Ok(())
    }

    /// Waits until everything queued is in the socket.
    ///
    /// # Errors
    /// The connection broke.
    pub(crate) async fn flush(&mut self) -> Result<(), ClientError> {
        self.connection.flush().await
    }

    /// Ends the session; waits at most `patience` for the server's farewell.
    pub(crate) async fn close(self, patience: Duration) {
        self.connection.close(patience).await;
    }

    /// Drops the connection and keeps what is needed to resume, if the server allows it.
    pub(crate) fn into_lost(self) -> Option<Lost> {
        let management = self.management.filter(|management| !management.id.is_empty())?;
        Some(Lost { jid: self.jid, management })
    }

    /// Carries a lost session on at `address`; stanzas that were kept and not acknowledged are sent again.
    /// The number is how many more the server turned out to have handled.
    ///
    /// # Errors
    /// The log-in failed, or the server does not know the session: the lost session is given back beside the error.
    pub(crate) async fn resume(
        server: &Server,
        address: &str,
        account: &Account,
        mut lost: Lost,
    ) -> Result<(Client, u32), (Lost, ClientError)> {
        let ready = match authenticate(server, address, account).await {
            Ok(ready) => ready,
            Err(error) => return Err((lost, error)),
        };
        let asked = ready.resume(&lost.management.id, &lost.management.acks);
        let answer = tokio::time::timeout(server.patience, asked).await;
        let (mut connection, handled, times) = match answer {
            Ok(Ok(resumed)) => resumed,
            Ok(Err(error)) => return Err((lost, error)),
            Err(_) => return Err((lost, ClientError::TimedOut(Step::StreamManagement))),
        };
        lost.management.acks.resumed();
        let newly = lost.management.acknowledged(handled);
        for stanza in lost.management.unacked.iter().flatten() {
            connection.outgoing().extend_from_slice(stanza);
        }
        let Lost { jid, management } = lost;
        Ok((Client { connection, jid, times, management: Some(management), inbox: VecDeque::new() }, newly))
    }

    /// Takes what was read, or waits once for bytes, and puts the stanzas among them into the inbox.
    async fn turn(&mut self) -> Result<(), ClientError> {
        let before = (self.inbox.len(), self.outstanding());
        self.collect()?;
        if before == (self.inbox.len(), self.outstanding()) {
            std::future::poll_fn(|context| self.poll_io(context)).await?;
            self.collect()?;
        }
        Ok(())
    }

    fn collect(&mut self) -> Result<(), ClientError> {
        // The header is copied because `drain` borrows the connection; this is the slow way in.
        let header = self.connection.header().to_owned();
        let mut arrived = Vec::new();
        let mut broken = false;
        let outcome = self.drain(|arrival| {
            if let Arrival::Stanza(stanza) = arrival {
                match Node::parse(&header, stanza.0) {
                    Some(node) => arrived.push(node),
                    None => broken = true,
                }
            }
        });
        self.inbox.extend(arrived);
        if broken {
            return Err(ClientError::Unexpected(Step::Session, "XML that is not well formed".to_owned()));
        }
        if self.inbox.len() > INBOX_MAX {
            return Err(ClientError::Unexpected(Step::Session, "more stanzas than can wait".to_owned()));
        }
        // What arrived before the end is handed out before the end is told.
        if self.inbox.is_empty() { outcome.map(|_| ()) } else { Ok(()) }
    }
}

/// The answer to a request that this client does not know: every request has to have one.
fn decline(stanza: &Stanza<'_>) -> Option<Vec<u8>> {
    let id = stanza.attribute(b"id")?;
    if !matches!(stanza.attribute(b"type")?, b"get" | b"set") {
        return None;
    }
    // Raw values go back as they came: what was escaped with one kind of quote may hold the other.
    let fits = |value: &[u8]| !value.iter().any(|byte| matches!(byte, b'\'' | b'<'));
    let mut answer = b"<iq type='error' id='".to_vec();
    answer.extend_from_slice(Some(id).filter(|id| fits(id))?);
    if let Some(from) = stanza.attribute(b"from").filter(|from| fits(from)) {
        answer.extend_from_slice(b"' to='");
        answer.extend_from_slice(from);
    }
    answer.extend_from_slice(b"'><error type='cancel'><service-unavailable ");
    answer.extend_from_slice(b"xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>");
    Some(answer)
}

impl Management {
    fn acknowledged(&mut self, h: u32) -> u32 {
        let newly = self.acks.acknowledged(h);
        if let Some(unacked) = &mut self.unacked {
            let done = unacked.len().min(usize::try_from(newly).unwrap_or(usize::MAX));
            unacked.drain(..done);
        }
        newly
    }
}

impl Message {
    /// A message with a body or an error; `None` for everything else.
    pub(crate) fn from_node(node: &Node) -> Option<Message> {
        if !node.is("message", "jabber:client") {
            return None;
        }
        let is_error = node.attribute("type") == Some("error");
        let body = node.child("body", "jabber:client").map(|body| body.text.clone());
        if body.is_none() && !is_error {
            return None;
        }
        Some(Message {
            from: node.attribute("from").unwrap_or_default().to_owned(),
            id: node.attribute("id").unwrap_or_default().to_owned(),
            body: body.unwrap_or_default(),
            delayed: node.child("delay", "urn:xmpp:delay").is_some(),
            bounced: is_error.then(|| node.condition().to_owned()),
        })
    }
}

/// `true` asks for XEP-0198: what a switch on a command line is.
impl From<bool> for StreamManagement {
    fn from(wanted: bool) -> Self {
        if wanted { StreamManagement::On } else { StreamManagement::Off }
    }
}
