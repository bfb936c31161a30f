//! What must not be named where.

use crate::paths::named;
use crate::source::{Source, below};

/// One name that is not allowed, with what to use instead.
struct Ban {
    /// A path, or the beginning of one. `*` stands for any word. A word by itself is banned wherever it stands.
    name: &'static str,
    instead: &'static str,
}

const fn ban(name: &'static str, instead: &'static str) -> Ban {
    Ban { name, instead }
}

const FACTS: &str = "facts come in and orders go out; the shell does the rest";
const TIME: &str = "the time is told: `now: Uptime`";
const RANDOM: &str = "a generator is handed in by the caller";
const UNSHARED: &str = "a machine has one owner";

const CORE: &[Ban] = &[
    ban("tokio", FACTS),
    ban("openraft", FACTS),
    ban("mio", FACTS),
    ban("futures_util", FACTS),
    ban("tracing", FACTS),
    ban("async", FACTS),
    ban("await", FACTS),
    ban("std::fs", FACTS),
    ban("std::env", FACTS),
    ban("std::process", FACTS),
    ban("std::thread", UNSHARED),
    ban("std::net::TcpStream", FACTS),
    ban("std::net::TcpListener", FACTS),
    ban("std::net::UdpSocket", FACTS),
    ban("std::net::ToSocketAddrs", FACTS),
    ban("std::net::*all", FACTS),
    ban("std::os", FACTS),
    ban("std::time::*all", TIME),
    ban("Instant", TIME),
    ban("SystemTime", TIME),
    ban("UNIX_EPOCH", TIME),
    ban("rand::rng", RANDOM),
    ban("rand::random", RANDOM),
    ban("rand::thread_rng", RANDOM),
    ban("OsRng", RANDOM),
    ban("SysRng", RANDOM),
    ban("ThreadRng", RANDOM),
    ban("from_os_rng", RANDOM),
    ban("from_entropy", RANDOM),
    ban("getrandom", RANDOM),
    ban("RandomState", RANDOM),
    ban("Mutex", UNSHARED),
    ban("RwLock", UNSHARED),
    ban("Condvar", UNSHARED),
    ban("mpsc", UNSHARED),
    ban("thread_local", UNSHARED),
    ban("static", UNSHARED),
];

const ADDRESS: &str = "crate::jid, which measures text before it prepares it";

/// Other ways from text to an address than `core/src/jid`.
const EVERY_CRATE: &[Ban] = &[
    ban("jid::Jid", ADDRESS),
    ban("jid::BareJid", ADDRESS),
    ban("jid::FullJid", ADDRESS),
    ban("jid::NodePart", ADDRESS),
    ban("jid::DomainPart", ADDRESS),
    ban("jid::ResourcePart", ADDRESS),
    ban("jid::*all", ADDRESS),
    ban("stringprep::*all", ADDRESS),
    ban("nodeprep", ADDRESS),
    ban("nameprep", ADDRESS),
    ban("resourceprep", ADDRESS),
    ban("idna::uts46", ADDRESS),
    ban("precis_core", ADDRESS),
];

const RUNTIME: &str = "crate::runtime::spawn, which hands the seed on";
const CLOCK: &str = "tokio::time::Instant, or crate::clock";

const NET: &[Ban] = &[
    ban("std::time::Instant", CLOCK),
    ban("std::time::SystemTime", CLOCK),
    ban("SystemTime", CLOCK),
    ban("tokio::spawn", RUNTIME),
    ban("tokio::task::spawn", RUNTIME),
    ban("rand::rng", RANDOM),
    ban("rand::random", RANDOM),
    ban("rand::thread_rng", RANDOM),
    ban("OsRng", RANDOM),
    ban("SysRng", RANDOM),
    ban("ThreadRng", RANDOM),
    ban("from_os_rng", RANDOM),
    ban("futures_util::select", "a biased tokio::select!"),
    ban("futures::select", "a biased tokio::select!"),
];

