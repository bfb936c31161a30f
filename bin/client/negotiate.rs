//! From an address to a bound session: TCP, TLS, SASL, bind or resume, XEP-0198.
//!
//! Each step is timed apart. `authenticate` stops before the bind, so that a storm of binds can be measured alone.

use super::acks::Acks;
use super::connection::Connection;
use super::error::{ClientError, Step};
use super::node::Node;
use super::scram::{KeyCache, Scram, ScramHash, prepared};
use super::session::Client;
use super::tls::{self, CertificatePolicy, TlsMode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::TryRng;
use rand::rngs::SysRng;
use rustls::ClientConfig;
use std::sync::Arc;
use std::time::{Duration, Instant};

const TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";
const SASL: &str = "urn:ietf:params:xml:ns:xmpp-sasl";
const BIND: &str = "urn:ietf:params:xml:ns:xmpp-bind";
const SESSION: &str = "urn:ietf:params:xml:ns:xmpp-session";
const STREAM_MANAGEMENT: &str = "urn:xmpp:sm:3";
/// Stanzas that may come before the answer that is waited for; a server that sends more is not answering.
const STANZAS_BEFORE_ANSWER_MAX: u32 = 1000;

/// A SASL mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mechanism {
    /// SCRAM-SHA-256 (RFC 7677).
    #[value(name = "scram-sha-256", alias = "SCRAM-SHA-256")]
    ScramSha256,
    /// SCRAM-SHA-1 (RFC 5802).
    #[value(name = "scram-sha-1", alias = "SCRAM-SHA-1")]
    ScramSha1,
    /// PLAIN (RFC 4616).
    #[value(name = "plain", alias = "PLAIN")]
    Plain,
}

/// How to reach a service, whichever of its addresses is taken.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// The XMPP domain.
    pub(crate) domain: String,
    /// When to encrypt.
    pub(crate) tls: TlsMode,
    /// The mechanism to use; without one the strongest that is offered, but PLAIN only if encrypted.
    pub(crate) mechanism: Option<Mechanism>,
    /// How long a whole log-in may take.
    pub(crate) patience: Duration,
    tls_settings: Arc<ClientConfig>,
    keys: KeyCache,
}

/// Who logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Account {
    /// The local part of the address.
    pub(crate) user: String,
    /// The password.
    pub(crate) password: String,
    /// The resource to ask for; without one the server chooses.
    pub(crate) resource: Option<String>,
}

/// Whether to ask for XEP-0198.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamManagement {
    /// No acknowledgements.
    Off,
    /// Acknowledgements, and a session that can be resumed where the server allows it.
    On,
}

/// When the steps of a log-in were done, counted from its beginning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct LoginTimes {
    /// TCP and TLS are up.
    pub(crate) connected: Duration,
    /// SASL succeeded and the new stream's features came.
    pub(crate) authenticated: Duration,
    /// The resource is bound.
    pub(crate) bound: Duration,
}

/// A connection that is authenticated and not bound.
#[derive(Debug)]
pub(crate) struct Bind {
    connection: Connection,
    features: Node,
    times: LoginTimes,
    begun: Instant,
}

impl Server {
    /// Prepares for log-ins; derived keys are shared by all clones.
    ///
    /// # Errors
    /// The file of authorities cannot be used.
    pub(crate) fn new(domain: &str, tls: TlsMode, policy: &CertificatePolicy) -> Result<Server, ClientError> {
        Ok(Server {
            domain: domain.to_owned(),
            tls,
            mechanism: None,
            patience: Duration::from_secs(30),
            tls_settings: tls::settings(policy)?,
            keys: KeyCache::default(),
        })
    }
}

/// Logs in to one address: everything up to the bound resource and, if asked for, XEP-0198.
///
/// # Errors
/// Any step failed, or all together took longer than the server's `patience`.
pub(crate) async fn login(
    server: &Server,
    address: &str,
    account: &Account,
    management: StreamManagement,
) -> Result<Client, ClientError> {
    let until = tokio::time::Instant::now() + server.patience;
    let ready = timely(until, Step::Sasl, authenticate_steps(server, address, account)).await?;
    timely(until, Step::Bind, ready.bind(account.resource.as_deref(), management)).await
}

/// Connects and authenticates, and stops before the bind.
///
/// # Errors
/// Any step failed, or all together took longer than the server's `patience`.
pub(crate) async fn authenticate(server: &Server, address: &str, account: &Account) -> Result<Bind, ClientError> {
    let until = tokio::time::Instant::now() + server.patience;
    timely(until, Step::Sasl, authenticate_steps(server, address, account)).await
}

async fn timely<T>(
    until: tokio::time::Instant,
    step: Step,
    steps: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    tokio::time::timeout_at(until, steps).await.unwrap_or(Err(ClientError::TimedOut(step)))
}

