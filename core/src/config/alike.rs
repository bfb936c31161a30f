//! What the files of all nodes of a cluster must say alike, and what two nodes tell each other when they do not.
//!
//! ```text
//! Config, former name, agreed times ──▶ Alike ──hello──▶ the other node: difference(ours, theirs)
//!                                                              └─▶ none, or a sentence for both logs
//! ```
//!
//! The domain is what the cluster serves, so a node of another one serves people that the others do not know. The name is
//! how operators tell clusters apart. The times are those on which fencing rests: a member whose lease is longer than the
//! silence after which another member expels it delivers for a user who is served elsewhere already. So does one that
//! does not stop when all its links are closed, if the others count that as its death.
//!
//! Once the members have agreed on the times, those count and no file's: a member that has heard of them is linked with
//! whatever its file says, because it needs the links to hear of the next ones. A node that has not heard of them is linked
//! only if its file says what is agreed. It would be safe with any file, for it serves nobody before it has applied what was
//! agreed; but whoever writes a file for a node means what it says.
//!
//! Both sides come to the same verdict. How the values travel is not decided here.

use sha2::{Digest, Sha256};

use super::model::Config;
use crate::fencing::Times;

/// Bytes of a text that is compared. Three of them fit a hello beside everything else that it says.
pub const ALIKE_BYTES_MAX: usize = 180;

/// Bytes of a longer text that are kept. Its digest follows, so that two texts which differ are told apart.
const KEPT_BYTES: usize = 140;

/// What the files of all nodes of a cluster must say alike.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alike {
    /// The XMPP domain. At most [`ALIKE_BYTES_MAX`] bytes.
    pub domain: String,
    /// What operators call the cluster. At most [`ALIKE_BYTES_MAX`] bytes.
    pub name: String,
    /// What they called it before, if the cluster is being renamed; else empty. At most [`ALIKE_BYTES_MAX`] bytes.
    pub former_name: String,
    /// The times on which fencing rests.
    pub times: Times,
    /// Whether these are those on which the members have agreed, and not its file's.
    pub times_are_agreed: bool,
    /// Whether closed links and a refusing port count as evidence of a crash.
    pub crash_evidence: bool,
}

/// Why two nodes are not of one cluster although their account store is the same. A sentence for both operators.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Difference {
    /// They serve two domains.
    #[error(
        "the domains differ: ours is '{ours}', theirs is '{theirs}'; all members of a cluster serve one: correct <domain> \
         in one of the two files"
    )]
    Domain {
        /// This node's.
        ours: String,
        /// The other node's.
        theirs: String,
    },
    /// They are called differently, and neither says that it was called like the other.
    #[error(
        "the names of the cluster differ: ours is '{ours}', theirs is '{theirs}'; correct <cluster-name> in one of the two \
         files, or, to rename the cluster, set the property 'cluster.former-name' to its old name and start the renamed \
         nodes again"
    )]
    Name {
        /// This node's.
        ours: String,
        /// The other node's.
        theirs: String,
    },
    /// One of them could expel the other one while that still serves.
    #[error(
        "the times on which fencing rests differ: ours are {}, theirs are {}; {remedy}",
        ours.where_not(*theirs), theirs.where_not(*ours)
    )]
    Times {
        /// This node's.
        ours: Times,
        /// The other node's.
        theirs: Times,
        /// What helps.
        remedy: Remedy,
    },
    /// One of them takes the other one for dead while that still serves.
    #[error(
        "what counts as a crash differs: ours is <crash-evidence enabled=\"{ours}\"/>, theirs is <crash-evidence \
         enabled=\"{theirs}\"/>; all members need the same: correct <cluster> in one of the two files"
    )]
    CrashEvidence {
        /// This node's.
        ours: bool,
        /// The other node's.
        theirs: bool,
    },
}

/// What helps if the times of two nodes differ.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Remedy {
    /// Neither knows of agreed times.
    #[error("all members need the same: correct <cluster> in one of the two files")]
    EitherFile,
    /// The other node's are agreed.
    #[error(
        "the cluster has agreed on theirs: correct <cluster> in the file of this node, or change the times of all with \
         'cresset cluster times'"
    )]
    OurFile,
    /// This node's are agreed.
    #[error(
        "the cluster has agreed on ours: correct <cluster> in the file of the other node, or change the times of all with \
         'cresset cluster times'"
    )]
    TheirFile,
}

impl Alike {
    /// What a node says that is configured like this. `former_name` is what the cluster was called before, or empty.
    pub fn of(config: &Config, former_name: &str) -> Alike {
        Alike {
            domain: comparable(&config.domain.to_string()),
            name: comparable(&config.cluster.name),
            former_name: comparable(former_name),
            times: config.cluster.timing.times(),
            times_are_agreed: false,
            crash_evidence: config.cluster.crash_evidence,
        }
    }

    /// The same of a node that has heard on which times the members have agreed.
    #[must_use]
    pub fn with_agreed(self, times: Times) -> Alike {
        Alike { times, times_are_agreed: true, ..self }
    }

