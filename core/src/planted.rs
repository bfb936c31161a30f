//! Bugs that are planted on purpose, to prove that the simulator finds them.
//!
//! At the place of the bug stands `if planted!(ExpelKeepsRoutes) { … }`. In every build but that of the simulator
//! (`--cfg cresset_simulated`) this is `if false`: there is no switch that could be thrown in a node. At most one bug is
//! active, for the thread that activated it.

/// Whether the bug of that name is active.
#[macro_export]
macro_rules! planted {
    ($bug:ident) => {
        $crate::planted::is_active($crate::planted::Bug::$bug)
    };
}

macro_rules! bugs {
    ($($group:ident { $($(#[doc = $text:literal])+ $bug:ident,)+ })+) => {
        /// A planted bug.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
        pub enum Bug {
            $($($(#[doc = $text])+ $bug,)+)+
        }

        impl Bug {
            /// Every bug, in the order of its groups.
            pub const ALL: &[Bug] = &[$($(Bug::$bug,)+)+];

            /// Its name, as on the command line.
            pub fn name(self) -> &'static str {
                match self {
                    $($(Bug::$bug => stringify!($bug),)+)+
                }
            }

            /// What it breaks, in a sentence.
            pub fn story(self) -> &'static str {
                match self {
                    $($(Bug::$bug => concat!($($text),+).trim_ascii(),)+)+
                }
            }

            /// Where it is.
            pub fn group(self) -> Group {
                match self {
                    $($(Bug::$bug => Group::$group,)+)+
                }
            }
        }
    };
}

/// Where a planted bug is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Group {
    /// In how entries are agreed on and kept.
    Consensus,
    /// In who holds which session, who is a member, and where stanzas go.
    Routing,
    /// In the shell: streams, queues, acknowledgements.
    Shell,
}

bugs! {
    Consensus {
        /// A vote is answered and never written.
        VoteNotPersisted,
        /// Entries count as durable before they are written.
        AcknowledgedBeforeSync,
        /// A leader that crashed comes back as leader of the same term.
        LeaderRestored,
        /// A follower that does not answer counts as one that has the entries.
        CommittedWithoutQuorum,
        /// A snapshot lacks the route that was bound last.
        SnapshotDropsLast,
        /// What is cut off the end of the log is back after a restart.
        TruncationForgotten,
        /// A torn tail of the log is not cut off, and what is written after it cannot be read.
        TornTailKept,
        /// Checksums of records are not compared.
        ChecksumIgnored,
        /// Entries are removed from the log although the snapshot that replaces them is not kept.
        PurgedWithoutSnapshot,
        /// A log without a vote is one of a new member.
        MissingVoteAccepted,
        /// What one node applies depends on which node it is.
        AppliedDifferently,
    }
    Routing {
        /// A batch of a life that is over takes effect.
        EndedLifeAccepted,
        /// Who is expelled keeps his routes.
        ExpelKeepsRoutes,
        /// Who is expelled takes along the JIDs that he once held, whoever holds them now.
        ExpelByJid,
        /// A bind that takes a JID over does not end the session that held it.
        ReplacedSessionStays,
        /// Clients are served without a lease.
        LeaseIgnored,
        /// The beat of a leader renews the lease from the moment it arrives.
        LeaseFromArrival,
        /// A lease is granted to a life whose expulsion is proposed and not agreed yet.
        LeaseForTheExpelled,
        /// A member is expelled before its lease can have ended.
        ExpelledTooEarly,
        /// What a leader has decided may be agreed on when another one has led in between.
        StaleVerdict,
        /// A new leader does not ask how long leases of earlier leaders may run.
        FormerLeaderForgotten,
        /// Changed times are in force before every member follows the more cautious of both.
        TimesInForceTooEarly,
        /// Two members that do not hear each other go on side by side.
        SeparationIgnored,
        /// A member whose links all closed serves on.
        TakenForDeadServesOn,
        /// One member's word is enough to end a life.
        OneWitnessIsEnough,
        /// A bind is answered as soon as this node has applied it.
        BindAnsweredEarly,
        /// A batch that was committed twice takes effect twice.
        BatchAppliedTwice,
        /// A proposal whose fate is unknown is not made again.
        ProposalNotRepeated,
        /// A life that the others have ended goes on.
        LifeOverIgnored,
        /// A parcel that arrives twice is taken twice.
        ParcelTakenTwice,
        /// What had arrived of an earlier life of its sender is delivered again when the next life sends it.
        EarlierLifeForgotten,
        /// Who has a stanza by a name takes it by that name again.
        NameForgotten,
        /// What an expelled member had not settled is forgotten.
        UnsettledForgotten,
        /// A parcel is not kept once it was taken, although nobody has it yet.
        TakenCountsAsSettled,
        /// After a change of routes a message may overtake those on the old path.
        PathForgotten,
        /// What is said to somebody who logs out may overtake what is on its way to him.
        AbandonedWayForgotten,
        /// While something waits that a client has said, nothing else is read from it.
        OneWaitHoldsAll,
        /// What came back is decided again as it came, whatever was said first.
        TurnIgnored,
        /// Watchers are told twice that a dead session is unavailable.
        UnavailableTwice,
        /// Watchers are not told that a dead session is unavailable.
        UnavailableNever,
        /// Messages are written to a client that is about to enable acknowledgements.
        DeliveredBeforeEnabled,
        /// Whoever says that somebody is unavailable is believed.
        StaleFarewellBelieved,
        /// The place of a dead voter is never filled.
        DeadVoterStays,
        /// A witness gets no vote.
        WitnessDoesNotVote,
        /// A witness goes on leading when a server can.
        WitnessLeadsOn,
        /// The version of the agreed state rises with the first member that follows a later one.
        VersionRaisedEarly,
        /// The version of the agreed state does not rise when the last member follows a later one.
        VersionNeverRises,
        /// A member that is up is removed when an operator says so, and others are left without a quorum.
        RemovalLosesQuorum,
        /// A member that comes back with another disk gets a vote, and the one that it was keeps its own.
        MemberCountedTwice,
        /// While one member is drained all send their clients away.
        DrainSendsEverybodyAway,
        /// A drained member goes on leading.
        DrainedMemberLeads,
        /// Whoever comes to a drained member stays there.
        DrainEndsWithTheFirst,
    }
    Shell {
        /// A sync returns before it has happened.
        SyncSkipped,
        /// The read view follows a while after it was announced.
        ViewFollowsLater,
        /// A link that is made anew forgets what the one before it had not handed over.
        QueueDroppedAtReconnect,
        /// A stanza is acknowledged to its sender before anybody has taken charge of it.
        AcknowledgedBeforeHandover,
        /// A resumed session is not sent again what it had not acknowledged.
        ResumptionSendsNothingAgain,
        /// A resumption is answered although stanzas that came before are not handled.
        ResumptionAnsweredEarly,
        /// Sessions of a node that was expelled say that they are gone when they live elsewhere by then.
        FarewellOfTheExpelled,
        /// A resumed session is told one stanza more than were handled.
        ResumptionCountsWrong,
        /// Before a client's socket is written to, nobody looks at the clock: only what was ordered last counts.
        GateIgnoresTheClock,
        /// What came back to a node that does not serve is decided at once, by what it knew before.
        DecidedByAnOldView,
        /// What a user with no session is sent is thrown away.
        OfflineNotStored,
        /// Messages that were stored are handed out and not removed.
        OfflineHandedOutTwice,
        /// A member that cannot be reached counts as one whose port refuses.
        SilenceCountsAsCrash,
        /// More may wait for a client than may wait.
        MailboxUnbounded,
        /// A session that is ended says what it was about to say although somebody else may be told it by now.
        LastWordsUnchecked,
        /// A connection on which a session was goes on telling what it had to when another one has the session.
        SupersededGoesOn,
        /// An answer that may wait for others waits until there are many.
        AnswersWaitForEver,
        /// A node founds the cluster without having claimed it.
        FoundsUnclaimed,
        /// A node forgets that it founds the cluster before it is on disk that it has.
        FoundingForgottenEarly,
        /// A session ends when the account store does not answer it.
        StoreLossEndsSessions,
        /// Nobody is told of what was stored by a node that served alone.
        StoredAloneForgotten,
        /// A node sends its clients away when clustering is switched off or on.
        SwitchDropsSessions,
        /// A node that serves alone does not join when clustering is switched on.
        SwitchedOnIgnored,
    }
}

#[cfg(not(cresset_simulated))]
mod switch {
    use super::Bug;

    /// No bug is, in this build.
    #[inline(always)]
    pub const fn is_active(_: Bug) -> bool {
        false
    }
}

#[cfg(cresset_simulated)]
mod switch {
    use std::cell::Cell;

    use super::Bug;

    thread_local! {
        static ACTIVE: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this is the bug that is active on this thread.
    pub fn is_active(bug: Bug) -> bool {
        ACTIVE.get() == Some(bug)
    }

    /// Makes one bug, or none, active on this thread.
    pub fn activate(bug: Option<Bug>) {
        ACTIVE.set(bug);
    }
}

pub use switch::*;
