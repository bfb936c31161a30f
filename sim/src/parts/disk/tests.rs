use rand::SeedableRng;

use super::*;

/// A disk, and the files as its observer knows them.
fn watched(seed: u64) -> (SimulatedDisk, Arc<Mutex<Files>>) {
    let known = Arc::new(Mutex::new(Files::new()));
    let observed = known.clone();
    let observer = move |event: &DiskEvent<'_>| {
        let mut files = observed.lock().expect("nobody panics with it");
        match *event {
            DiskEvent::Appended { file, offset, bytes } => {
                let content = files.entry(file.to_owned()).or_default();
                content.truncate(offset as usize);
                content.extend_from_slice(bytes);
            }
            DiskEvent::Truncated { file, bytes } => files.entry(file.to_owned()).or_default().truncate(bytes as usize),
            DiskEvent::Written { file, content } => drop(files.insert(file.to_owned(), content.to_vec())),
            DiskEvent::Removed { file } => drop(files.remove(file)),
            DiskEvent::Damaged { .. } => {}
            DiskEvent::Lost => files.clear(),
        }
    };
    let disk = SimulatedDisk::new(StdRng::seed_from_u64(seed), Box::new(observer)).reopened();
    (disk, known)
}

fn known(files: &Arc<Mutex<Files>>) -> Files {
    files.lock().expect("nobody panics with it").clone()
}

#[tokio::test(start_paused = true)]
async fn it_is_a_disk_and_its_observer_knows_what_is_on_it() {
    let (disk, files) = watched(1);

    disk.append_sync("log-1", 0, Bytes::from_static(b"abc")).await.expect("a new file is made");
    disk.append_sync("log-1", 2, Bytes::from_static(b"XY")).await.expect("what lies beyond is cut off");
    assert_eq!(disk.read("log-1", 1, 100).await, Ok(b"bXY".to_vec()));
    assert!(matches!(disk.append_sync("log-1", 9, Bytes::new()).await, Err(DiskError::Failed { .. })));
    disk.truncate("log-1", 3).await.expect("it is there");
    disk.write("vote", Bytes::from_static(b"one")).await.expect("there is room");
    disk.write("vote", Bytes::from_static(b"two")).await.expect("there is room");
    disk.write("gone", Bytes::new()).await.expect("there is room");
    disk.remove("gone").await.expect("it is there");
    assert!(matches!(disk.read("gone", 0, 9).await, Err(DiskError::Missing { .. })));
    let listed = disk.list().await.expect("the directory is there");

    assert_eq!(listed, [("log-1", 3), ("vote", 3)].map(|(name, bytes)| FileEntry { name: name.into(), bytes }));
    assert_eq!(known(&files), disk.files());
}

#[tokio::test(start_paused = true)]
async fn calls_take_effect_in_the_order_in_which_they_were_made() {
    let (disk, _) = watched(2);

    let calls: Vec<_> = (0..50_u8).map(|n| disk.append_sync("log-1", u64::from(n), Bytes::from(vec![n]))).collect();
    for call in calls.into_iter().rev() {
        call.await.expect("each begins where the one before it ended");
    }

    assert_eq!(disk.read("log-1", 0, 99).await, Ok((0..50).collect()));
}

/// What was answered stays, of what was not a prefix of the calls stays, and of the first that is missing a part.
#[tokio::test(start_paused = true)]
async fn a_power_loss_leaves_what_the_trait_allows() {
    let mut torn = 0;
    for seed in 0..200 {
        let (disk, files) = watched(seed);
        disk.append_sync("log-1", 0, Bytes::from(vec![1; 700])).await.expect("there is room");
        let under_way = disk.append_sync("log-1", 700, Bytes::from(vec![2; 2000]));
        let vote = disk.write("vote", Bytes::from_static(b"v"));

        disk.end_process(Ending::PowerLoss);

        drop((under_way, vote));
        let found = disk.files();
        assert_eq!(known(&files), found);
        let log = &found["log-1"];
        assert_eq!(log[..700], [1; 700]);
        assert!(log.len() <= 2700 && log[700..].iter().all(|byte| [0, 2].contains(byte)));
        let is_whole = log.len() == 2700 && log[700..].iter().all(|byte| *byte == 2);
        assert!(is_whole || !found.contains_key("vote"), "order is kept");
        torn += usize::from(!is_whole && log.len() > 700);
    }
    assert!(torn > 20, "{torn}");
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_ended_changes_nothing_any_more() {
    let (before, _) = watched(3);
    before.append_sync("log-1", 0, Bytes::from_static(b"a")).await.expect("there is room");

    before.end_process(Ending::Kill);
    let after = before.reopened();
    let late = tokio::time::timeout(Duration::from_secs(9), before.append_sync("log-1", 1, Bytes::from_static(b"b")));

    assert!(late.await.is_err(), "nobody is told anything");
    assert_eq!(after.read("log-1", 0, 9).await, Ok(b"a".to_vec()));
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_changes_nothing_and_a_broken_one_says_so() {
    let (disk, files) = watched(4);
    disk.write("vote", Bytes::from_static(b"v")).await.expect("there is room");

    disk.begin_trouble(DiskTrouble::Full);
    assert!(matches!(disk.write("vote", Bytes::from_static(b"w")).await, Err(DiskError::Full { .. })));
    disk.end_trouble(DiskTrouble::Full);
    disk.begin_trouble(DiskTrouble::FailsToSync);
    assert!(matches!(disk.write("vote", Bytes::from_static(b"w")).await, Err(DiskError::Failed { .. })));

    assert_eq!(disk.files()["vote"], b"v");
    assert_eq!(known(&files), disk.files());
}

#[tokio::test(start_paused = true)]
async fn a_flipped_bit_is_one_bit_of_a_file_of_its_kind() {
    let (disk, _) = watched(5);
    disk.append_sync("log-1", 0, Bytes::from(vec![0; 100])).await.expect("there is room");

    assert_eq!(disk.flip_bit(Stored::Snapshot), None);
    assert_eq!(disk.flip_bit(Stored::Log), Some("log-1".to_owned()));

    assert_eq!(disk.files()["log-1"].iter().map(|byte| byte.count_ones()).sum::<u32>(), 1);
}

#[cfg(cresset_simulated)]
#[tokio::test(start_paused = true)]
async fn a_planted_bug_reports_what_has_not_happened() {
    let (disk, _) = watched(6);

    planted::activate(Some(planted::Bug::SyncSkipped));
    disk.append_sync("log-1", 0, Bytes::from_static(b"a")).await.expect("it says so");
    planted::activate(None);

    assert!(disk.is_empty());
}
