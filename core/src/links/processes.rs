//! Which process of each member is current, and which ones are over.

use std::collections::{BTreeMap, VecDeque};

use crate::ids::{BootId, MemberId};

/// Processes of one member of which it is remembered that they are over. The oldest is forgotten; it would have to
/// come back after so many others.
const OVER_MAX: usize = 64;

/// What is known of the processes of all members.
#[derive(Debug, Default)]
pub(super) struct Processes(BTreeMap<MemberId, Known>);

#[derive(Debug, Default)]
struct Known {
    current: Option<BootId>,
    over: VecDeque<BootId>,
}

impl Processes {
    /// Declares which process of a member is current. The one before it is over.
    pub(super) fn set_current(&mut self, member: MemberId, boot: BootId) {
        let known = self.0.entry(member).or_default();
        match known.current.replace(boot) {
            Some(before) if before != boot => known.end(before),
            Some(_) | None => {}
        }
    }

    /// Declares that a process of a member is over.
    pub(super) fn end(&mut self, member: MemberId, boot: BootId) {
        let known = self.0.entry(member).or_default();
        if known.current == Some(boot) {
            known.current = None;
        }
        known.end(boot);
    }

    /// The current process of a member, if one was declared.
    pub(super) fn current(&self, member: MemberId) -> Option<BootId> {
        self.0.get(&member)?.current
    }

    /// Whether a process of a member is remembered as one that is over.
    pub(super) fn is_over(&self, member: MemberId, boot: BootId) -> bool {
        self.0.get(&member).is_some_and(|known| known.over.contains(&boot))
    }
}

impl Known {
    fn end(&mut self, boot: BootId) {
        if self.over.contains(&boot) {
            return;
        }
        if self.over.len() == OVER_MAX {
            self.over.pop_front();
        }
        self.over.push_back(boot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: MemberId = MemberId(1);

    #[test]
    fn a_process_that_was_declared_current_twice_is_not_over() {
        let mut processes = Processes::default();

        processes.set_current(MEMBER, BootId(10));
        processes.set_current(MEMBER, BootId(10));

        assert!(!processes.is_over(MEMBER, BootId(10)));
        assert_eq!(processes.current(MEMBER), Some(BootId(10)));
    }

    /// A late word about an earlier process must not take the current one down.
    #[test]
    fn the_end_of_another_process_leaves_the_current_one_alone() {
        let mut processes = Processes::default();
        processes.set_current(MEMBER, BootId(11));

        processes.end(MEMBER, BootId(10));
        assert_eq!(processes.current(MEMBER), Some(BootId(11)));

        processes.end(MEMBER, BootId(11));
        assert_eq!(processes.current(MEMBER), None);
    }

    #[test]
    fn only_the_oldest_of_many_processes_that_are_over_is_forgotten() {
        let mut processes = Processes::default();

        for boot in 0..=OVER_MAX as u64 {
            processes.end(MEMBER, BootId(boot));
            processes.end(MEMBER, BootId(boot));
        }

        assert!(!processes.is_over(MEMBER, BootId(0)));
        assert!((1..=OVER_MAX as u64).all(|boot| processes.is_over(MEMBER, BootId(boot))));
    }
}
