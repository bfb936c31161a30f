//! Which member of which cluster this data directory belongs to, and whether this node is to found the cluster.
//!
//! ```text
//! data directory: file "member" ──▶ member id, name, cluster        account store: identity row (one for the cluster)
//!        │ absent: a new id from the store, never given out twice          │ founder, formed?
//!        ▼                                                                 ▼
//!   the same name and cluster, or the node does not start        founder and not formed: bootstraps Raft
//! ```
//!
//! The node that wrote the identity row is to found the cluster, and notes in the row when it does: from then on nobody
//! else does. If it crashes in between it goes on where it was, which a file in its directory says; and if it does not
//! found for a while, because it cannot start or its machine is gone, another one puts itself in its place, which the
//! row lets only one of them do. So two nodes never found two clusters, and one that is missing keeps nobody.
//!
//! A directory is bound to one member for good: another node's has the wrong name, an emptied one gets a new id,
//! because what was lost with the disk may have been a vote, and so does one that is older than what its member has
//! promised (see [`stamp`]).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cresset_core::ids::MemberId;
use cresset_core::sometimes;
use cresset_core::wire::{self, WireError};
use rand::RngExt;
use rand::rngs::StdRng;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::stamp;
use crate::accounts::{ClusterId, ClusterStore, Founding, Identity, Stamp, StoreError};
use crate::consensus::log::FORGET_IT;
use crate::disk::{Disk, DiskError};

/// The file that binds a data directory to its member.
pub(crate) const FILE: &str = "member";

/// Bytes of the longest of the small files that say whose a directory is.
const FILE_BYTES_MAX: usize = 4096;

/// The file that says that this member founds its cluster and may not be done.
pub(super) const FOUNDING_FILE: &str = "founding";

/// How long whoever is to found may take before another node does. A start takes less than a second; if it takes longer
/// nothing is lost but the turn.
pub(crate) const FOUNDER_TIME_MAX: Duration = Duration::from_secs(5);

/// How long to wait for a store that is away before it is tried again, and how often that is told.
const WAIT_FOR_THE_STORE: Duration = Duration::from_secs(1);
const WAITS_PER_COMPLAINT: u32 = 30;

/// Who this node is.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    /// The member.
    pub(crate) member: MemberId,
    /// The cluster.
    pub(crate) identity: Identity,
    /// Whether this node is to bootstrap Raft.
    pub(crate) is_founder: bool,
    /// The last mark of its directory.
    pub(crate) stamp: Stamp,
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
    /// A file that binds the directory is not what was written.
    #[error("the data directory's file '{file}' is damaged ({reason}): {FORGET_IT}")]
    Damaged {
        /// Its name.
        file: &'static str,
        /// What is wrong.
        reason: WireError,
    },
    /// What the member has promised is not there.
    #[error("the data directory is this member's and its log is gone, with the votes that were in it: {FORGET_IT}")]
    LogGone,
    /// Two processes are one member.
    #[error(
        "another process runs with a copy of this data directory, and a member is one process: give each node a name \
         and a directory of its own"
    )]
    InUse,
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
         has the wrong directory or the wrong account store, or its cluster was given up by 'cresset cluster recover': \
         {FORGET_IT}"
    )]
    OtherCluster {
        /// The cluster of the directory.
        found: String,
        /// The cluster of the store.
        expected: String,
    },
}

#[derive(PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Binding {
    cluster_id: [u8; 16],
    member: MemberId,
    name: String,
}

/// Finds out who this node is, and makes it somebody if it is nobody yet, or not any more. Waits while the store is
/// away.
pub(crate) async fn establish(
    disk: &dyn Disk,
    accounts: &dyn ClusterStore,
    name: &str,
    random: &mut StdRng,
) -> Result<Standing, FoundingError> {
    let mut waits = Waits::default();
    loop {
        match attempt(disk, accounts, name, random).await {
            Ok(Some(standing)) => return Ok(standing),
            Ok(None) => {}
            Err(FoundingError::Store(error)) => waits.wait(error).await?,
            Err(error) => return Err(error),
        }
    }
}

