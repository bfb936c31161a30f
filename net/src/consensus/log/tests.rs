//! The log against openraft's own suite, against crashes, and against damage.

use std::sync::Arc;

use openraft::StorageError;
use openraft::entry::RaftEntry;
use openraft::storage::{IOFlushed, RaftLogReader, RaftLogStorage};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::type_config::TypeConfigExt;
use tokio::sync::oneshot;

use super::frame::{FrameBuilder, Record, Rest, SegmentHead};
use super::*;
use crate::consensus::apply::StateMachine;
use crate::consensus::snapshots::SnapshotStore;
use crate::consensus::testing::{control_task, join, run};
use crate::consensus::types::{Entry, Payload, Proposal, TypeConfig, Vote, log_id};
use crate::disk::{DirectoryDisk, Disk, MemoryDisk};
use crate::formats::Example;
use crate::hostile_bytes::Decoder;
use cresset_core::ids::Term;

const ME: MemberId = MemberId(1);

/// For the attack on all decoders.
pub(in crate::consensus) fn decoders() -> Vec<Decoder> {
    let head = SegmentHead {
        version: frame::FORMAT_VERSION,
        member: ME,
        number: 2,
        vote: Some(Vote::new(5, 1)),
        purged: Some(log_id(4, 3)),
        last: Some(log_id(4, 7)),
        committed: None,
    };
    let records = [
        Record::Segment(head),
        Record::Vote(Vote::new_committed(6, 1)),
        Record::Entry(Entry { log_id: log_id(6, 8), payload: Payload::Normal(Proposal(Arc::new(join(1, 11)))) }),
        Record::TruncatedAfter(Some(log_id(6, 8))),
        Record::Committed(Some(log_id(6, 8))),
        Record::Purged(log_id(6, 8)),
    ];
    let framed = |records: &[Record]| {
        let mut frame = FrameBuilder::new();
        for record in records {
            frame.push(record);
        }
        frame.finish().to_vec()
    };
    let one_each: Vec<Vec<u8>> = records.iter().map(|record| framed(std::slice::from_ref(record))).collect();
    vec![
        Decoder {
            name: "segment of the log",
            sound: vec![one_each.concat(), framed(&records)],
            seal: seal_frame,
            decode: is_whole,
        },
        Decoder { name: "frame of the log", sound: one_each, seal: seal_frame, decode: is_whole },
    ]
}

/// For the examples of formats.
pub(in crate::consensus) fn examples() -> Vec<Example> {
    [("log-segment.1", 1), ("log-segment.2", 2)]
        .map(|(file, version)| {
            let segment = records_of(version).map(|records| {
                let mut frame = FrameBuilder::new();
                records.iter().for_each(|record| {
                    frame.push(record);
                });
                frame.finish().to_vec()
            });
            Example::new(file, segment.concat(), move |bytes| {
                let scan = frame::scan(bytes);
                let read = scan.records.into_iter().map(|(_, record)| record);
                scan.rest == Rest::Nothing && read.eq(records_of(version).into_iter().flatten())
            })
        })
        .into()
}

/// One of each kind, and every entry that this version has, in two frames.
fn records_of(version: u32) -> [Vec<Record>; 2] {
    let head = SegmentHead {
        version: 1,
        member: MemberId(300),
        number: 2,
        vote: Some(Vote::new(5, 1)),
        purged: Some(log_id(4, 3)),
        last: Some(log_id(4, 7)),
        committed: None,
    };
    let entries = crate::consensus::examples::entries(version).into_iter().map(Record::Entry);
    let first = [Record::Segment(head), Record::Vote(Vote::new_committed(6, 1))].into_iter().chain(entries);
    let second = [
        Record::TruncatedAfter(Some(log_id(6, 8))),
        Record::TruncatedAfter(None),
        Record::Committed(Some(log_id(6, 8))),
        Record::Committed(None),
        Record::Purged(log_id(300, 70_000)),
    ];
    [first.collect(), second.into()]
}

