//! Why a client could not go on, in types that a caller can count and decide by.

use super::framing::FramingError;
use super::scram::ScramError;
use std::{fmt, io};

/// The step of a log-in at which something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// The TCP connection.
    Connect,
    /// The TLS handshake, STARTTLS included.
    Tls,
    /// The stream header and its features.
    Stream,
    /// The SASL exchange.
    Sasl,
    /// Binding a resource.
    Bind,
    /// Enabling or resuming XEP-0198.
    StreamManagement,
    /// A session that is up.
    Session,
}

impl fmt::Display for Step {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Step::Connect => "connect",
            Step::Tls => "tls",
            Step::Stream => "stream",
            Step::Sasl => "sasl",
            Step::Bind => "bind",
            Step::StreamManagement => "stream-management",
            Step::Session => "session",
        })
    }
}

/// Everything that can end a client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// The address as it was given.
        address: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The connection broke.
    #[error("connection broken: {0}")]
    Io(#[from] io::Error),
    /// The TLS handshake failed, or the certificate is not the expected one.
    #[error("tls: {0}")]
    Tls(String),
    /// The server does not offer what was asked for.
    #[error("the server does not offer {0}")]
    NotOffered(String),
    /// The server did not answer in time.
    #[error("no answer in time ({0})")]
    TimedOut(Step),
    /// The server closed the stream without an error.
    #[error("stream closed by the server ({0})")]
    Closed(Step),
    /// The server ended the stream with an error (RFC 6120, section 4.9).
    #[error("stream error {condition}: {text}")]
    Stream {
        /// The defined condition.
        condition: String,
        /// The server's words.
        text: String,
    },
    /// The server refused the credentials (RFC 6120, section 6.5).
    #[error("authentication refused: {condition}")]
    AuthenticationRefused {
        /// The defined condition.
        condition: String,
    },
    /// The server did not prove that it knows the password, or sent a broken challenge.
    #[error("scram: {0}")]
    Scram(#[from] ScramError),
    /// The server refused the bind (RFC 6120, section 7.6.2).
    #[error("bind refused: {condition}")]
    BindRefused {
        /// The stanza error's condition.
        condition: String,
    },
    /// The server refused to enable or to resume (XEP-0198).
    #[error("stream management refused: {condition}")]
    StreamManagementRefused {
        /// The condition of the `<failed/>`.
        condition: String,
        /// How many stanzas the server had handled, where it says so.
        handled: Option<u32>,
    },
    /// What the server sent is beyond a bound or no stream.
    #[error("framing: {0}")]
    Framing(#[from] FramingError),
    /// Something that does not belong at this step.
    #[error("unexpected at {0}: {1}")]
    Unexpected(Step, String),
}

impl ClientError {
    /// A short label to count by: the step and the condition, never the server's words.
    pub(crate) fn label(&self) -> String {
        match self {
            ClientError::Connect { source, .. } => format!("connect: {}", source.kind()),
            ClientError::Io(source) => format!("broken: {}", source.kind()),
            ClientError::Tls(_) => "tls".to_owned(),
            ClientError::NotOffered(what) => format!("not offered: {what}"),
            ClientError::TimedOut(step) => format!("time-out: {step}"),
            ClientError::Closed(step) => format!("closed: {step}"),
            ClientError::Stream { condition, .. } => format!("stream: {condition}"),
            ClientError::AuthenticationRefused { condition } => format!("sasl: {condition}"),
            ClientError::Scram(error) => format!("scram: {error}"),
            ClientError::BindRefused { condition } => format!("bind: {condition}"),
            ClientError::StreamManagementRefused { condition, .. } => format!("stream-management: {condition}"),
            ClientError::Framing(error) => format!("framing: {error}"),
            ClientError::Unexpected(step, _) => format!("unexpected: {step}"),
        }
    }
}