const ROUTING: &str = "cresset_core::routing: `Sender`, `RetryQueue`, `LocalRoutes`, `Parcel::leftover`";

/// What decides where a stanza goes, what it waits for and how often it is tried. The node and the simulator carry out.
const OUTSIDE_OF_CORE: &[Ban] = &[
    ban("decide", ROUTING),
    ban("Decision", ROUTING),
    ban("Asker", ROUTING),
    ban("ErrorCondition", ROUTING),
    ban("is_stale_farewell", ROUTING),
    ban("abandoned", ROUTING),
    ban("REROUTES_MAX", ROUTING),
    ban("EARLY_BYTES_MAX", ROUTING),
    ban("ABANDONED_WAY_WAIT_MAX", ROUTING),
    ban("STALE_VIEW_WAIT_MAX", ROUTING),
    ban("STORE_AGAIN_AFTER", ROUTING),
];

/// The bound of what is remembered about processes that are over, which the links of the nodes and of the simulator
/// would otherwise keep twice.
const MEMORY_OF_PROCESSES: &[Ban] = &[ban("OVER_MAX", LINKS)];

const LINKS: &str = "`LinkTable` remembers which process of a member is over";

const EVERYWHERE: &[Ban] = &[
    ban("unwrap", "expect(\"the invariant that holds\")"),
    ban("dbg", "tracing"),
    ban("todo", "what is there to do"),
    ban("unimplemented", "what is there to do"),
    ban("unsafe", "nothing: the workspace forbids it"),
];

/// What encodes and decodes, by a crate that nobody keeps any more (RUSTSEC-2025-0141): it can be replaced where it is
/// known.
const ENCODING: &[Ban] = &[ban("bincode", "cresset_core::wire")];

/// The one place that knows it.
const ENCODING_SEAM: &str = "core/src/wire.rs";

const PRINT: &[Ban] =
    &[ban("println", "tracing"), ban("print", "tracing"), ban("eprintln", "tracing"), ban("eprint", "tracing")];

/// What a simulation switches on and counts, in the build of the simulator only: state of the thread.
const SIMULATED_SEAMS: &[&str] = &["core/src/planted.rs", "core/src/probe.rs"];

/// The one room that makes addresses of text.
const ADDRESS_SEAM: &str = "core/src/jid/";

/// The one place in net that reads the clock of the machine.
const CLOCK_SEAM: &str = "net/src/clock.rs";

fn breaches(sources: &[Source], bans: &[Ban]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for name in named(source) {
            for ban in bans.iter().filter(|ban| is_banned(&name.words, ban.name)) {
                let (words, instead) = (name.words.join("::"), ban.instead);
                breaches.push(format!("{}:{}: {words}; instead: {instead}", source.path, name.line));
            }
        }
    }
    breaches
}

fn is_banned(words: &[String], ban: &str) -> bool {
    let banned: Vec<&str> = ban.split("::").collect();
    if let [word] = banned[..] {
        return words.iter().any(|found| found == word);
    }
    let matches = |(found, banned): (&String, &&str)| found == banned || (*banned == "*all" && found == "*");
    words.len() >= banned.len() && words.iter().zip(&banned).all(matches)
}

/// `tokio::select!` in which the order of the branches is left to chance.
fn unbiased_selects(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (at, mark) in source.code.match_indices("select!") {
            let inside = source.code[at + mark.len()..].trim_start().trim_start_matches(['{', '(']).trim_start();
            if !inside.starts_with("biased;") {
                breaches.push(format!("{}:{}: select! without `biased;`", source.path, source.line(at)));
            }
        }
    }
    breaches
}

/// Decisions about the agreed state that are taken outside of core.
fn foreign_state(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (number, line) in source.code.lines().enumerate() {
            let words: Vec<&str> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
            if line.trim_start().starts_with("impl") && words.contains(&"ClusterState") {
                breaches.push(format!("{}:{}: {}; instead: core decides", source.path, number + 1, line.trim()));
            }
        }
    }
    breaches
}