fn is_whole(segment: &[u8]) -> bool {
    frame::scan(segment).rest == Rest::Nothing
}

/// Puts the checksums of the first frame and of its first record right, and lengths that fit.
fn seal_frame(bytes: &mut [u8]) {
    if let Some((header, records)) = bytes.split_at_mut_checked(12) {
        if let Some((record, content)) = records.split_at_mut_checked(8) {
            let length = u32::from_le_bytes([record[0], record[1], record[2], record[3]]) as usize;
            let content = &content[..length.min(content.len())];
            record[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
            record[4..].copy_from_slice(&crc32fast::hash(content).to_le_bytes());
        }
        let announced = u32::from_le_bytes([header[4], header[5], header[6], header[7]]);
        header[4..8].copy_from_slice(&announced.min(records.len() as u32).to_le_bytes());
        let checksum = crc32fast::hash(&header[..8]);
        header[8..].copy_from_slice(&checksum.to_le_bytes());
    }
}

struct OnMemory;
struct OnDirectory;

async fn build(disk: Arc<dyn Disk>) -> (LogStore, StateMachine) {
    let snapshots = Arc::new(SnapshotStore::open(disk.clone()).await.expect("the disk is good"));
    let log = LogStore::open(disk, ME, None).await.expect("the disk is good");
    (log.clone(), StateMachine::new(control_task().0, snapshots, log))
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine> for OnMemory {
    async fn build(&self) -> Result<((), LogStore, StateMachine), StorageError<TypeConfig>> {
        let (log, machine) = build(Arc::new(MemoryDisk::new())).await;
        Ok(((), log, machine))
    }
}

impl StoreBuilder<TypeConfig, LogStore, StateMachine, tempfile::TempDir> for OnDirectory {
    async fn build(&self) -> Result<(tempfile::TempDir, LogStore, StateMachine), StorageError<TypeConfig>> {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let disk = DirectoryDisk::open(directory.path()).expect("it can be opened");
        let (log, machine) = build(Arc::new(disk)).await;
        Ok((directory, log, machine))
    }
}

#[test]
fn the_suite_of_openraft_passes_in_memory() {
    run(async { Suite::test_all(OnMemory).await.expect("the suite passes") });
}

#[test]
fn the_suite_of_openraft_passes_on_a_real_disk() {
    run(async { Suite::test_all(OnDirectory).await.expect("the suite passes") });
}

#[test]
fn what_was_flushed_is_there_after_a_crash() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 3).await;
        append(&mut log, 0..10).await;
        log.truncate_after(Some(log_id(3, 6))).await.expect("the log is open");
        append(&mut log, 7..9).await;

        let mut log = open(&disk.reopened()).await.expect("the log is good");

        assert_eq!(log.voted_term(), Term(3));
        assert_eq!(indices(&mut log).await, (0..9).collect::<Vec<_>>());
    });
}

#[test]
fn a_purged_log_begins_behind_the_snapshot_and_loses_whole_segments() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        log.keep_after(None);
        vote(&mut log, 3).await;
        fill_segments(&mut log, 3).await;
        let end = log.last().expect("there are entries");

        log.purge(end).await.expect("the log is open");
        append(&mut log, end.index + 1..end.index + 3).await;

        assert!(!disk.names().contains(&segment_name(1)), "{:?}", disk.names());
        let mut log = LogStore::open(Arc::new(disk.reopened()), ME, Some(end)).await.expect("the log is good");
        assert_eq!(log.voted_term(), Term(3), "the vote is in a segment that is still there");
        assert_eq!(indices(&mut log).await, [end.index + 1, end.index + 2]);
    });
}

/// The newest snapshot may turn out to be damaged: then the one before it is used, and the log behind that one.
#[test]
fn the_log_behind_the_older_snapshot_is_kept() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 3).await;
        fill_segments(&mut log, 3).await;
        let end = log.last().expect("there are entries");
        log.keep_after(Some(cresset_core::ids::LogIndex(1)));
        log.purge(end).await.expect("the log is open");
        append(&mut log, end.index + 1..end.index + 2).await;

        let older = LogStore::open(Arc::new(disk.reopened()), ME, Some(log_id(3, 1))).await;
        let mut older = older.expect("the log continues the older snapshot");
        assert_eq!(indices(&mut older).await, (2..end.index + 2).collect::<Vec<_>>());
    });
}

