//! What can be wrong with the XML that somebody sends.

use thiserror::Error;

/// Why XML was refused. Each variant is a stream error condition of RFC 6120 section 4.9.3; the text says what was
/// wrong in words that may be shown to the sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum XmlError {
    /// Not XML 1.0, or not namespace-well-formed.
    #[error("not-well-formed: {0}")]
    NotWellFormed(&'static str),
    /// XML that RFC 6120 section 11.1 forbids: comments, processing instructions, document types, entities of one's
    /// own.
    #[error("restricted-xml: {0}")]
    RestrictedXml(&'static str),
    /// Anything but UTF-8 (RFC 6120 section 11.6).
    #[error("unsupported-encoding: {0}")]
    UnsupportedEncoding(&'static str),
    /// Beyond one of the [`XmlLimits`](super::XmlLimits).
    #[error("policy-violation: {0}")]
    PolicyViolation(&'static str),
    /// The namespace of the stream, or the default namespace of what it carries, is none that is spoken here.
    #[error("invalid-namespace: {0}")]
    InvalidNamespace(&'static str),
    /// A prefix that is reserved was bound, or is bound to what it may not be.
    #[error("bad-namespace-prefix: {0}")]
    BadNamespacePrefix(&'static str),
    /// XML, but not a stream: text between stanzas, or a root element that is no stream.
    #[error("bad-format: {0}")]
    BadFormat(&'static str),
}

impl XmlError {
    /// The name of the stream error condition, `not-well-formed` for one.
    pub fn condition(&self) -> &'static str {
        match self {
            XmlError::NotWellFormed(_) => "not-well-formed",
            XmlError::RestrictedXml(_) => "restricted-xml",
            XmlError::UnsupportedEncoding(_) => "unsupported-encoding",
            XmlError::PolicyViolation(_) => "policy-violation",
            XmlError::InvalidNamespace(_) => "invalid-namespace",
            XmlError::BadNamespacePrefix(_) => "bad-namespace-prefix",
            XmlError::BadFormat(_) => "bad-format",
        }
    }

    /// What was wrong, in words that may be shown to the sender.
    pub fn reason(&self) -> &'static str {
        match self {
            XmlError::NotWellFormed(reason)
            | XmlError::RestrictedXml(reason)
            | XmlError::UnsupportedEncoding(reason)
            | XmlError::PolicyViolation(reason)
            | XmlError::InvalidNamespace(reason)
            | XmlError::BadNamespacePrefix(reason)
            | XmlError::BadFormat(reason) => reason,
        }
    }
}
