//! The one question to AWS EC2 that discovery has: which instances are there?
//!
//! ```text
//! settings ─▶ form: DescribeInstances, filters ─▶ signed(now, credentials) ─▶ POST ─▶ page ─▶ addresses, next token
//! ```
//!
//! Requests are built and answers are read here, as bytes. The keys are used and never shown: neither a form nor an
//! error has them.
//!
//! Not here: HTTP, TLS, where keys come from, and when to ask.

mod form;
mod page;
mod sign;

use std::fmt;

use crate::config::discovery::Secret;

pub use form::{Endpoint, describe_instances};
pub use page::{Page, read_page};
pub use sign::signed;

/// What a request is signed with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Credentials {
    /// The name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
    /// What a key that is lent for some hours comes with.
    pub session_token: Option<Secret>,
}

/// A header of a request.
#[derive(Clone, PartialEq, Eq)]
pub struct Header {
    /// In lower case.
    pub name: &'static str,
    /// As it is sent.
    pub value: String,
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Header({}, value not shown)", self.name)
    }
}