#[test]
fn a_log_that_does_not_reach_the_snapshot_is_refused() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        log.keep_after(None);
        vote(&mut log, 3).await;
        fill_segments(&mut log, 3).await;
        let end = log.last().expect("there are entries");
        log.purge(end).await.expect("the log is open");
        append(&mut log, end.index + 1..end.index + 2).await;

        for snapshot in [None, Some(log_id(3, 1))] {
            let opened = LogStore::open(Arc::new(disk.reopened()), ME, snapshot).await;
            assert!(matches!(opened.err(), Some(LogError::Incomplete(_))));
        }
    });
}

/// H2. Every length to which a crash can cut the last append: all before it is there, nothing of it is.
#[test]
fn a_torn_tail_is_cut_off_at_every_length() {
    run(async {
        let (disk, whole, before) = log_of_two_appends().await;
        for length in before..whole.len() {
            let disk = disk.reopened();
            disk.tamper(&segment_name(1), |content| *content = whole[..length].to_vec());

            let mut log = open(&disk).await.expect("a torn tail is no damage");
            assert_eq!(indices(&mut log).await, (0..5).collect::<Vec<_>>(), "cut at {length}");

            append(&mut log, 5..6).await;
            let mut log = open(&disk.reopened()).await.expect("what follows a torn tail is good");
            assert_eq!(indices(&mut log).await, (0..6).collect::<Vec<_>>());
        }
    });
}

/// H2. A disk may write the later sectors of an append and lose an earlier one.
#[test]
fn an_append_of_which_a_sector_was_lost_is_cut_off() {
    run(async {
        let (disk, whole, before) = log_of_two_appends().await;
        let sectors: Vec<usize> = (0..whole.len()).step_by(512).filter(|&at| at + 512 > before).collect();
        for sector in sectors {
            let disk = disk.reopened();
            disk.tamper(&segment_name(1), |content| {
                *content = whole.clone();
                let end = (sector + 512).min(content.len());
                content[sector.max(before)..end].fill(0);
            });

            let mut log = open(&disk).await.expect("a torn tail is no damage");
            assert_eq!(indices(&mut log).await, (0..5).collect::<Vec<_>>(), "without the sector at {sector}");
        }
    });
}

/// H1: what was promised is gone, so this member must not vote with what is left.
#[test]
fn a_flipped_bit_is_damage_and_is_found_where_it_is() {
    run(async {
        let (disk, whole, _) = log_of_two_appends().await;
        for at in 0..whole.len() {
            let disk = disk.reopened();
            disk.tamper(&segment_name(1), |content| {
                *content = whole.clone();
                content[at] ^= 0x10;
            });

            match open(&disk).await.err() {
                Some(LogError::Damaged { file, offset, .. }) => {
                    assert_eq!(file, segment_name(1));
                    assert!(offset <= at as u64, "found at {offset}, changed at {at}");
                }
                other => panic!("changed at {at}: {other:?}"),
            }
        }
    });
}

#[test]
fn a_segment_that_is_missing_or_torn_before_another_is_damage() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 1).await;
        fill_segments(&mut log, 3).await;
        let second = disk.content(&segment_name(2)).expect("there are three");

        let torn = disk.reopened();
        torn.tamper(&segment_name(2), |content| content.truncate(second.len() - 1));
        assert!(matches!(open(&torn).await.err(), Some(LogError::Damaged { .. })));

        torn.lose(&segment_name(2));
        assert!(matches!(open(&torn.reopened()).await.err(), Some(LogError::Incomplete(_))));
    });
}