    /// Why this node does not speak with one that says `theirs`, if it does not.
    pub fn difference(&self, theirs: &Alike) -> Option<Difference> {
        if self.domain != theirs.domain {
            return Some(Difference::Domain { ours: self.domain.clone(), theirs: theirs.domain.clone() });
        }
        if self.name != theirs.name && self.former_name != theirs.name && self.name != theirs.former_name {
            return Some(Difference::Name { ours: self.name.clone(), theirs: theirs.name.clone() });
        }
        let remedy = match (self.times_are_agreed, theirs.times_are_agreed) {
            // Both follow the log, in which the one may be ahead of the other.
            (true, true) => None,
            (true, false) => Some(Remedy::TheirFile),
            (false, true) => Some(Remedy::OurFile),
            (false, false) => Some(Remedy::EitherFile),
        };
        if let Some(remedy) = remedy.filter(|_| self.times != theirs.times) {
            return Some(Difference::Times { ours: self.times, theirs: theirs.times, remedy });
        }
        let (ours, theirs) = (self.crash_evidence, theirs.crash_evidence);
        (ours != theirs).then_some(Difference::CrashEvidence { ours, theirs })
    }
}

/// The text, if it is short enough to be said; else its beginning and a digest of the whole.
fn comparable(text: &str) -> String {
    if text.len() <= ALIKE_BYTES_MAX {
        return text.to_owned();
    }
    let digest = Sha256::digest(text);
    let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{}… ({digest})", &text[..text.floor_char_boundary(KEPT_BYTES)])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::Timing;

    fn alike() -> Alike {
        Alike {
            domain: "example.org".to_owned(),
            name: "cresset".to_owned(),
            former_name: String::new(),
            times: Timing::default().times(),
            times_are_agreed: false,
            crash_evidence: true,
        }
    }

    /// T10. Who does not count closed links as a crash serves on when the others have taken it for dead.
    #[test]
    fn another_idea_of_a_crash_is_refused() {
        let theirs = Alike { crash_evidence: false, ..alike() };

        let said = alike().difference(&theirs).expect("they differ").to_string();

        let both = r#"ours is <crash-evidence enabled="true"/>, theirs is <crash-evidence enabled="false"/>;"#;
        assert!(said.contains(both), "{said}");
    }

    /// T9.
    #[test]
    fn another_domain_and_another_name_are_refused_and_both_values_are_said() {
        let ours = alike();
        let domain = Alike { domain: "example.com".to_owned(), ..alike() };
        let name = Alike { name: "other".to_owned(), ..alike() };

        assert_eq!(ours.difference(&alike()), None);
        let said = ours.difference(&domain).expect("they differ").to_string();
        assert!(said.contains("ours is 'example.org', theirs is 'example.com'"), "{said}");
        let said = name.difference(&ours).expect("they differ").to_string();
        assert!(said.contains("ours is 'other', theirs is 'cresset'"), "{said}");
    }

    /// T9. The renamed nodes are started again one after the other: each speaks with the renamed ones and with the others.
    #[test]
    fn a_node_that_says_its_former_name_speaks_with_both() {
        let renamed = |name: &str| Alike { name: name.to_owned(), former_name: "cresset".to_owned(), ..alike() };

        for (one, other) in [(renamed("rook"), alike()), (renamed("rook"), renamed("rook"))] {
            assert_eq!((one.difference(&other), other.difference(&one)), (None, None));
        }
        assert!(renamed("rook").difference(&renamed("bishop")).is_some());
    }

    /// T10. With these files one user was served by two nodes for seven seconds.
    #[test]
    fn other_times_are_refused_and_what_differs_is_said() {
        let longer =
            Timing { lease: Duration::from_secs(12), expel_after: Duration::from_secs(15), ..Timing::default() };
        let theirs = Alike { times: longer.times(), ..alike() };

        let said = alike().difference(&theirs).expect("they differ").to_string();

        let both = "ours are lease 3000 ms, expel-after 4000 ms, theirs are lease 12000 ms, expel-after 15000 ms;";
        assert!(said.contains(both), "{said}");
        let drifting = Times { drift_percent: 6, ..Timing::default().times() };
        let said = Alike { times: drifting, ..alike() }.difference(&alike()).expect("they differ").to_string();
        assert!(said.contains("ours are drift 6 %, theirs are drift 5 %;"), "{said}");
    }

    /// T10. After an order the files of members say what was before.
    #[test]
    fn what_is_agreed_counts_for_those_who_have_heard_of_it_and_other_files_are_refused() {
        let longer = Times { lease: Duration::from_secs(12), ..alike().times };
        let (ahead, behind, stranger) = (alike().with_agreed(longer), alike().with_agreed(alike().times), alike());

        assert_eq!((ahead.difference(&behind), behind.difference(&stranger)), (None, None));
        let said = stranger.difference(&ahead).expect("they differ").to_string();
        assert!(said.contains("ours are lease 3000 ms, theirs are lease 12000 ms; the cluster has agreed on theirs"));
        let said = ahead.difference(&stranger).expect("they differ").to_string();
        assert!(said.contains("ours are lease 12000 ms, theirs are lease 3000 ms; the cluster has agreed on ours"));
    }

    #[test]
    fn a_text_that_is_too_long_to_be_said_is_compared_nevertheless() {
        let (one, other) = (comparable(&format!("{}a", "é".repeat(400))), comparable(&format!("{}b", "é".repeat(400))));

        assert!(one != other && one.len() <= ALIKE_BYTES_MAX && one.starts_with("éé"));
        assert_eq!(comparable("example.org"), "example.org");
    }
}
