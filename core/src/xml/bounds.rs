//! The bounds of what is read.

use crate::limits;

/// What one top-level element may be at most. Beyond any of them: [`XmlError::PolicyViolation`](super::XmlError).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XmlLimits {
    /// Bytes of the element as received, and of its canonical form. The latter is longer where namespaces or escapes
    /// have to be spelled out, and without a bound would be longer by a factor that the sender chooses.
    pub element_bytes_max: usize,
    /// Nesting, the top-level element being 1.
    pub depth_max: usize,
    /// Attributes and namespace declarations of one element; also the prefixes that may be bound at one place.
    pub attributes_max: usize,
    /// Bytes of one name, prefix included.
    pub name_bytes_max: usize,
}

impl XmlLimits {
    /// For a client that has not said who it is.
    pub const BEFORE_AUTHENTICATION: XmlLimits = XmlLimits {
        element_bytes_max: limits::STANZA_BYTES_BEFORE_AUTHENTICATION_MAX,
        depth_max: limits::XML_DEPTH_MAX,
        attributes_max: limits::XML_ATTRIBUTES_MAX,
        name_bytes_max: limits::XML_NAME_BYTES_MAX,
    };

    /// For a client that has.
    pub const AUTHENTICATED: XmlLimits =
        XmlLimits { element_bytes_max: limits::STANZA_BYTES_MAX, ..XmlLimits::BEFORE_AUTHENTICATION };

    /// For what is in memory already and was bounded when it came in.
    pub(crate) const NONE: XmlLimits = XmlLimits {
        element_bytes_max: usize::MAX,
        depth_max: usize::MAX,
        attributes_max: usize::MAX,
        name_bytes_max: usize::MAX,
    };
}
