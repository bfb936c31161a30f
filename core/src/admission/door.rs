//! What a client finds that opens a stream.

use std::net::SocketAddr;

/// How a client is received that comes at this moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Door {
    /// It is served, if not at once then in a moment.
    #[default]
    Open,
    /// It is sent to another member.
    Elsewhere(SocketAddr),
    /// It is sent away, and nobody knows where it could go.
    Shut,
}