/// Whether one route is older than another, or than what a node has applied, decided outside of core. The store compares
/// claims with claims in its own words.
fn foreign_comparisons(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (at, mark) in source.code.match_indices("route.index") {
            let (before, after) = (source.code[..at].trim_end(), source.code[at + mark.len()..].trim_start());
            // What the route is a part of, like `parcel.`, and the second half of `<=`.
            let before = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == '.').trim_end();
            let before = before.strip_suffix('=').unwrap_or(before);
            let is_arrow = before.ends_with("->") || before.ends_with("=>");
            if after.starts_with(COMPARES) || before.ends_with(COMPARES) && !is_arrow {
                breaches.push(format!("{}:{}: compares a route; instead: {ROUTING}", source.path, source.line(at)));
            }
        }
    }
    breaches
}

const COMPARES: &[char] = &['<', '>'];

/// What counts how often a stanza was tried.
fn foreign_counts(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (at, mark) in source.code.match_indices("attempts") {
            if source.code[at + mark.len()..].trim_start().starts_with(['+', '-']) {
                breaches.push(format!("{}:{}: counts attempts; instead: {ROUTING}", source.path, source.line(at)));
            }
        }
    }
    breaches
}

/// Collections of processes: what remembers which ones are over.
fn foreign_memories(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for (at, _) in source.code.match_indices("BootId") {
            let before = source.code[..at].trim_end();
            // The path by which it may be named, like `ids::`.
            let before = before.trim_end_matches(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
            // The member before it, if a collection tells the processes of all members.
            let before = before.trim_end().strip_suffix("(MemberId,").unwrap_or(before);
            let is_kept = |collection: &&str| before.strip_suffix('<').is_some_and(|is| is.ends_with(*collection));
            if COLLECTIONS.iter().any(is_kept) {
                breaches.push(format!("{}:{}: remembers processes; instead: {LINKS}", source.path, source.line(at)));
            }
        }
    }
    breaches
}

const COLLECTIONS: &[&str] = &["Vec", "VecDeque", "Set"];

/// A word that must not even stand in a comment: net does not know that it is simulated.
fn said(sources: &[Source], word: &str) -> Vec<String> {
    let is_said = |source: &&Source| source.text.to_lowercase().contains(word);
    sources.iter().filter(is_said).map(|source| format!("{}: says '{word}'", source.path)).collect()
}

#[test]
fn core_names_nothing_of_the_world_outside() {
    let is_seam = |source: &Source| SIMULATED_SEAMS.contains(&source.path.as_str());
    let (seams, sources): (Vec<Source>, Vec<Source>) = below("core/src").into_iter().partition(is_seam);
    assert_eq!(breaches(&sources, CORE), [""; 0]);
    for other in breaches(&seams, CORE) {
        assert!(other.contains("thread_local;") || other.contains("static;"), "{other}");
    }
    assert!(seams.iter().all(|seam| seam.code.contains("cfg(cresset_simulated)")));
}

#[test]
fn where_a_stanza_goes_is_decided_in_core() {
    let sources: Vec<Source> = ["net/src", "sim/src/cores"].into_iter().flat_map(below).collect();
    assert_eq!(breaches(&sources, OUTSIDE_OF_CORE), [""; 0]);
    assert_eq!(foreign_comparisons(&sources), [""; 0]);
    let tried = ["net/src/router", "net/src/clients", "net/src/links", "sim/src/cores"];
    assert_eq!(foreign_counts(&tried.into_iter().flat_map(below).collect::<Vec<_>>()), [""; 0]);
}

