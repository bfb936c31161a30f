//! Raft and the links, which need each other from the start and start one after the other.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::node::Peer;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use crate::consensus::Consensus;
use crate::consensus::rpc::{CallError, PeerCalls, Server};
use crate::control::PresentMesh;
use crate::links::{self, RaftService};

/// Raft's side of the links, from before it has started.
#[derive(Default)]
pub(super) struct RaftEnd {
    pub(super) consensus: Arc<OnceLock<Consensus>>,
    server: OnceLock<Server>,
}

impl RaftEnd {
    pub(super) fn fill(&self, consensus: &Consensus) {
        // Both are filled once, by the one start.
        drop(self.server.set(consensus.server()));
        drop(self.consensus.set(consensus.clone()));
    }
}

impl RaftService for RaftEnd {
    fn handle(&self, peer: Peer, request: Bytes) -> BoxFuture<'static, Bytes> {
        match self.server.get().cloned() {
            Some(server) => async move { server.serve(peer.member, &request).await }.boxed(),
            // An empty answer is none: the other side tries again.
            None => futures_util::future::ready(Bytes::new()).boxed(),
        }
    }
}

/// The links of whichever life is the present one, as Raft uses them.
pub(super) struct Calls(pub(super) Arc<PresentMesh>);

impl PeerCalls for Calls {
    fn call(&self, to: MemberId, question: Bytes, deadline: Duration) -> BoxFuture<'static, Result<Bytes, CallError>> {
        let mesh = self.0.borrow().clone();
        async move {
            mesh.call(to, question, deadline).await.map_err(|error| match error {
                links::CallError::NotConnected => CallError::NoLink,
                links::CallError::TimedOut => CallError::TimedOut,
                links::CallError::TooLong | links::CallError::Closed => CallError::Lost(error.to_string()),
            })
        }
        .boxed()
    }
}
