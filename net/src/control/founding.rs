//! Which member of which cluster this data directory belongs to, and whether this node is to found the cluster.
//!
//! ```text
//! data directory: file "member" ──▶ member id, name, cluster        account store: identity row (one for the cluster)
//!        │ absent: a new id from the store, never given out twice          │ founder, formed?
//!        ▼                                                                 ▼
//!   the same name and cluster, or the node does not start        founder and not formed: bootstraps Raft
//! ```
//!
//! The node that wrote the identity row founds the cluster, and notes in the row when it has. Until then nobody else can
//! have joined, so if the founder crashes in between it founds again; afterwards nobody founds. A directory is bound to
//! one member for good: a copied one has the wrong name, an emptied one gets a new id, because what was lost with the
//! disk may have been a vote.

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::wire::{self, WireError};
use rand::rngs::StdRng;
use serde::{Deserialize, Serialize};

use crate::accounts::{Accounts, Founding, Identity, StoreError};
use crate::disk::{Disk, DiskError};

/// The file that binds a data directory to its member.
const FILE: &str = "member";
const FILE_BYTES_MAX: usize = 4096;

/// Who this node is.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The member.
    pub(crate) member: MemberId,
    /// The cluster.
    pub(crate) identity: Identity,
    /// Whether this node is to bootstrap Raft.
    pub(crate) is_founder: bool,
}

/// Why a node has no standing.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// The data directory cannot be read or written.
    #[error("the data directory: {0}")]
    Disk(#[from] DiskError),
    /// The account store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file that binds the directory is not what was written.
    #[error(
        "the data directory's file '{FILE}' is damaged ({0}): remove the directory, and the node joins as a new member"
    )]
    Damaged(WireError),
    /// The directory is another node's.
    #[error(
        "the data directory belongs to the node '{found}' and this node is called '{expected}': give each node a \
         directory of its own"
    )]
    OtherNode {
        /// Whose directory it is.
        found: String,
        /// Who this node is.
        expected: String,
    },
    /// The directory belongs to another cluster than the account store.
    #[error(
        "the data directory belongs to the cluster {found} and the account store to the cluster {expected}: this node \
         has the wrong directory or the wrong account store"
    )]
    OtherCluster {
        /// The cluster of the directory.
        found: String,
        /// The cluster of the store.
        expected: String,
    },
}

#[derive(Serialize, Deserialize)]
struct Binding {
    cluster_id: [u8; 16],
    member: MemberId,
    name: String,
}

/// Finds out who this node is, and makes it somebody if it is nobody yet.
pub(crate) async fn establish(
    disk: &dyn Disk,
    accounts: &dyn Accounts,
    name: &str,
    random: &mut StdRng,
) -> Result<Standing, FoundingError> {
    let bound = read(disk).await?;
    if let Some(binding) = bound.as_ref().filter(|binding| binding.name != name) {
        return Err(FoundingError::OtherNode { found: binding.name.clone(), expected: name.to_owned() });
    }
    let member = match &bound {
        Some(binding) => binding.member,
        None => accounts.allocate_member(name.to_owned()).await?,
    };
    let identity = accounts.identity(Founding::draw(random, member)).await?;
    match bound {
        Some(binding) if binding.cluster_id != identity.cluster_id.0 => {
            return Err(FoundingError::OtherCluster {
                found: hexadecimal(&binding.cluster_id),
                expected: hexadecimal(&identity.cluster_id.0),
            });
        }
        Some(_) => {}
        None => {
            let binding = Binding { cluster_id: identity.cluster_id.0, member, name: name.to_owned() };
            disk.write(FILE, Bytes::from(wire::encode(&binding))).await?;
        }
    }
    let is_founder = identity.founder == member && !identity.formed;
    Ok(Standing { member, identity, is_founder })
}

async fn read(disk: &dyn Disk) -> Result<Option<Binding>, FoundingError> {
    match disk.read(FILE, 0, FILE_BYTES_MAX as u64).await {
        Ok(bytes) => Ok(Some(wire::decode(&bytes, FILE_BYTES_MAX).map_err(FoundingError::Damaged)?)),
        Err(DiskError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A cluster's id as people see it.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::accounts::memory::MemoryAccounts;
    use crate::disk::MemoryDisk;

    async fn start(disk: &MemoryDisk, accounts: &MemoryAccounts, name: &str) -> Result<Standing, FoundingError> {
        establish(disk, accounts, name, &mut StdRng::seed_from_u64(7)).await
    }

    #[tokio::test]
    async fn the_first_node_founds_and_the_second_joins() {
        let accounts = MemoryAccounts::default();

        let first = start(&MemoryDisk::new(), &accounts, "a").await.expect("it starts");
        let second = start(&MemoryDisk::new(), &accounts, "b").await.expect("it starts");

        assert!(first.is_founder && !second.is_founder);
        assert_eq!(first.identity.cluster_id, second.identity.cluster_id);
        assert_ne!(first.member, second.member);
    }

    /// Nobody can have joined before the cluster was formed, and nobody else will ever form it.
    #[tokio::test]
    async fn a_founder_that_crashed_before_the_cluster_was_formed_founds_again_and_not_later() {
        let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::default());
        let first = start(&disk, &accounts, "a").await.expect("it starts");

        let again = start(&disk, &accounts, "a").await.expect("it starts");
        assert!(again.is_founder && again.member == first.member);

        accounts.set_formed().await.expect("the store answers");
        assert!(!start(&disk, &accounts, "a").await.expect("it starts").is_founder);
    }

    /// With its disk it has lost its vote, so it must not vote as the member that it was.
    #[tokio::test]
    async fn a_node_that_lost_its_disk_is_another_member() {
        let accounts = MemoryAccounts::default();
        let before = start(&MemoryDisk::new(), &accounts, "a").await.expect("it starts");

        let after = start(&MemoryDisk::new(), &accounts, "a").await.expect("it starts");

        assert_ne!(before.member, after.member);
        assert!(!after.is_founder);
    }

    #[tokio::test]
    async fn a_copied_directory_is_refused() {
        let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::default());
        start(&disk, &accounts, "a").await.expect("it starts");

        let error = start(&disk, &accounts, "b").await.expect_err("the directory is a's");

        assert!(error.to_string().contains("belongs to the node 'a'"), "{error}");
    }

    #[tokio::test]
    async fn a_directory_of_another_cluster_is_refused() {
        let disk = MemoryDisk::new();
        start(&disk, &MemoryAccounts::default(), "a").await.expect("it starts");
        let others = MemoryAccounts::default();
        establish(&MemoryDisk::new(), &others, "x", &mut StdRng::seed_from_u64(8)).await.expect("it starts");

        let error = start(&disk, &others, "a").await.expect_err("the store is another cluster's");

        assert!(error.to_string().contains("the wrong account store"), "{error}");
    }

    #[tokio::test]
    async fn a_damaged_binding_is_refused() {
        let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::default());
        start(&disk, &accounts, "a").await.expect("it starts");
        disk.tamper(FILE, |bytes| bytes.truncate(5));

        assert!(matches!(start(&disk, &accounts, "a").await, Err(FoundingError::Damaged(_))));
    }
}
