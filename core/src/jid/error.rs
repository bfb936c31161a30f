//! Why text is no address.

use thiserror::Error;

/// What a fault of an address is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JidPart {
    /// What stands before the `@`.
    Node,
    /// What stands between `@` and `/`.
    Domain,
    /// What stands behind the `/`.
    Resource,
    /// All of it.
    Whole,
}

impl JidPart {
    const fn name(self) -> &'static str {
        match self {
            JidPart::Node => "the part before the '@'",
            JidPart::Domain => "the domain",
            JidPart::Resource => "the resource",
            JidPart::Whole => "the address",
        }
    }
}

/// Why text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum JidError {
    /// A part that is announced by its `@` or `/` is empty, or there is no domain.
    #[error("{} is empty", .0.name())]
    Empty(JidPart),
    /// Beyond one of the lengths in [`limits`](crate::limits::JID_BYTES_MAX).
    #[error("{} is too long", .0.name())]
    TooLong(JidPart),
    /// A part has characters, or an order of characters, that it may not have.
    #[error("{} has characters that it may not have", .0.name())]
    NotAllowed(JidPart),
    /// The prepared form of a part would be read as another one, so that two different texts would name one address
    /// here and two elsewhere.
    #[error("{} has no stable form", .0.name())]
    Unstable(JidPart),
    /// There is a resource where none may be.
    #[error("there is a resource")]
    ResourceNotAllowed,
    /// There is no resource where one must be.
    #[error("there is no resource")]
    ResourceMissing,
}
