//! Giving up a cluster whose quorum is lost for good: another one is founded with the same accounts.
//!
//! ```text
//! survivor's directory ─▶ who voted ─▶ (nobody answers, the operator is sure) ─▶ directory: a note of what is begun
//!                                                                              ─▶ account store: another identity
//!                                                                              ─▶ directory: emptied, bound to a new founder
//! ```
//!
//! Nothing that the old log agreed on outlives its sessions, so nothing of it is kept: neither is its membership written
//! over, nor may anybody ever vote by it again. Whoever comes back with an old directory finds that the account store
//! belongs to another cluster. A node of the old cluster that runs notices the same within seconds and stops.
//!
//! What was interrupted is finished when it is begun again: the account store changes in one step, before which nothing
//! has happened, and after which the note says whose founder the store waits for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::wire;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::{LinkProtection, link_security};
use crate::accounts::{ClusterId, ClusterStore, Founding, Identity, StoreError};
use crate::consensus::{self, kept};
use crate::control::founding::{self, FoundingError};
use crate::control::stamp;
use crate::disk::{Disk, DiskError};
use crate::links::{Present, who_is_at};
use crate::runtime;
use crate::transport::Transport;

/// The file of the note.
const NOTE: &str = "recovery";

/// How long a member may take to say who it is. One that lives on a network of today does so in milliseconds.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(2);

/// How long it is waited for marks of members that run: two turns of theirs and some.
const MARKED_WITHIN: Duration = Duration::from_millis(2500);

/// How many members before and after this one are looked at: ids are counted up, one for each new directory.
const MEMBERS_LOOKED_AT: u64 = 256;

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
    #[error(
        "there is nothing to recover from: the data directory is not that of a member; do it on the machine of one, or, if \
         all directories are lost, start this node once, stop it, and say this again"
    )]
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

impl RecoverError {
    fn other_cluster(directory: ClusterId, store: ClusterId) -> RecoverError {
        RecoverError::OtherCluster { found: directory.to_string(), expected: store.to_string() }
    }
}

/// What is left in the directory of a node that does not run.
pub enum Remains {
    /// A member of the cluster.
    Survivor(Survivor),
    /// A member that has given its cluster up, and may not have been made the founder of another one yet.
    Unfinished(Unfinished),
}

impl Remains {
    /// Reads what the directory of a node knows of its cluster.
    ///
    /// # Errors
    ///
    /// If it is not a member of the cluster that the account store belongs to, or cannot be read.
    pub async fn read(disk: Arc<dyn Disk>, accounts: &dyn ClusterStore) -> Result<Remains, RecoverError> {
        let identity = accounts.known_identity().await?.ok_or(RecoverError::NoCluster)?;
        let bound = founding::bound(&*disk).await?;
        if let Some(note) = founding::read::<Note>(&*disk, NOTE).await?.filter(|note| note.counts(&identity)) {
            let is_bound = bound.as_ref().is_some_and(|(member, ..)| *member == note.founder);
            let is_old = bound.as_ref().is_none_or(|(_, cluster, _)| cluster.0 == note.given_up);
            if is_bound || is_old {
                let cluster = identity.cluster_id;
                return Ok(Remains::Unfinished(Unfinished { disk, cluster, note, is_bound }));
            }
        }
        if !identity.formed {
            return Err(RecoverError::NoCluster);
        }
        let bound = bound.ok_or(RecoverError::NoMember)?;
        Ok(Remains::Survivor(Survivor::read(disk, identity, bound).await?))
    }
}

/// What is noted before anything is changed.
#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Note {
    given_up: [u8; 16],
    founder: MemberId,
    name: String,
}

impl Note {
    /// Whether the account store waits for the founder that is noted.
    fn counts(&self, identity: &Identity) -> bool {
        identity.founder == self.founder && !identity.formed
    }
}

/// A cluster that is given up, and a directory that is still to be made that of the founder of another one.
pub struct Unfinished {
    disk: Arc<dyn Disk>,
    cluster: ClusterId,
    note: Note,
    is_bound: bool,
}

impl Unfinished {
    /// What the node is called.
    pub fn name(&self) -> &str {
        &self.note.name
    }

    /// Makes the node the founder of the cluster that the account store waits for: answers which.
    ///
    /// # Errors
    ///
    /// If the disk fails. It can be tried again.
    pub async fn finish(self) -> Result<ClusterId, RecoverError> {
        let Unfinished { disk, cluster, note, is_bound } = self;
        if !is_bound {
            stamp::empty(&*disk).await?;
            founding::rebind(&*disk, cluster, note.founder, &note.name).await?;
        }
        disk.remove(NOTE).await?;
        Ok(cluster)
    }
}

