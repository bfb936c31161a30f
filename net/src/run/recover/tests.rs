//! A recovery that is interrupted, at each of its steps.

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::accounts::memory::MemoryAccounts;
use crate::control::founding::{Standing, establish};
use crate::disk::MemoryDisk;
use crate::formats::Example;
use crate::hostile_bytes::{Decoder, unsealed};

/// More than a recovery takes, of the disk and of the store.
const STEPS_MAX: u64 = 20;

/// For the attack on all decoders.
pub(in crate::run) fn decoder() -> Decoder {
    let note = Note { given_up: [7; 16], founder: MemberId(300), name: "node-a".to_owned() };
    let decode = |bytes: &[u8]| wire::decode::<Note>(bytes, 4096).is_ok();
    Decoder { name: "note of a recovery", sound: vec![wire::encode(&note)], seal: unsealed, decode }
}

/// For the examples of formats.
pub(in crate::run) fn example() -> Example {
    let note = Note { given_up: [7; 16], founder: MemberId(300), name: "node-a".to_owned() };
    Example::new("recovery.1", wire::encode(&note), move |bytes| wire::decode(bytes, 4096).as_ref() == Ok(&note))
}

async fn start(disk: &MemoryDisk, accounts: &MemoryAccounts, seed: u64) -> Standing {
    establish(disk, accounts, "a", &mut StdRng::seed_from_u64(seed)).await.expect("it starts")
}

/// The last member that is left of a cluster: its directory, the store, and the cluster.
async fn last_member() -> (MemoryDisk, MemoryAccounts, ClusterId) {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let standing = start(&disk, &accounts, 1).await;
    accounts.form(standing.member).await.expect("available");
    runtime::scope(6, kept::state(Arc::new(disk.clone()), standing.member)).await.expect("an empty log");
    assert!(disk.names().iter().any(|name| consensus::keeps(name)), "{:?}", disk.names());
    (disk, accounts, standing.identity.cluster_id)
}

async fn remains(disk: &MemoryDisk, accounts: &MemoryAccounts) -> Remains {
    runtime::scope(7, Remains::read(Arc::new(disk.clone()), accounts)).await.expect("a member is left")
}

/// What the command does: all of it, or up to the step that fails.
async fn recover(disk: &MemoryDisk, accounts: &MemoryAccounts) -> Result<ClusterId, RecoverError> {
    let command = async {
        match Remains::read(Arc::new(disk.clone()), accounts).await? {
            Remains::Survivor(survivor) => survivor.give_up(accounts).await,
            Remains::Unfinished(unfinished) => unfinished.finish().await,
        }
    };
    runtime::scope(7, command).await
}

async fn assert_founder_of_another(disk: &MemoryDisk, accounts: &MemoryAccounts, before: ClusterId, after: ClusterId) {
    assert_ne!(after, before);
    assert_eq!(disk.names(), ["member"], "nothing of the old cluster is left");
    let standing = start(disk, accounts, 2).await;
    assert!(standing.is_founder && standing.identity.cluster_id == after, "{standing:?}");
    assert_eq!(standing.identity.founder, standing.member);
}

/// The machine is switched off, or the operator loses patience: the same command, said again, ends what was begun.
#[tokio::test(start_paused = true)]
async fn a_recovery_that_is_interrupted_at_any_step_is_finished_by_the_next_one() {
    let mut interrupted = 0;
    for step in 0..STEPS_MAX {
        for is_disk in [true, false] {
            let (disk, accounts, before) = last_member().await;
            if is_disk {
                disk.fail_after(step)
            } else {
                accounts.fail_after(step)
            }
            let first = recover(&disk, &accounts).await;
            let disk = disk.reopened();
            accounts.set_available(true);

            let after = match first {
                Ok(after) => after,
                Err(_) => {
                    interrupted += 1;
                    recover(&disk, &accounts).await.expect("nothing keeps it from being finished")
                }
            };

            assert_founder_of_another(&disk, &accounts, before, after).await;
        }
    }
    assert!(interrupted >= 10, "{interrupted} steps were interrupted");
}

/// Interrupted before the store was changed, and then the others came back after all.
#[tokio::test(start_paused = true)]
async fn a_recovery_that_changed_nothing_yet_leaves_a_member_as_it_was() {
    let (disk, accounts, before) = last_member().await;
    accounts.fail_after(2);
    recover(&disk, &accounts).await.map(drop).expect_err("the store goes away before it knows of another cluster");
    accounts.set_available(true);

    let standing = start(&disk, &accounts, 2).await;

    assert_eq!(standing.identity.cluster_id, before);
    let Remains::Survivor(survivor) = remains(&disk, &accounts).await else { panic!("it is a member") };
    assert_eq!(survivor.cluster(), before);
}

/// Somebody emptied the directory by hand instead, and another node founded: the note is of no account any more.
#[tokio::test(start_paused = true)]
async fn a_note_counts_only_while_the_store_waits_for_the_founder_that_it_names() {
    let (disk, accounts, _) = last_member().await;
    disk.fail_after(1);
    recover(&disk, &accounts).await.map(drop).expect_err("the directory cannot be emptied");
    let disk = disk.reopened();
    let waiting = accounts.known_identity().await.expect("available").expect("founded anew");
    let other = accounts.allocate_member("b".to_owned()).await.expect("available");
    accounts.replace_founder(waiting.founder, other).await.expect("available");
    accounts.form(other).await.expect("available");

    let refused = recover(&disk, &accounts).await.map(drop).expect_err("the cluster is another node's");

    assert!(matches!(refused, RecoverError::OtherCluster { .. }), "{refused}");
}

/// Two operators, on two machines, at the same time.
#[tokio::test(start_paused = true)]
async fn of_two_recoveries_at_once_one_is_refused() {
    let (disk, accounts, cluster) = last_member().await;
    let Remains::Survivor(slower) = remains(&disk, &accounts).await else { panic!("it is a member") };
    let other = accounts.allocate_member("b".to_owned()).await.expect("available");
    let anew = Founding::draw(&mut StdRng::seed_from_u64(5), other);
    accounts.found_anew(cluster, anew).await.expect("available");

    let outcome = runtime::scope(7, slower.give_up(&accounts)).await;

    let refused = outcome.map(drop).expect_err("it is given up already");

    assert!(matches!(refused, RecoverError::OtherCluster { .. }), "{refused}");
    assert!(disk.names().iter().any(|name| consensus::keeps(name)), "nothing of it was emptied");
}