/// Who this node is; nobody if its directory was an older copy.
async fn attempt(
    disk: &dyn Disk,
    accounts: &dyn ClusterStore,
    name: &str,
    random: &mut StdRng,
) -> Result<Option<Standing>, FoundingError> {
    let bound: Option<Binding> = read(disk, FILE).await?;
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
    let Some(stamp) = stamp::begin(disk, accounts, member, random.random()).await? else { return Ok(None) };
    let is_named = identity.founder == member;
    let is_founder = is_named && (!identity.formed || is_founding(disk).await?);
    Ok(Some(Standing { member, identity, is_founder, stamp }))
}

/// Who needs the store waits while it is away, as at the first look at it.
#[derive(Default)]
pub(crate) struct Waits(u32);

impl Waits {
    /// Waits a moment if that is what helps.
    ///
    /// # Errors
    ///
    /// The same, if waiting changes nothing.
    pub(crate) async fn wait(&mut self, error: StoreError) -> Result<(), StoreError> {
        match error {
            StoreError::Unreadable(_) | StoreError::TooMuch(_) => return Err(error),
            StoreError::Busy | StoreError::Unavailable(_) => {}
        }
        if self.0.is_multiple_of(WAITS_PER_COMPLAINT) {
            tracing::warn!(%error, "the node goes on when the account store is there");
        }
        self.0 += 1;
        sleep(WAIT_FOR_THE_STORE).await;
        Ok(())
    }
}

/// Makes an emptied directory that of a member that is to found a cluster.
pub(crate) async fn rebind(
    disk: &dyn Disk,
    cluster_id: ClusterId,
    member: MemberId,
    name: &str,
) -> Result<(), DiskError> {
    let binding = Binding { cluster_id: cluster_id.0, member, name: name.to_owned() };
    disk.write(FILE, Bytes::from(wire::encode(&binding))).await
}

/// To which member of which cluster the directory belongs: its id, the cluster, and what it is called.
pub(crate) async fn bound(disk: &dyn Disk) -> Result<Option<(MemberId, ClusterId, String)>, FoundingError> {
    let binding: Option<Binding> = read(disk, FILE).await?;
    Ok(binding.map(|binding| (binding.member, ClusterId(binding.cluster_id), binding.name)))
}

