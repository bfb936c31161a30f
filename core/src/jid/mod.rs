//! JIDs: `node@domain/resource`, prepared, so that two of them are the same address if and only if they are the same text.
//!
//! ```text
//! text ─▶ lengths ─▶ parts ─▶ prepare (node, domain, resource) ─▶ the prepared form parses to itself? ─▶ Jid
//! ```
//!
//! **Invariant.** [`Jid::new`] and its relatives are the only way from text to an address, also out of a store, a link or
//! a configuration, and what they give parses to itself. Text is measured before any of it is prepared, so that no
//! text costs more than its [lengths](crate::limits::JID_BYTES_MAX) allow. `tests/architecture` refuses other ways.
//!
//! Past the edge of the system a JID is one of these types, never a string. They are compared, hashed and written in
//! their prepared form.

mod error;
mod parts;
mod prepare;
mod resource;
mod text;

#[cfg(test)]
mod tests;

use std::borrow::Borrow;
use std::fmt;
use std::num::NonZeroU16;
use std::ops::Deref;

use serde::{Deserialize, Serialize, Serializer};

use crate::limits::JID_BYTES_MAX;

pub use error::{JidError, JidPart};
pub use parts::{DomainPart, DomainRef, NodePart, NodeRef, ResourcePart, ResourceRef};
pub(crate) use prepare::decomposes_beyond;

/// An address with or without resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct Jid {
    text: String,
    /// Where the `@` is. No part is empty, so it is never at 0.
    at: Option<NonZeroU16>,
    /// Where the `/` is that begins the resource.
    slash: Option<NonZeroU16>,
}

/// An address without resource: an account, or a domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct BareJid(Jid);

/// An address with resource.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(try_from = "String")]
pub struct FullJid(Jid);

impl Jid {
    /// Reads and prepares an address (RFC 7622 section 3.2): the resource begins behind the first `/`, and the domain
    /// behind the first `@` before that.
    ///
    /// # Errors
    ///
    /// A part is empty, too long or none that can be prepared, or its prepared form would be read otherwise.
    pub fn new(text: &str) -> Result<Jid, JidError> {
        let (node, domain, resource) = split(text)?;
        // The domain first: it is cheap to refuse.
        let domain = prepare::domain(domain)?;
        let node = node.map(prepare::node).transpose()?;
        let resource = resource.map(resource::prepare).transpose()?;
        Ok(Jid::assembled(node.as_deref(), &domain, resource.as_deref()))
    }

    /// The domain of an address of which the rest does not matter, and may be wrong.
    ///
    /// # Errors
    ///
    /// The address is too long, or its domain is none.
    pub fn domain_of(text: &str) -> Result<DomainPart, JidError> {
        DomainPart::new(split(text)?.1)
    }

    /// The address that consists of these prepared parts.
    fn assembled(node: Option<&str>, domain: &str, resource: Option<&str>) -> Jid {
        let bytes = node.map_or(0, |node| node.len() + 1) + domain.len() + resource.map_or(0, |part| part.len() + 1);
        let mut text = String::with_capacity(bytes);
        let mut at = None;
        if let Some(node) = node {
            text.push_str(node);
            at = place(&text);
            text.push('@');
        }
        text.push_str(domain);
        let jid = Jid { text, at, slash: None };
        match resource {
            None => jid,
            Some(resource) => jid.with_slash(resource),
        }
    }

    /// The same address with a prepared resource behind it.
    fn with_slash(mut self, resource: &str) -> Jid {
        self.slash = place(&self.text);
        self.text.push('/');
        self.text.push_str(resource);
        self
    }

    /// The whole of it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What stands before the `@`, if there is one.
    pub fn node(&self) -> Option<NodeRef<'_>> {
        self.at.map(|at| NodeRef::of(&self.text[..offset(at)]))
    }

    /// The domain.
    pub fn domain(&self) -> DomainRef<'_> {
        let start = self.at.map_or(0, |at| offset(at) + 1);
        let end = self.slash.map_or(self.text.len(), offset);
        DomainRef::of(&self.text[start..end])
    }

    /// What stands behind the first `/`, if there is one.
    pub fn resource(&self) -> Option<ResourceRef<'_>> {
        self.slash.map(|slash| ResourceRef::of(&self.text[offset(slash) + 1..]))
    }

    /// Whether there is a resource.
    pub fn is_full(&self) -> bool {
        self.slash.is_some()
    }

    /// Whether there is no resource.
    pub fn is_bare(&self) -> bool {
        self.slash.is_none()
    }

    /// A copy without the resource.
    pub fn to_bare(&self) -> BareJid {
        let end = self.slash.map_or(self.text.len(), offset);
        BareJid(Jid { text: self.text[..end].to_owned(), at: self.at, slash: None })
    }
}

