use std::os::unix::fs::PermissionsExt;

use super::*;

/// What every disk does, whoever stands behind it.
async fn contract(disk: &dyn Disk) {
    assert_eq!(disk.list().await, Ok(vec![]));

    disk.append_sync("log-1", 0, Bytes::from_static(b"abc")).await.expect("a new file is made");
    disk.append_sync("log-1", 3, Bytes::from_static(b"def")).await.expect("it ends where we say");
    assert_eq!(disk.read("log-1", 2, 3).await, Ok(b"cde".to_vec()));
    assert_eq!(disk.read("log-1", 4, 100).await, Ok(b"ef".to_vec()));
    assert_eq!(disk.read("log-1", 40, 100).await, Ok(vec![]));

    disk.append_sync("log-1", 4, Bytes::from_static(b"X")).await.expect("what a failed append left is cut off");
    assert_eq!(disk.read("log-1", 0, 100).await, Ok(b"abcdX".to_vec()));
    assert!(matches!(disk.append_sync("log-1", 9, Bytes::new()).await, Err(DiskError::Failed { .. })));

    disk.truncate("log-1", 2).await.expect("the file is there");
    disk.write("vote", Bytes::from_static(b"one")).await.expect("there is room");
    disk.write("vote", Bytes::from_static(b"two")).await.expect("there is room");
    assert_eq!(disk.read("vote", 0, 9).await, Ok(b"two".to_vec()));
    let files = disk.list().await.expect("the directory is there");
    assert_eq!(files, [("log-1", 2), ("vote", 3)].map(|(name, bytes)| FileEntry { name: name.into(), bytes }));

    disk.remove("vote").await.expect("it is there");
    disk.remove("vote").await.expect("it is gone already");
    assert!(matches!(disk.read("vote", 0, 9).await, Err(DiskError::Missing { .. })));
}

#[tokio::test]
async fn a_directory_is_a_disk() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    contract(&DirectoryDisk::open(directory.path()).expect("it can be opened")).await;
}

/// O15. The log tells who talks to whom, whatever the umask is.
#[tokio::test]
async fn a_directory_and_its_files_are_their_owners_alone() {
    let above = tempfile::tempdir().expect("there is a temporary directory");
    let path = above.path().join("of-all/of-one");
    let disk = DirectoryDisk::open(&path).expect("it can be opened");

    disk.append_sync("log-1", 0, Bytes::from_static(b"abc")).await.expect("there is room");
    disk.write("vote", Bytes::from_static(b"one")).await.expect("there is room");

    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(path.parent().expect("there is one")), mode(&path)), (0o700, 0o700));
    assert_eq!((mode(&path.join("log-1")), mode(&path.join("vote"))), (0o600, 0o600));
}

#[tokio::test]
async fn memory_is_a_disk() {
    contract(&MemoryDisk::new()).await;
}

#[tokio::test]
async fn calls_take_effect_in_the_order_in_which_they_were_made() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let disk = DirectoryDisk::open(directory.path()).expect("it can be opened");

    let calls: Vec<_> = (0..50_u8).map(|n| disk.append_sync("log-1", u64::from(n), Bytes::from(vec![n]))).collect();
    for call in calls.into_iter().rev() {
        call.await.expect("each begins where the one before it ended");
    }

    assert_eq!(disk.read("log-1", 0, 99).await, Ok((0..50).collect()));
}

#[tokio::test]
async fn a_write_that_was_interrupted_leaves_no_trace() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    std::fs::write(directory.path().join("vote"), b"old").expect("there is room");
    std::fs::write(directory.path().join("vote.unfinished"), b"ne").expect("there is room");

    let disk = DirectoryDisk::open(directory.path()).expect("it can be opened");

    assert_eq!(disk.list().await, Ok(vec![FileEntry { name: "vote".into(), bytes: 3 }]));
}

/// Two nodes that are given the same directory must not write into one log.
#[tokio::test]
async fn a_directory_is_used_by_one_process_at_a_time() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let disk = DirectoryDisk::open(directory.path()).expect("it can be opened");

    let refused = DirectoryDisk::open(directory.path()).expect_err("it is in use");

    assert_eq!(refused.to_string(), "another process uses it");
    disk.write("vote", Bytes::new()).await.expect("the first one goes on");
}

/// G14.
#[tokio::test]
async fn a_name_that_leaves_the_directory_is_refused() {
    let directory = tempfile::tempdir().expect("there is a temporary directory");
    let disk = DirectoryDisk::open(&directory.path().join("inner")).expect("it can be opened");

    for name in ["../x", "/etc/passwd", "a/b", "..", "-x", "A"] {
        assert!(disk.write(name, Bytes::new()).await.is_err(), "{name}");
        assert!(disk.read(name, 0, 1).await.is_err(), "{name}");
    }
    assert!(!directory.path().join("x").exists());
}

#[tokio::test]
async fn a_process_that_has_ended_changes_nothing_any_more() {
    let before = MemoryDisk::new();
    before.append_sync("log-1", 0, Bytes::from_static(b"a")).await.expect("there is room");

    let after = before.reopened();

    assert!(before.append_sync("log-1", 1, Bytes::from_static(b"b")).await.is_err());
    assert_eq!(after.read("log-1", 0, 9).await, Ok(b"a".to_vec()));
}