/// A node that is left, and does not run.
pub struct Survivor {
    disk: Arc<dyn Disk>,
    identity: Identity,
    member: MemberId,
    name: String,
    voters: Vec<OtherVoter>,
    is_voter: bool,
}

/// Another member that votes, as the directory of a node knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherVoter {
    /// The member.
    pub member: MemberId,
    /// What it is called.
    pub name: String,
    /// Where other members reached it.
    pub address: SocketAddr,
}

/// Who answers in the place of a voter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AnswersAs {
    /// That member.
    Itself,
    /// Another member of the cluster, which does not know what the voter had promised: the voter's directory is lost.
    Another(MemberId),
    /// Nobody who belongs to the cluster.
    Nobody,
}

impl Survivor {
    async fn read(
        disk: Arc<dyn Disk>,
        identity: Identity,
        (member, bound, name): (MemberId, ClusterId, String),
    ) -> Result<Survivor, RecoverError> {
        if bound != identity.cluster_id {
            return Err(RecoverError::other_cluster(bound, identity.cluster_id));
        }
        let state = kept::state(disk.clone(), member).await?;
        let is_other = |id: &&MemberId| **id != member;
        let others = state.voters().iter().filter(is_other).filter_map(|id| state.member(*id));
        let voters = others
            .map(|voter| OtherVoter { member: voter.id, name: voter.name.clone(), address: voter.peer_address })
            .collect();
        Ok(Survivor { disk, identity, member, name, voters, is_voter: state.voters().contains(&member) })
    }

    /// The cluster that it belongs to.
    pub fn cluster(&self) -> ClusterId {
        self.identity.cluster_id
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The other members that vote.
    pub fn other_voters(&self) -> &[OtherVoter] {
        &self.voters
    }

    /// Whether the directory knows who votes. One that was emptied, and has not been let in since, does not.
    pub fn knows_the_voters(&self) -> bool {
        self.is_voter || !self.voters.is_empty()
    }

    /// Asks at the address of a voter who is there. Only a process with the voter's own directory is alive as that
    /// voter; one that does not say which member it is, because its program is older, counts as it.
    pub async fn who_answers<T: Transport>(
        &self,
        transport: &T,
        protection: &LinkProtection,
        voter: &OtherVoter,
    ) -> AnswersAs {
        let security = link_security(protection, protection.join_secret(&self.identity.join_secret.0));
        let ours = founding::hexadecimal(&self.identity.cluster_id.0);
        match who_is_at(transport, voter.address, &security, ANSWER_TIME_MAX).await {
            Present::Member { cluster, member } if cluster == ours && member == voter.member => AnswersAs::Itself,
            Present::Member { cluster, member } if cluster == ours => AnswersAs::Another(member),
            Present::Unnamed => AnswersAs::Itself,
            Present::Member { .. } | Present::Nobody => AnswersAs::Nobody,
        }
    }

    /// Other members that mark their directories in the account store at this moment, so that they run.
    ///
    /// # Errors
    ///
    /// If the account store does not answer.
    pub async fn who_runs(&self, accounts: &dyn ClusterStore) -> Result<Vec<MemberId>, RecoverError> {
        let first = self.member.0.saturating_sub(MEMBERS_LOOKED_AT).max(1);
        let ids = (first..=self.member.0 + MEMBERS_LOOKED_AT).map(MemberId).filter(|id| *id != self.member);
        let mut marked = Vec::new();
        for id in ids {
            marked.extend(accounts.stamp(id).await?.map(|stamp| (id, stamp)));
        }
        sleep(MARKED_WITHIN).await;
        let mut running = Vec::new();
        for (id, before) in marked {
            if accounts.stamp(id).await? != Some(before) {
                running.push(id);
            }
        }
        Ok(running)
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
    /// If the account store or the disk fails. It can be tried again, from what [`Remains::read`] then finds. Once the
    /// store knows of the new cluster, any node with an empty directory may found it.
    pub async fn give_up(self, accounts: &dyn ClusterStore) -> Result<ClusterId, RecoverError> {
        let Survivor { disk, identity, name, .. } = self;
        let cluster = identity.cluster_id;
        let founder = accounts.allocate_member(name.clone()).await?;
        let note = Note { given_up: cluster.0, founder, name };
        disk.write(NOTE, Bytes::from(wire::encode(&note))).await?;
        let identity = accounts.found_anew(cluster, Founding::draw(&mut runtime::generator(), founder)).await?;
        if !note.counts(&identity) {
            return Err(RecoverError::other_cluster(cluster, identity.cluster_id));
        }
        Unfinished { disk, cluster: identity.cluster_id, note, is_bound: false }.finish().await
    }
}

#[cfg(test)]
pub(super) mod tests;