async fn authenticate_steps(server: &Server, address: &str, account: &Account) -> Result<Bind, ClientError> {
    let begun = Instant::now();
    let mut connection = Connection::open(address).await?;
    let features = match server.tls {
        TlsMode::Off => connection.open_stream(&server.domain).await?,
        TlsMode::Direct => {
            connection.encrypt(&server.tls_settings, &server.domain).await?;
            connection.open_stream(&server.domain).await?
        }
        TlsMode::Starttls => {
            let features = connection.open_stream(&server.domain).await?;
            if features.child("starttls", TLS).is_none() {
                return Err(ClientError::NotOffered("starttls".to_owned()));
            }
            connection.outgoing().extend_from_slice(format!("<starttls xmlns='{TLS}'/>").as_bytes());
            let answer = connection.stanza(Step::Tls).await?;
            if !answer.is("proceed", TLS) {
                return Err(ClientError::Tls(answer.name));
            }
            connection.encrypt(&server.tls_settings, &server.domain).await?;
            connection.open_stream(&server.domain).await?
        }
    };
    let connected = begun.elapsed();
    match choose(server, &features)? {
        Mechanism::ScramSha256 => scram(&mut connection, ScramHash::Sha256, server, account).await?,
        Mechanism::ScramSha1 => scram(&mut connection, ScramHash::Sha1, server, account).await?,
        Mechanism::Plain => plain(&mut connection, account).await?,
    }
    let features = connection.open_stream(&server.domain).await?;
    let times = LoginTimes { connected, authenticated: begun.elapsed(), bound: Duration::ZERO };
    Ok(Bind { connection, features, times, begun })
}

/// The mechanism that is asked for, or the strongest that is offered.
fn choose(server: &Server, features: &Node) -> Result<Mechanism, ClientError> {
    let offered = features.child("mechanisms", SASL);
    let offers = |mechanism: Mechanism| {
        offered.is_some_and(|offered| offered.children.iter().any(|child| child.text.trim() == name_of(mechanism)))
    };
    if let Some(wanted) = server.mechanism {
        return if offers(wanted) { Ok(wanted) } else { Err(ClientError::NotOffered(name_of(wanted).to_owned())) };
    }
    if offers(Mechanism::ScramSha256) {
        Ok(Mechanism::ScramSha256)
    } else if offers(Mechanism::ScramSha1) {
        Ok(Mechanism::ScramSha1)
    } else if offers(Mechanism::Plain) && server.tls != TlsMode::Off {
        Ok(Mechanism::Plain)
    } else {
        Err(ClientError::NotOffered("a mechanism that can be used".to_owned()))
    }
}

fn name_of(mechanism: Mechanism) -> &'static str {
    match mechanism {
        Mechanism::ScramSha256 => "SCRAM-SHA-256",
        Mechanism::ScramSha1 => "SCRAM-SHA-1",
        Mechanism::Plain => "PLAIN",
    }
}

async fn scram(
    connection: &mut Connection,
    hash: ScramHash,
    server: &Server,
    account: &Account,
) -> Result<(), ClientError> {
    let mechanism = match hash {
        ScramHash::Sha1 => Mechanism::ScramSha1,
        ScramHash::Sha256 => Mechanism::ScramSha256,
    };
    let scram = Scram::new(hash, &account.user, &account.password, nonce());
    let first = STANDARD.encode(scram.first()?);
    let auth = format!("<auth xmlns='{SASL}' mechanism='{}'>{first}</auth>", name_of(mechanism));
    connection.outgoing().extend_from_slice(auth.as_bytes());
    let challenge = sasl_text(connection, "challenge").await?;
    let proof = scram.answer(&challenge, &server.keys)?;
    let response = format!("<response xmlns='{SASL}'>{}</response>", STANDARD.encode(&proof.message));
    connection.outgoing().extend_from_slice(response.as_bytes());
    let last = sasl_text(connection, "success").await?;
    proof.verify(&last)?;
    Ok(())
}

async fn plain(connection: &mut Connection, account: &Account) -> Result<(), ClientError> {
    let credentials = format!("\0{}\0{}", prepared(&account.user)?, prepared(&account.password)?);
    let auth = format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{}</auth>", STANDARD.encode(credentials));
    connection.outgoing().extend_from_slice(auth.as_bytes());
    sasl_text(connection, "success").await?;
    Ok(())
}

