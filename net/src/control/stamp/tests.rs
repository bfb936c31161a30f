//! Directories that are copied, restored, or lost a part of what they held.

use std::task::Poll;

use rand::SeedableRng;
use rand::rngs::StdRng;

use super::*;
use crate::accounts::memory::MemoryAccounts;
use crate::accounts::{Founding, Identity};
use crate::control::founding::{Standing, establish};
use crate::disk::MemoryDisk;
use crate::formats::Example;
use crate::hostile_bytes::{Decoder, unsealed};

/// What follows the end of the last mark: one more is due.
const A_MARK: Duration = Duration::from_millis(1001);

/// For the attack on all decoders.
pub(in crate::control) fn decoder() -> Decoder {
    let next = Stamp { number: 300, process: u64::MAX };
    let marks = Marks { last: Some(Stamp { number: 299, ..next }), next, has_log: true };
    let decode = |bytes: &[u8]| wire::decode::<Marks>(bytes, 4096).is_ok();
    Decoder { name: "stamp of a directory", sound: vec![wire::encode(&marks)], seal: unsealed, decode }
}

/// For the examples of formats.
pub(in crate::control) fn example() -> Example {
    let next = Stamp { number: 300, process: u64::MAX };
    let marks = Marks { last: Some(Stamp { number: 299, ..next }), next, has_log: true };
    Example::new("stamp.1", wire::encode(&marks), move |bytes| wire::decode(bytes, 4096).as_ref() == Ok(&marks))
}

async fn start(disk: &MemoryDisk, accounts: &MemoryAccounts, seed: u64) -> Result<Standing, FoundingError> {
    establish(disk, accounts, "a", &mut StdRng::seed_from_u64(seed)).await
}

/// A node with a log, as a process leaves it that ran for the time of some marks after the first one.
async fn run(disk: &MemoryDisk, accounts: &MemoryAccounts, seed: u64, marks: u32) -> Standing {
    let standing = start(disk, accounts, seed).await.expect("it starts");
    disk.write("log-0000000000000001", Bytes::from_static(b"votes")).await.expect("there is room");
    let stopped = sleep(A_MARK * marks);
    tokio::select! {
        biased;
        error = stamper(disk, accounts, &standing).run() => panic!("{error}"),
        () = stopped => standing,
    }
}

fn stamper(disk: &MemoryDisk, accounts: &MemoryAccounts, standing: &Standing) -> Stamper {
    Stamper {
        member: standing.member,
        disk: Arc::new(disk.clone()),
        accounts: Arc::new(accounts.clone()),
        last: standing.stamp,
    }
}

fn founding_of(standing: &Standing) -> Founding {
    let Identity { cluster_id, join_secret, fake_salt_secret, founder, .. } = standing.identity.clone();
    Founding { cluster_id, join_secret, fake_salt_secret, founder }
}

async fn copy_of(disk: &MemoryDisk) -> MemoryDisk {
    let copy = MemoryDisk::new();
    for name in disk.names() {
        let content = disk.content(&name).expect("it is there");
        copy.write(&name, content.into()).await.expect("there is room");
    }
    copy
}

#[tokio::test(start_paused = true)]
async fn a_directory_that_is_used_again_is_the_same_member() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let before = run(&disk, &accounts, 1, 3).await;

    let after = run(&disk, &accounts, 2, 0).await;

    assert_eq!(after.member, before.member);
    assert!(disk.names().contains(&"log-0000000000000001".to_owned()));
}

/// H11: what it had promised since is forgotten, so it must not count as the one who promised it.
#[tokio::test(start_paused = true)]
async fn an_older_backup_is_forgotten_and_its_node_is_a_new_member() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let before = run(&disk, &accounts, 1, 2).await;
    let backup = copy_of(&disk).await;
    backup.write("accounts.sqlite", Bytes::from_static(b"not ours")).await.expect("there is room");
    run(&disk, &accounts, 2, 1).await;

    let after = start(&backup, &accounts, 3).await.expect("it starts");

    assert_ne!(after.member, before.member);
    assert!(!after.is_founder);
    assert_eq!(backup.names(), ["accounts.sqlite", "member", "stamp"]);
}

/// A node whose process was killed between the two writes of a mark has lost nothing.
#[tokio::test(start_paused = true)]
async fn a_mark_that_was_not_finished_is_no_older_backup() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let standing = run(&disk, &accounts, 1, 2).await;
    let member = standing.member;
    let last = accounts.stamp(member).await.expect("available");
    let next = Stamp { number: 99, process: 1 };
    let marks = Marks { last, next, has_log: true };
    disk.write(FILE, Bytes::from(wire::encode(&marks))).await.expect("there is room");

    assert_eq!(start(&disk, &accounts, 2).await.expect("it starts").member, member, "the store does not know of it");

    disk.write(FILE, Bytes::from(wire::encode(&marks))).await.expect("there is room");
    let there = accounts.stamp(member).await.expect("available");
    accounts.replace_stamp(member, there, next).await.expect("available");
    assert_eq!(start(&disk, &accounts, 3).await.expect("it starts").member, member, "the store has taken it");
}