impl BareJid {
    /// Reads and prepares an address without resource.
    ///
    /// # Errors
    ///
    /// As for [`Jid::new`], and if there is a resource.
    pub fn new(text: &str) -> Result<BareJid, JidError> {
        match text.contains('/') {
            true => Err(JidError::ResourceNotAllowed),
            false => Jid::new(text).map(BareJid),
        }
    }

    /// An account, or the domain alone.
    pub fn from_parts(node: Option<&NodePart>, domain: &DomainPart) -> BareJid {
        BareJid(Jid::assembled(node.map(NodePart::as_str), domain.as_str(), None))
    }

    /// This address with a resource.
    pub fn with_resource(&self, resource: &ResourcePart) -> FullJid {
        let mut text = String::with_capacity(self.0.text.len() + 1 + resource.len());
        text.push_str(&self.0.text);
        FullJid(Jid { text, at: self.0.at, slash: None }.with_slash(resource.as_str()))
    }

    /// This address with a resource, which is prepared.
    ///
    /// # Errors
    ///
    /// The resource is empty, too long, or none that can be prepared.
    pub fn with_resource_str(&self, resource: &str) -> Result<FullJid, JidError> {
        let resource = ResourcePart::new(resource)?;
        Ok(self.with_resource(&resource))
    }

    /// The whole of it.
    pub fn into_inner(self) -> String {
        self.0.text
    }
}

impl FullJid {
    /// Reads and prepares an address with resource.
    ///
    /// # Errors
    ///
    /// As for [`Jid::new`], and if there is no resource.
    pub fn new(text: &str) -> Result<FullJid, JidError> {
        Jid::new(text)?.try_into()
    }

    /// What stands behind the first `/`.
    pub fn resource(&self) -> ResourceRef<'_> {
        self.0.resource().expect("a full JID has a resource")
    }

    /// The whole of it.
    pub fn into_inner(self) -> String {
        self.0.text
    }
}

/// Node, domain and resource of an address that is not too long, as they are written.
fn split(text: &str) -> Result<(Option<&str>, &str, Option<&str>), JidError> {
    if text.len() > JID_BYTES_MAX {
        return Err(JidError::TooLong(JidPart::Whole));
    }
    let (bare, resource) = match memchr::memchr(b'/', text.as_bytes()) {
        Some(slash) => (&text[..slash], Some(&text[slash + 1..])),
        None => (text, None),
    };
    match memchr::memchr(b'@', bare.as_bytes()) {
        Some(at) => Ok((Some(&bare[..at]), &bare[at + 1..], resource)),
        None => Ok((None, bare, resource)),
    }
}

/// The end of what is written so far. Each part has at most 1023 bytes.
fn place(text: &str) -> Option<NonZeroU16> {
    u16::try_from(text.len()).ok().and_then(NonZeroU16::new)
}

fn offset(place: NonZeroU16) -> usize {
    usize::from(place.get())
}

impl TryFrom<Jid> for FullJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<FullJid, JidError> {
        if jid.is_full() { Ok(FullJid(jid)) } else { Err(JidError::ResourceMissing) }
    }
}

impl TryFrom<Jid> for BareJid {
    type Error = JidError;

    fn try_from(jid: Jid) -> Result<BareJid, JidError> {
        if jid.is_bare() { Ok(BareJid(jid)) } else { Err(JidError::ResourceNotAllowed) }
    }
}

impl From<DomainPart> for Jid {
    fn from(domain: DomainPart) -> Jid {
        Jid { text: domain.into_inner(), at: None, slash: None }
    }
}

impl From<DomainPart> for BareJid {
    fn from(domain: DomainPart) -> BareJid {
        BareJid(domain.into())
    }
}

impl PartialEq<BareJid> for Jid {
    fn eq(&self, other: &BareJid) -> bool {
        *self == other.0
    }
}

impl PartialEq<FullJid> for Jid {
    fn eq(&self, other: &FullJid) -> bool {
        *self == other.0
    }
}

/// What the three types have in common.
macro_rules! address {
    ($name:ident) => {
        text::text!($name);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.as_str()).finish()
            }
        }
    };
}

address!(Jid);
address!(BareJid);
address!(FullJid);

/// What an address with or without resource is besides: an address.
macro_rules! is_a_jid {
    ($name:ident) => {
        impl Deref for $name {
            type Target = Jid;

            fn deref(&self) -> &Jid {
                &self.0
            }
        }

        impl Borrow<Jid> for $name {
            fn borrow(&self) -> &Jid {
                &self.0
            }
        }

        impl From<$name> for Jid {
            fn from(jid: $name) -> Jid {
                jid.0
            }
        }

        impl PartialEq<Jid> for $name {
            fn eq(&self, other: &Jid) -> bool {
                self.0 == *other
            }
        }
    };
}

is_a_jid!(BareJid);
is_a_jid!(FullJid);