/// H4: whoever forgot his votes might vote twice in a term.
#[test]
fn a_log_without_its_votes_is_refused() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        append(&mut log, 0..3).await;
        assert!(matches!(open(&disk.reopened()).await.err(), Some(LogError::Incomplete(_))));

        let disk = disk.reopened();
        disk.lose(&segment_name(1));
        assert!(matches!(open(&disk).await.err(), Some(LogError::Incomplete(_))), "only the marker is left");
    });
}

/// H10: the log is left as it is, also what a crash may have left of its end, to the program that wrote it.
#[test]
fn an_entry_of_a_later_version_is_refused_by_name_and_nothing_is_changed() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 1).await;
        append(&mut log, 0..3).await;
        let (disk, file) = (disk.reopened(), segment_name(1));
        let end = disk.content(&file).expect("it is there").len();
        disk.tamper(&file, |content| content.extend_from_slice(&later_frame()));

        for torn in [0, 5] {
            disk.tamper(&file, |content| content.extend_from_slice(&vec![0xff; torn]));
            let before = disk.content(&file);
            let refused = open(&disk).await.err().expect("it is later");

            let offset = end as u64 + 12;
            assert_eq!(refused, LogError::Later { file: file.clone(), offset, found: 9, understood: 3 });
            let told = "an entry of version 9, and this program reads versions up to 3; run the program that wrote it";
            assert!(refused.to_string().contains(told), "{refused}");
            assert_eq!(disk.content(&file), before);
        }
    });
}

/// What comes before an entry of a later version was durable, as what comes before any other.
#[test]
fn damage_before_an_entry_of_a_later_version_is_not_taken_for_a_torn_tail() {
    let mut frame = FrameBuilder::new();
    frame.push(&Record::Vote(Vote::new(5, 1)));
    let mut file = frame.finish().to_vec();
    let end = file.len();
    file.resize(end + 600, 0);
    file.extend_from_slice(&later_frame());

    assert!(matches!(frame::scan(&file).rest, Rest::Damaged { offset, .. } if offset == end as u64));
}

/// A frame with one record of format 9.
fn later_frame() -> Vec<u8> {
    let mut frame = FrameBuilder::new();
    frame.push(&Record::Vote(Vote::new(5, 1)));
    let mut bytes = frame.finish().to_vec();
    bytes[20] = 9;
    let checksum = crc32fast::hash(&bytes[20..]);
    bytes[16..20].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// H5.
#[test]
fn the_log_of_another_member_is_refused() {
    run(async {
        let disk = MemoryDisk::new();
        open(&disk).await.expect("a new log");

        let opened = LogStore::open(Arc::new(disk.reopened()), MemberId(2), None).await;

        assert!(matches!(opened.err(), Some(LogError::Foreign { found: ME, .. })));
    });
}

/// H6: a full disk ends nothing; what waited is written when there is room.
#[test]
fn a_full_disk_is_survived() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 1).await;
        disk.set_full(true);
        let flushed = begin_append(&mut log, 0..3).await;
        let mut health = log.health();
        health.wait_for(|health| *health == Health::Full).await.expect("the writer is there");
        assert_eq!(indices(&mut log).await, [0, 1, 2], "what waits can be read");

        disk.set_full(false);

        flushed.await.expect("the writer answers").expect("there is room");
        assert_eq!(*health.borrow_and_update(), Health::Good);
        let mut log = open(&disk.reopened()).await.expect("the log is good");
        assert_eq!(indices(&mut log).await, [0, 1, 2]);
    });
}

#[test]
fn a_log_can_be_closed_while_the_disk_is_full() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        disk.set_full(true);
        let flushed = begin_append(&mut log, 0..3).await;
        let mut health = log.health();
        health.wait_for(|health| *health == Health::Full).await.expect("the writer is there");

        log.close().await;

        assert!(flushed.await.expect("the writer answers").is_err());
        assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
    });
}

/// H7: after a failed sync nobody knows what is on the disk; a sync that succeeds later proves nothing.
#[test]
fn a_failed_sync_ends_the_log() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        disk.fail_to_sync();

        let flushed = begin_append(&mut log, 0..3).await;

        assert!(flushed.await.expect("the writer answers").is_err());
        assert!(matches!(&*log.health().borrow(), Health::Failed(_)));
        assert!(log.save_vote(&Vote::new(9, 1)).await.is_err());
        assert_eq!(log.voted_term(), Term(9), "raised before it was tried");
    });
}

