//! Why a stream ends (RFC 6120 section 4.9).

use crate::xml::Element;

/// The defined conditions of RFC 6120 section 4.9.3.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum StreamErrorCondition {
    BadFormat,
    BadNamespacePrefix,
    Conflict,
    ConnectionTimeout,
    HostGone,
    HostUnknown,
    ImproperAddressing,
    InternalServerError,
    InvalidFrom,
    InvalidNamespace,
    InvalidXml,
    NotAuthorized,
    NotWellFormed,
    PolicyViolation,
    RemoteConnectionFailed,
    Reset,
    ResourceConstraint,
    RestrictedXml,
    SeeOtherHost,
    SystemShutdown,
    UndefinedCondition,
    UnsupportedEncoding,
    UnsupportedFeature,
    UnsupportedStanzaType,
    UnsupportedVersion,
}

impl StreamErrorCondition {
    /// What a client hears that its node sends away: that it may go somewhere else, or that it is not served here.
    pub fn of_sent_away(has_other_host: bool) -> StreamErrorCondition {
        if has_other_host { StreamErrorCondition::SeeOtherHost } else { StreamErrorCondition::SystemShutdown }
    }

    /// The name of the element that tells it.
    pub const fn name(self) -> &'static str {
        match self {
            StreamErrorCondition::BadFormat => "bad-format",
            StreamErrorCondition::BadNamespacePrefix => "bad-namespace-prefix",
            StreamErrorCondition::Conflict => "conflict",
            StreamErrorCondition::ConnectionTimeout => "connection-timeout",
            StreamErrorCondition::HostGone => "host-gone",
            StreamErrorCondition::HostUnknown => "host-unknown",
            StreamErrorCondition::ImproperAddressing => "improper-addressing",
            StreamErrorCondition::InternalServerError => "internal-server-error",
            StreamErrorCondition::InvalidFrom => "invalid-from",
            StreamErrorCondition::InvalidNamespace => "invalid-namespace",
            StreamErrorCondition::InvalidXml => "invalid-xml",
            StreamErrorCondition::NotAuthorized => "not-authorized",
            StreamErrorCondition::NotWellFormed => "not-well-formed",
            StreamErrorCondition::PolicyViolation => "policy-violation",
            StreamErrorCondition::RemoteConnectionFailed => "remote-connection-failed",
            StreamErrorCondition::Reset => "reset",
            StreamErrorCondition::ResourceConstraint => "resource-constraint",
            StreamErrorCondition::RestrictedXml => "restricted-xml",
            StreamErrorCondition::SeeOtherHost => "see-other-host",
            StreamErrorCondition::SystemShutdown => "system-shutdown",
            StreamErrorCondition::UndefinedCondition => "undefined-condition",
            StreamErrorCondition::UnsupportedEncoding => "unsupported-encoding",
            StreamErrorCondition::UnsupportedFeature => "unsupported-feature",
            StreamErrorCondition::UnsupportedStanzaType => "unsupported-stanza-type",
            StreamErrorCondition::UnsupportedVersion => "unsupported-version",
        }
    }
}

/// What is said at the end of a stream that ends with an error (RFC 6120 section 4.9.2).
#[derive(Clone, Copy, Debug)]
pub(super) struct StreamError<'a> {
    pub(super) condition: StreamErrorCondition,
    /// Where the client is to go, with `see-other-host`.
    pub(super) other_host: Option<&'a str>,
    /// For people.
    pub(super) text: Option<&'a str>,
    /// The condition that an extension has for it (section 4.9.4).
    pub(super) detail: Option<&'a Element>,
}

impl From<StreamErrorCondition> for StreamError<'_> {
    fn from(condition: StreamErrorCondition) -> Self {
        StreamError { condition, other_host: None, text: None, detail: None }
    }
}

impl<'a> StreamError<'a> {
    /// The client finds somebody who serves it at that host.
    pub(super) fn see_other_host(host: &'a str) -> StreamError<'a> {
        StreamError { other_host: Some(host), ..StreamErrorCondition::SeeOtherHost.into() }
    }
}
