//! What a client says when it opens a stream.

use super::scope::Scope;
use super::tag::{RawAttribute, StartTag};
use super::text::{Decoded, Place, read};
use super::{XmlError, ns};

/// The start tag of a stream (RFC 6120 section 4.7). Its namespace is that of streams, or it is refused.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct StreamHeader {
    /// The domain that the client wants to talk to.
    pub to: Option<String>,
    /// Who the client says it is.
    pub from: Option<String>,
    /// `1.0`, or nothing for a client from before RFC 3920.
    pub version: Option<String>,
    /// Only servers send one.
    pub id: Option<String>,
    /// `xml:lang`.
    pub language: Option<String>,
    /// The default namespace: `jabber:client`; that of streams itself, or none, if each stanza brings its own.
    pub default_namespace: Option<String>,
}

impl StreamHeader {
    pub(super) fn read(
        tag: &StartTag<'_>,
        attributes: &[RawAttribute<'_>],
        scope: &Scope,
    ) -> Result<StreamHeader, XmlError> {
        if scope.text(tag.namespace) != ns::STREAM {
            return Err(XmlError::InvalidNamespace("not the namespace of streams"));
        }
        if tag.name.local != "stream" {
            return Err(XmlError::BadFormat("not a stream"));
        }
        let default = scope.default_namespace();
        if !matches!(default, "" | ns::CLIENT | ns::STREAM) {
            return Err(XmlError::InvalidNamespace("the default namespace is not jabber:client"));
        }
        let mut header = StreamHeader {
            default_namespace: Some(default.to_owned()).filter(|default| !default.is_empty()),
            ..StreamHeader::default()
        };
        for attribute in attributes {
            let mut value = String::new();
            read(attribute.value, Place::Attribute, &mut Decoded(&mut value))?;
            match (attribute.name.local, scope.text(attribute.namespace)) {
                ("to", "") => header.to = Some(value),
                ("from", "") => header.from = Some(value),
                ("version", "") => header.version = Some(value),
                ("id", "") => header.id = Some(value),
                ("lang", ns::XML) => header.language = Some(value),
                _ => {}
            }
        }
        Ok(header)
    }
}