#[test]
fn what_waits_together_is_synced_together() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 1).await;
        let before = disk.syncs();

        let mut flushed = Vec::new();
        for index in 0..100 {
            flushed.push(begin_append(&mut log, index..index + 1).await);
        }
        for flushed in flushed {
            flushed.await.expect("the writer answers").expect("the disk is good");
        }

        assert_eq!(disk.syncs() - before, 1);
    });
}

/// A follower that was away for long reads what memory no longer holds.
#[test]
fn entries_that_memory_has_forgotten_are_read_from_disk() {
    run(async {
        let disk = MemoryDisk::new();
        let mut log = open(&disk).await.expect("a new log");
        vote(&mut log, 1).await;
        fill_segments(&mut log, 6).await;
        let end = log.last().expect("there are entries").index;

        assert_eq!(indices(&mut log).await, (0..=end).collect::<Vec<_>>());
        let mut reader = log.get_log_reader().await;
        let some = reader.limited_get_log_entries(0, end).await.expect("the disk is good");
        assert!(!some.is_empty() && some.len() < end as usize);

        disk.tamper(&segment_name(1), |content| {
            let middle = content.len() / 2;
            content[middle] ^= 1;
        });
        let Err(error) = reader.try_get_log_entries(0..end).await else { panic!("damage is found when it is read") };
        assert!(error.to_string().contains(&segment_name(1)), "{error}");
    });
}

async fn open(disk: &MemoryDisk) -> Result<LogStore, LogError> {
    LogStore::open(Arc::new(disk.clone()), ME, None).await
}

async fn vote(log: &mut LogStore, term: u64) {
    log.save_vote(&Vote::new(term, ME.0)).await.expect("the disk is good");
}

fn blank(index: u64) -> Entry {
    Entry::new_blank(log_id(3, index))
}

async fn begin_append(log: &mut LogStore, range: std::ops::Range<u64>) -> oneshot::Receiver<std::io::Result<()>> {
    let (done, flushed) = TypeConfig::oneshot();
    log.append(range.map(blank), IOFlushed::signal(done)).await.expect("the log is open");
    flushed
}

async fn append(log: &mut LogStore, range: std::ops::Range<u64>) {
    begin_append(log, range).await.await.expect("the writer answers").expect("the disk is good");
}

/// Appends large entries until there are at least this many segments.
async fn fill_segments(log: &mut LogStore, segments: u64) {
    let first = log.last().map_or(0, |last| last.index + 1);
    let per_segment = SEGMENT_BYTES_MAX / (700 * 1000) + 1;
    for index in first..first + (segments - 1) * per_segment + 1 {
        let (done, flushed) = TypeConfig::oneshot();
        let entry =
            Entry { log_id: log_id(3, index), payload: Payload::Normal(crate::consensus::testing::big_proposal()) };
        log.append([entry], IOFlushed::signal(done)).await.expect("the log is open");
        flushed.await.expect("the writer answers").expect("the disk is good");
    }
}

async fn indices(log: &mut LogStore) -> Vec<u64> {
    let mut reader = log.get_log_reader().await;
    let entries = reader.try_get_log_entries(..).await.expect("the disk is good");
    entries.iter().map(|entry| entry.log_id.index).collect()
}

/// A log of five entries, and five more in a second append; its bytes, and where the second append begins.
async fn log_of_two_appends() -> (MemoryDisk, Vec<u8>, usize) {
    let disk = MemoryDisk::new();
    let mut log = open(&disk).await.expect("a new log");
    vote(&mut log, 3).await;
    append(&mut log, 0..5).await;
    let before = disk.content(&segment_name(1)).expect("it is there").len();
    append(&mut log, 5..60).await;
    let whole = disk.content(&segment_name(1)).expect("it is there");
    (disk, whole, before)
}