#[test]
fn a_decision_about_a_stanza_outside_of_core_is_caught() {
    let planted = |text: &str| [Source::new("sim/src/cores/router.rs", text)];

    assert_eq!(breaches(&planted("use cresset_core::routing::{Home, decide};"), OUTSIDE_OF_CORE).len(), 1);
    assert_eq!(breaches(&planted("if attempts > limits::REROUTES_MAX {}"), OUTSIDE_OF_CORE).len(), 1);
    assert_eq!(breaches(&planted("stanza.bounce(ErrorCondition::ServiceUnavailable, None)"), OUTSIDE_OF_CORE).len(), 1);
    assert_eq!(foreign_counts(&planted("Outgoing { attempts: attempts + 1, ..outgoing }")).len(), 1);
    assert_eq!(foreign_counts(&planted("outgoing.attempts += 1;")).len(), 1);
    assert_eq!(breaches(&planted("let left = paths.abandoned(account, routes);"), OUTSIDE_OF_CORE).len(), 1);
    assert_eq!(foreign_comparisons(&planted("if parcel.route.index > router.applied {}")).len(), 1);
    assert_eq!(foreign_comparisons(&planted("if applied\n    <= parcel.route.index {}")).len(), 1);
    assert_eq!(foreign_comparisons(&planted("match x { _ => route.index, }; let a = [route.index.0];")), [""; 0]);
}

#[test]
fn which_process_is_over_is_remembered_in_core() {
    let sources: Vec<Source> = ["net/src", "sim/src", "bin"].into_iter().flat_map(below).collect();
    assert_eq!(breaches(&sources, MEMORY_OF_PROCESSES), [""; 0]);
    assert_eq!(foreign_memories(&sources), [""; 0]);
    let core = below("core/src/links");
    assert!(!breaches(&core, MEMORY_OF_PROCESSES).is_empty() && !foreign_memories(&core).is_empty());
}

#[test]
fn a_memory_of_processes_outside_of_core_is_caught() {
    let planted = |text: &str| [Source::new("sim/src/cores/mesh.rs", text)];

    assert_eq!(breaches(&planted("const OVER_MAX: usize = 64;"), MEMORY_OF_PROCESSES).len(), 1);
    assert_eq!(foreign_memories(&planted("struct Boots { current: Option<BootId>, over: VecDeque<BootId> }")).len(), 1);
    assert_eq!(foreign_memories(&planted("over: std::collections::BTreeSet<cresset_core::ids::BootId>,")).len(), 1);
    assert_eq!(foreign_memories(&planted("over: HashSet<(MemberId, BootId)>,")).len(), 1);
    assert_eq!(foreign_memories(&planted("fn f(boot: BootId) -> Option<BootId> {}")), [""; 0]);
}

#[test]
fn net_uses_one_clock_one_way_to_start_tasks_and_one_source_of_randomness() {
    let is_seam = |source: &Source| source.path == CLOCK_SEAM;
    let (seam, sources): (Vec<Source>, Vec<Source>) = below("net/src").into_iter().partition(is_seam);
    assert!(!breaches(&seam, NET).is_empty(), "{CLOCK_SEAM} needs no exemption");
    assert_eq!(breaches(&sources, NET), [""; 0]);
    assert_eq!(unbiased_selects(&sources), [""; 0]);
}

#[test]
fn net_decides_nothing_about_the_agreed_state_and_does_not_know_that_it_is_simulated() {
    assert_eq!(foreign_state(&below("net/src")), [""; 0]);
    assert_eq!(said(&below("net"), "turmoil"), [""; 0]);
}

#[test]
fn addresses_are_made_of_text_in_one_room() {
    for folder in ["core/src", "net/src", "sim/src", "bin"] {
        let is_seam = |source: &Source| source.path.starts_with(ADDRESS_SEAM);
        let sources: Vec<Source> = below(folder).into_iter().filter(|source| !is_seam(source)).collect();
        assert_eq!(breaches(&sources, EVERY_CRATE), [""; 0]);
    }
    assert!(!breaches(&below(ADDRESS_SEAM), EVERY_CRATE).is_empty(), "{ADDRESS_SEAM} needs no exemption");
}

#[test]
fn nothing_is_unwrapped_or_left_to_do() {
    for folder in ["core/src", "net/src", "sim/src", "bin"] {
        assert_eq!(breaches(&below(folder), EVERYWHERE), [""; 0]);
    }
}

