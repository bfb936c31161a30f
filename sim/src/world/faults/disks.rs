//! Disks that are full, slow, broken, or have lost something.

use super::*;

impl Breaker {
    pub(super) fn begin_with_disk(&mut self, sim: &mut Sim<'_>, number: usize, fault: &Fault, node: usize) {
        #[allow(clippy::wildcard_enum_match_arm, reason = "only faults of disks come here")]
        match fault {
            Fault::DiskFull { .. } => self.begin_disk_trouble(number, node, DiskTrouble::Full),
            Fault::SlowDisk { delay, .. } => {
                self.begin_disk_trouble(number, node, DiskTrouble::Slow(*delay));
            }
            Fault::SyncFails { .. } => {
                self.begin_disk_trouble(number, node, DiskTrouble::FailsToSync);
                self.undo_later(number, Undo::Start(node));
            }
            Fault::ShortReads { .. } => {
                self.kill(sim, node);
                self.begin_disk_trouble(number, node, DiskTrouble::ReadsShort);
                self.undo_later(number, Undo::Start(node));
                self.start(sim, node);
            }
            Fault::FlippedBit { file, .. } => {
                self.kill(sim, node);
                self.processes[node].is_damaged |= self.world.grounds[node].disk.flip_bit(*file).is_some();
                self.undo_later(number, Undo::StartEmpty(node));
                self.start(sim, node);
            }
            Fault::LostVote { .. } => {
                self.kill(sim, node);
                self.world.grounds[node].disk.lose_votes();
                self.processes[node].is_damaged = true;
                self.undo_later(number, Undo::StartEmpty(node));
                self.start(sim, node);
            }
            _ => {}
        }
    }

    fn begin_disk_trouble(&mut self, number: usize, node: usize, trouble: DiskTrouble) {
        self.world.grounds[node].disk.begin_trouble(trouble);
        self.undo_later(number, Undo::EndDiskTrouble(node, trouble));
    }
}