/// The decoded text of the SASL element that has to come next.
async fn sasl_text(connection: &mut Connection, expected: &str) -> Result<String, ClientError> {
    let answer = connection.stanza(Step::Sasl).await?;
    if answer.is("failure", SASL) {
        return Err(ClientError::AuthenticationRefused { condition: answer.condition().to_owned() });
    }
    if !answer.is(expected, SASL) {
        return Err(ClientError::Unexpected(Step::Sasl, answer.name));
    }
    let decoded = STANDARD.decode(answer.text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    decoded.ok_or_else(|| ClientError::Unexpected(Step::Sasl, "text that is not base64".to_owned()))
}

fn nonce() -> String {
    let mut bytes = [0; 18];
    SysRng.try_fill_bytes(&mut bytes).expect("the operating system gives randomness");
    STANDARD.encode(bytes)
}

impl Bind {
    /// How long the steps before took.
    pub(crate) fn times(&self) -> LoginTimes {
        self.times
    }

    /// Binds a resource.
    ///
    /// # Errors
    /// The server refused, with its condition, or went away.
    pub(crate) async fn bind(
        mut self,
        resource: Option<&str>,
        management: StreamManagement,
    ) -> Result<Client, ClientError> {
        let out = self.connection.outgoing();
        out.extend_from_slice(format!("<iq type='set' id='bind'><bind xmlns='{BIND}'>").as_bytes());
        if let Some(resource) = resource {
            out.extend_from_slice(b"<resource>");
            super::escape_into(out, resource);
            out.extend_from_slice(b"</resource>");
        }
        out.extend_from_slice(b"</bind></iq>");
        let answer = iq_answer(&mut self.connection, "bind").await?;
        let jid = answer.child("bind", BIND).and_then(|bind| bind.child("jid", BIND)).map(|jid| jid.text.clone());
        let jid = jid.ok_or_else(|| ClientError::Unexpected(Step::Bind, "a bind without an address".to_owned()))?;
        let session = self.features.child("session", SESSION);
        if session.is_some_and(|session| session.child("optional", SESSION).is_none()) {
            let request = format!("<iq type='set' id='session'><session xmlns='{SESSION}'/></iq>");
            self.connection.outgoing().extend_from_slice(request.as_bytes());
            iq_answer(&mut self.connection, "session").await?;
        }
        self.times.bound = self.begun.elapsed();
        let resumption = match management {
            StreamManagement::Off => None,
            StreamManagement::On => Some(self.enable().await?),
        };
        Ok(Client::new(self.connection, jid, self.times, resumption))
    }

    /// Carries on a session that lost its connection: the server's `h`, and the connection to go on with.
    ///
    /// # Errors
    /// The server does not know the session; a new one has to be bound on a new connection.
    pub(crate) async fn resume(
        mut self,
        previous: &str,
        acks: &Acks,
    ) -> Result<(Connection, u32, LoginTimes), ClientError> {
        let out = self.connection.outgoing();
        out.extend_from_slice(
            format!("<resume xmlns='{STREAM_MANAGEMENT}' h='{}' previd='", acks.inbound()).as_bytes(),
        );
        super::escape_into(out, previous);
        out.extend_from_slice(b"'/>");
        let answer = self.connection.stanza(Step::StreamManagement).await?;
        let handled = answer.attribute("h").and_then(|h| h.parse().ok());
        match (answer.name.as_str(), handled) {
            ("resumed", Some(handled)) => {
                self.times.bound = self.begun.elapsed();
                Ok((self.connection, handled, self.times))
            }
            _ => Err(refused(&answer, handled)),
        }
    }

    async fn enable(&mut self) -> Result<String, ClientError> {
        if self.features.child("sm", STREAM_MANAGEMENT).is_none() {
            return Err(ClientError::NotOffered("stream management".to_owned()));
        }
        let request = format!("<enable xmlns='{STREAM_MANAGEMENT}' resume='true'/>");
        self.connection.outgoing().extend_from_slice(request.as_bytes());
        for _ in 0..STANZAS_BEFORE_ANSWER_MAX {
            let answer = self.connection.stanza(Step::StreamManagement).await?;
            match answer.name.as_str() {
                "enabled" => return Ok(answer.attribute("id").unwrap_or_default().to_owned()),
                "failed" => return Err(refused(&answer, None)),
                _ => {}
            }
        }
        Err(ClientError::TimedOut(Step::StreamManagement))
    }
}

fn refused(answer: &Node, handled: Option<u32>) -> ClientError {
    ClientError::StreamManagementRefused { condition: answer.condition().to_owned(), handled }
}

/// Waits for the result of an iq of ours.
async fn iq_answer(connection: &mut Connection, id: &str) -> Result<Node, ClientError> {
    for _ in 0..STANZAS_BEFORE_ANSWER_MAX {
        let answer = connection.stanza(Step::Bind).await?;
        if answer.name != "iq" || answer.attribute("id") != Some(id) {
            continue;
        }
        if answer.attribute("type") == Some("result") {
            return Ok(answer);
        }
        return Err(ClientError::BindRefused { condition: answer.condition().to_owned() });
    }
    Err(ClientError::TimedOut(Step::Bind))
}