/// O18.
#[test]
fn one_place_knows_how_values_are_encoded() {
    let is_seam = |source: &Source| source.path == ENCODING_SEAM;
    for folder in ["core", "net", "sim", "bin", "tests"] {
        let sources: Vec<Source> = below(folder).into_iter().filter(|source| !is_seam(source)).collect();
        assert_eq!(breaches(&sources, ENCODING), [""; 0]);
    }
    let seam: Vec<Source> = below("core/src").into_iter().filter(is_seam).collect();
    assert!(!breaches(&seam, ENCODING).is_empty());
}

#[test]
fn only_programs_print() {
    for folder in ["core/src", "net/src"] {
        assert_eq!(breaches(&below(folder), PRINT), [""; 0]);
    }
}

#[test]
fn every_ban_catches_a_planted_breach() {
    for ban in [CORE, NET, EVERYWHERE, ENCODING, PRINT, EVERY_CRATE].concat_all() {
        let name = ban.name.replace("*all", "*");
        let planted = if ban.name.contains("::") { format!("use {name};") } else { format!("let x = {name}(1);") };
        let found = breaches(&[Source::new("core/src/x.rs", &planted)], &[ban]);
        assert_eq!(found.len(), 1, "{planted}");
        assert!(found[0].starts_with("core/src/x.rs:1: "), "{found:?}");
    }
}

#[test]
fn a_breach_is_found_however_it_is_written() {
    for planted in [
        "use std::{collections::BTreeMap, fs};",
        "use std::fs::{File, read};",
        "fn f() { let t = std::fs::read(p); }",
        "async fn f() {}",
        "fn f() { g().await }",
        "use std::{net::{IpAddr, TcpStream}};",
        "use rand::{Rng, rng};",
        "static COUNT: AtomicU64 = AtomicU64::new(0);",
        "use std::time::*;",
    ] {
        assert!(!breaches(&[Source::new("x.rs", planted)], CORE).is_empty(), "{planted}");
    }
}

#[test]
fn what_is_allowed_is_not_reported() {
    let allowed = "//! tokio::spawn\nuse std::time::Duration;\nuse std::net::{IpAddr, SocketAddr};\n\
                   use rand::rngs::StdRng;\nfn f(x: &'static str) { log(\"std::fs\"); unwrap_or(1); }\n\
                   #[cfg(test)]\nmod tests { use std::fs; }\n";
    let source = || [Source::new("x.rs", allowed)];
    assert_eq!(breaches(&source(), CORE), [""; 0]);
    assert_eq!(breaches(&source(), EVERYWHERE), [""; 0]);
    let addresses =
        [Source::new("x.rs", "use crate::jid::Jid; use cresset_core::jid::*; pub mod jid; stringprep::saslprep(x)")];
    assert_eq!(breaches(&addresses, EVERY_CRATE), [""; 0]);
}

#[test]
fn the_other_rules_of_net_catch_planted_breaches() {
    let source = |text: &str| [Source::new("net/src/x.rs", text)];
    assert_eq!(unbiased_selects(&source("tokio::select! {\n  a = b => {}\n}")).len(), 1);
    assert_eq!(unbiased_selects(&source("tokio::select! {\n  biased;\n  a = b => {}\n}")), [""; 0]);
    assert_eq!(foreign_state(&source("impl Extra for ClusterState {}")).len(), 1);
    assert_eq!(foreign_state(&source("impl ClusterState {}")).len(), 1);
    assert_eq!(foreign_state(&source("fn f(look: impl Fn(&ClusterState)) {}")), [""; 0]);
    assert_eq!(said(&source("// as Turmoil does"), "turmoil").len(), 1);
}

/// All bans of several lists.
trait ConcatAll {
    fn concat_all(self) -> Vec<Ban>;
}

impl<const N: usize> ConcatAll for [&[Ban]; N] {
    fn concat_all(self) -> Vec<Ban> {
        self.iter().flat_map(|bans| bans.iter()).map(|ban| Ban { name: ban.name, instead: ban.instead }).collect()
    }
}