/// H5: a machine is cloned while its node runs. Two processes must not be one member.
#[tokio::test(start_paused = true)]
async fn a_clone_of_a_node_that_runs_is_refused() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    run(&disk, &accounts, 1, 1).await;
    let clone = copy_of(&disk).await;
    let original = start(&disk, &accounts, 2).await.expect("it starts");

    let refused = tokio::select! {
        error = stamper(&disk, &accounts, &original).run() => panic!("the original ends: {error}"),
        cloned = start(&clone, &accounts, 3) => cloned.expect_err("the original runs"),
    };

    assert!(refused.to_string().contains("another process runs with a copy"), "{refused}");
    assert_eq!(clone.names(), ["log-0000000000000001", "member", "stamp"], "nothing of it was touched");
}

/// H5: the clone comes up before the original has marked its directory again.
#[tokio::test(start_paused = true)]
async fn of_two_processes_with_one_directory_one_ends_within_a_second() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let original = start(&disk, &accounts, 1).await.expect("it starts");
    let mut stamper = std::pin::pin!(stamper(&disk, &accounts, &original).run());
    assert!(futures_util::poll!(stamper.as_mut()).is_pending());
    let clone = copy_of(&disk).await;
    clone.write("log-0000000000000001", Bytes::from_static(b"votes")).await.expect("there is room");

    let cloned = start(&clone, &accounts, 2).await.expect("nothing is known of the other one");
    assert_eq!(cloned.member, original.member);
    tokio::time::advance(A_MARK).await;

    assert!(matches!(futures_util::poll!(stamper), Poll::Ready(FoundingError::InUse)));
}

/// Last night's database is restored while the nodes run, or are stopped: they are not what is old.
#[tokio::test(start_paused = true)]
async fn a_store_that_was_restored_makes_nobody_forget_anything() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let before = run(&disk, &accounts, 1, 5).await;
    let restored = MemoryAccounts::new();
    assert_eq!(restored.allocate_member("a".to_owned()).await, Ok(before.member));
    restored.identity(founding_of(&before)).await.expect("available");
    let old = Stamp { number: 2, process: 9 };
    restored.replace_stamp(before.member, None, old).await.expect("available");

    let after = run(&disk, &restored, 2, 2).await;

    assert_eq!(after.member, before.member);
    let last = restored.stamp(before.member).await.expect("available").expect("marked");
    assert!(last.number > 6, "{last:?}");
}

/// H4: somebody emptied the directory and left what binds it.
#[tokio::test(start_paused = true)]
async fn a_directory_whose_log_is_gone_is_refused_and_told_what_to_do() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    // Not even a second: the member may have voted at once.
    run(&disk, &accounts, 1, 0).await;
    disk.remove("log-0000000000000001").await.expect("it is there");

    let refused = start(&disk, &accounts, 2).await.expect_err("its votes are gone").to_string();

    assert!(refused.contains("its log is gone") && refused.contains("joins as a new member"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_damaged_stamp_is_refused() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    run(&disk, &accounts, 1, 1).await;
    disk.tamper(FILE, |bytes| bytes.truncate(3));

    let refused = start(&disk, &accounts, 2).await.expect_err("it is damaged").to_string();

    assert!(refused.contains("'stamp' is damaged"), "{refused}");
}

/// The database is restarted in the middle of a node's start.
#[tokio::test(start_paused = true)]
async fn a_start_waits_for_a_store_that_goes_away_meanwhile() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    accounts.set_available(false);
    let back = async {
        sleep(Duration::from_secs(90)).await;
        accounts.set_available(true);
    };

    let (started, ()) = tokio::join!(start(&disk, &accounts, 1), back);

    assert!(started.expect("it waits").is_founder);
}

/// H8, H9. A full disk is told by the log, and is over when there is room; a disk that fails is not used on.
#[tokio::test(start_paused = true)]
async fn a_process_ends_by_a_disk_that_fails_and_not_by_one_that_is_full() {
    let (disk, accounts) = (MemoryDisk::new(), MemoryAccounts::new());
    let standing = start(&disk, &accounts, 1).await.expect("it starts");
    let mut stamper = std::pin::pin!(stamper(&disk, &accounts, &standing).run());
    assert!(futures_util::poll!(stamper.as_mut()).is_pending());

    disk.set_full(true);
    tokio::time::advance(A_MARK).await;
    assert!(futures_util::poll!(stamper.as_mut()).is_pending());
    disk.set_full(false);
    disk.fail_to_sync();
    tokio::time::advance(A_MARK).await;

    assert!(matches!(futures_util::poll!(stamper), Poll::Ready(FoundingError::Disk(_))));
}
