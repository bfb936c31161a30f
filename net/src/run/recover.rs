//! Giving up a cluster whose quorum is lost for good: another one is founded with the same accounts.
//!
//! ```text
//! survivor's directory ─▶ who voted ─▶ (nobody answers, the operator is sure) ─▶ account store: another identity
//!                                                                              ─▶ directory: emptied, bound to a new founder
//! ```
//!
//! Nothing that the old log agreed on outlives its sessions, so nothing of it is kept: neither is its membership written
//! over, nor may anybody ever vote by it again. Whoever comes back with an old directory finds that the account store
//! belongs to another cluster. A node of the old cluster that runs notices the same within seconds and stops.

use std::net::SocketAddr;
use std::sync::Arc;

use cresset_core::ids::MemberId;

use crate::accounts::{Accounts, ClusterId, Founding, StoreError};
use crate::consensus::{self, kept};
use crate::control::founding::{self, FoundingError};
use crate::control::stamp;
use crate::disk::{Disk, DiskError};
use crate::runtime;

/// Why a cluster is not given up. A sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// The data directory cannot be used.
    #[error("the data directory: {0}")]
    Disk(#[from] DiskError),
    /// The account store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The data directory is not bound as it should be.
    #[error(transparent)]
    Binding(#[from] FoundingError),
    /// What the directory keeps of the agreement cannot be read.
    #[error("the data directory: {0}")]
    Kept(#[from] consensus::StartError),
    /// There is no directory of a member.
    #[error("there is nothing to recover from: the data directory is not that of a member")]
    NoMember,
    /// There is no cluster.
    #[error("there is nothing to recover: no cluster was founded in this account store")]
    NoCluster,
    /// The directory belongs to another cluster than the account store.
    #[error("the data directory belongs to the cluster {found} and the account store to the cluster {expected}")]
    OtherCluster {
        /// The cluster of the directory.
        found: String,
        /// The cluster of the store.
        expected: String,
    },
}

/// A node that is left, and does not run.
pub struct Survivor {
    disk: Arc<dyn Disk>,
    cluster: ClusterId,
    name: String,
    voters: Vec<(String, SocketAddr)>,
    is_voter: bool,
}

impl Survivor {
    /// Reads what the directory of a node knows of its cluster.
    ///
    /// # Errors
    ///
    /// If it is not a member of the cluster that the account store belongs to, or cannot be read.
    pub async fn read(disk: Arc<dyn Disk>, accounts: &dyn Accounts) -> Result<Survivor, RecoverError> {
        let identity = accounts.known_identity().await?.filter(|identity| identity.formed);
        let cluster = identity.ok_or(RecoverError::NoCluster)?.cluster_id;
        let (member, bound, name) = founding::bound(&*disk).await?.ok_or(RecoverError::NoMember)?;
        if bound != cluster {
            let (found, expected) = (bound.to_string(), cluster.to_string());
            return Err(RecoverError::OtherCluster { found, expected });
        }
        let state = kept::state(disk.clone(), member).await?;
        let is_other = |id: &&MemberId| **id != member;
        let others = state.voters().iter().filter(is_other).filter_map(|id| state.member(*id));
        let voters = others.map(|voter| (voter.name.clone(), voter.peer_address)).collect();
        Ok(Survivor { disk, cluster, name, voters, is_voter: state.voters().contains(&member) })
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The other members that vote, and where each was.
    pub fn other_voters(&self) -> &[(String, SocketAddr)] {
        &self.voters
    }

    /// How many of the other voters have to be alive for the cluster to go on by itself, and how many if this node is
    /// started again.
    pub fn needed(&self) -> (usize, usize) {
        let quorum = (self.voters.len() + usize::from(self.is_voter)) / 2 + 1;
        (quorum, quorum - usize::from(self.is_voter))
    }

    /// Gives the cluster up. This node founds another one when it starts the next time: answers which.
    ///
    /// # Errors
    ///
    /// If the account store or the disk fails. Once the store knows of the new cluster, any node with an empty directory
    /// may found it.
    pub async fn give_up(self, accounts: &dyn Accounts) -> Result<ClusterId, RecoverError> {
        let member = accounts.allocate_member(self.name.clone()).await?;
        let anew = Founding::draw(&mut runtime::generator(), member);
        let cluster = accounts.found_anew(self.cluster, anew).await?.cluster_id;
        stamp::empty(&*self.disk).await?;
        founding::rebind(&*self.disk, cluster, member, &self.name).await?;
        Ok(cluster)
    }
}
