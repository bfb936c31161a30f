//! What is the same for all sessions of a listener.

use std::fmt;
use std::time::Duration;

use crate::jid::DomainPart;
use crate::limits::RESUMPTION_TIME_MAX;

/// What is the same for all sessions of a listener. All nodes of a cluster offer the same to clients, so everything
/// here has to come from what they share, except for the TLS policy, which may differ between listeners.
#[derive(Clone)]
pub struct SessionSettings {
    /// The domain that is served.
    pub domain: DomainPart,
    /// Whether and when a stream is encrypted.
    pub tls: TlsPolicy,
    /// Offers PLAIN on streams that are not encrypted too. For measurements on one machine; with [`TlsPolicy::Required`]
    /// it has no effect, because no mechanism is offered before TLS.
    pub plain_without_tls: bool,
    /// Makes the keys of accounts that do not exist; the same on all nodes, known to nobody else.
    pub decoy_secret: [u8; 32],
    /// What XEP-0092 tells of this program, its version.
    pub software_version: String,
    /// How long a session without a connection may be resumed; at most
    /// [`RESUMPTION_TIME_MAX`].
    pub resumption_time_max: Duration,
}

impl SessionSettings {
    /// Settings for a domain: TLS required, sessions resumable for as long as the limits allow.
    pub fn new(domain: DomainPart, decoy_secret: [u8; 32], software_version: &str) -> SessionSettings {
        SessionSettings {
            domain,
            tls: TlsPolicy::Required,
            plain_without_tls: false,
            decoy_secret,
            software_version: software_version.to_owned(),
            resumption_time_max: RESUMPTION_TIME_MAX,
        }
    }
}

impl fmt::Debug for SessionSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionSettings")
            .field("domain", &self.domain)
            .field("tls", &self.tls)
            .field("plain_without_tls", &self.plain_without_tls)
            .finish_non_exhaustive()
    }
}

/// Whether and when a stream is encrypted. A listener of direct TLS (XEP-0368) has [`TlsPolicy::Required`] and says
/// `handle_tls` before the first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum TlsPolicy {
    /// Nobody authenticates on a stream that is not encrypted (RFC 7590 section 3.2).
    #[default]
    Required,
    /// STARTTLS is offered and may be left out.
    Optional,
    /// STARTTLS is not offered: there is no certificate, or whatever sits before this listener does TLS.
    Disabled,
}