async fn is_founding(disk: &dyn Disk) -> Result<bool, DiskError> {
    match disk.read(FOUNDING_FILE, 0, 1).await {
        Ok(_) => Ok(true),
        Err(DiskError::Missing { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// A node that founds its cluster, or waits for another one to.
pub(crate) struct Founder {
    pub(crate) member: MemberId,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) accounts: Arc<dyn ClusterStore>,
}

impl Founder {
    /// Claims that the cluster is founded by this node: whether it is to bootstrap Raft, and to say so by
    /// [`done`](Self::done) when that is on disk.
    pub(crate) async fn claim(&self) -> Result<bool, FoundingError> {
        self.disk.write(FOUNDING_FILE, Bytes::from_static(b"1")).await?;
        let mut waits = Waits::default();
        let is_claimed = loop {
            match self.accounts.form(self.member).await {
                Ok(is_claimed) => break is_claimed,
                Err(error) => waits.wait(error).await?,
            }
        };
        if !is_claimed {
            self.done().await?;
        }
        Ok(is_claimed)
    }

    /// Raft is bootstrapped, and will be after a crash.
    pub(crate) async fn done(&self) -> Result<(), FoundingError> {
        Ok(self.disk.remove(FOUNDING_FILE).await?)
    }

    /// Takes the place of a founder that has not founded: the identity as it is then, and whether this node is to found
    /// by it.
    pub(crate) async fn take_over(&self, from: MemberId) -> Result<(Identity, bool), FoundingError> {
        let identity = self.accounts.replace_founder(from, self.member).await?;
        let is_mine = identity.founder == self.member && !identity.formed;
        sometimes!(is_mine, "a_founder_that_does_not_found_is_replaced");
        Ok((identity, is_mine))
    }
}

/// What a small file of the directory says; absent if there is none.
pub(crate) async fn read<T: DeserializeOwned>(disk: &dyn Disk, file: &'static str) -> Result<Option<T>, FoundingError> {
    match disk.read(file, 0, FILE_BYTES_MAX as u64).await {
        Ok(bytes) => {
            let damaged = |reason| FoundingError::Damaged { file, reason };
            Ok(Some(wire::decode(&bytes, FILE_BYTES_MAX).map_err(damaged)?))
        }
        Err(DiskError::Missing { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A cluster's id as people see it.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::accounts::memory::MemoryAccounts;
    use crate::disk::MemoryDisk;
    use crate::formats::Example;
    use crate::hostile_bytes::{Decoder, unsealed};

    /// For the attack on all decoders.
    pub(in crate::control) fn decoder() -> Decoder {
        let binding = Binding { cluster_id: [7; 16], member: MemberId(300), name: "node-a".to_owned() };
        let decode = |bytes: &[u8]| wire::decode::<Binding>(bytes, FILE_BYTES_MAX).is_ok();
        Decoder { name: "binding of a directory", sound: vec![wire::encode(&binding)], seal: unsealed, decode }
    }

    /// For the examples of formats.
    pub(in crate::control) fn example() -> Example {
        let binding = Binding { cluster_id: [7; 16], member: MemberId(300), name: "node-a".to_owned() };
        Example::new("binding.1", wire::encode(&binding), move |bytes| {
            wire::decode(bytes, FILE_BYTES_MAX).as_ref() == Ok(&binding)
        })
    }

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

        let founder = founder(&disk, &accounts, again.member);
        assert!(founder.claim().await.expect("it can"));
        assert!(start(&disk, &accounts, "a").await.expect("it starts").is_founder, "it may not have bootstrapped");
        founder.done().await.expect("it can");
        assert!(!start(&disk, &accounts, "a").await.expect("it starts").is_founder);
    }

    /// A machine that breaks on its first start must not keep all others from having a cluster, nor make a second one.
    #[tokio::test]
    async fn a_founder_that_does_not_found_is_replaced_and_founds_nothing_when_it_comes_back() {
        let (disk_a, disk_b, accounts) = (MemoryDisk::new(), MemoryDisk::new(), MemoryAccounts::default());
        let a = start(&disk_a, &accounts, "a").await.expect("it starts").member;
        let b = start(&disk_b, &accounts, "b").await.expect("it starts").member;

        let (identity, is_mine) = founder(&disk_b, &accounts, b).take_over(a).await.expect("it can");

        assert!(is_mine && identity.founder == b);
        assert!(!founder(&disk_a, &accounts, a).claim().await.expect("it can"));
        assert!(founder(&disk_b, &accounts, b).claim().await.expect("it can"));
        assert!(!start(&disk_a, &accounts, "a").await.expect("it starts").is_founder);
        let (_, is_mine) = founder(&disk_a, &accounts, a).take_over(b).await.expect("it can");
        assert!(!is_mine, "the cluster is formed");
    }

    fn founder(disk: &MemoryDisk, accounts: &MemoryAccounts, member: MemberId) -> Founder {
        Founder { member, disk: Arc::new(disk.clone()), accounts: Arc::new(accounts.clone()) }
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

    /// H5.
    #[tokio::test]
    async fn a_copied_directory_is_refused() {
        let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::default());
        start(&disk, &accounts, "a").await.expect("it starts");

        let error = start(&disk, &accounts, "b").await.expect_err("the directory is a's");

        assert!(error.to_string().contains("belongs to the node 'a'"), "{error}");
    }

    /// H5.
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

        assert!(matches!(start(&disk, &accounts, "a").await, Err(FoundingError::Damaged { .. })));
    }
}
