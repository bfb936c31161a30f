//! Namespaces that XML and streams themselves are made of.

/// Stanzas of a client's stream; the default namespace of everything that is written.
pub const CLIENT: &str = "jabber:client";
/// The stream itself, its features and its errors (RFC 6120 section 4.8.1).
pub const STREAM: &str = "http://etherx.jabber.org/streams";
/// What the prefix `xml` means.
pub const XML: &str = "http://www.w3.org/XML/1998/namespace";
/// What the prefix `xmlns` means.
pub const XMLNS: &str = "http://www.w3.org/2000/xmlns/";
