//! Who is at an address: asked by a command that is no member, and is answered without a link.

use std::net::SocketAddr;
use std::time::Duration;

use cresset_core::ids::MemberId;
use tokio::time::timeout;

use super::event::HelloRefusal;
use super::handshake;
use super::identity::{Identity, LinkSecurity};
use super::wire::BoxedStream;
use crate::transport::Transport;

/// Who is at an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Present {
    /// This member of this cluster.
    Member {
        /// The cluster.
        cluster: String,
        /// The member.
        member: MemberId,
    },
    /// A node that knows the join secret and whose program is too old to say who it is.
    Unnamed,
    /// Nobody who knows the join secret answered in time.
    Nobody,
}

/// Asks who is there.
pub async fn who_is_at<T: Transport>(
    transport: &T,
    address: SocketAddr,
    security: &LinkSecurity,
    time_max: Duration,
) -> Present {
    let asked = async {
        let stream: BoxedStream = Box::new(transport.connect(address).await.map_err(HelloRefusal::from)?);
        handshake::ask(stream, security).await
    };
    match timeout(time_max, asked).await {
        Ok(Ok(Some(Identity { cluster, member, .. }))) => Present::Member { cluster, member },
        Ok(Ok(None)) => Present::Unnamed,
        Ok(Err(refusal)) => {
            tracing::debug!(%address, %refusal, "asked who is there");
            Present::Nobody
        }
        Err(_) => Present::Nobody,
    }
}
