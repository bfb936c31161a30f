//! What the most expensive text costs that somebody gives for an address (O2): `<stream:stream to='…'>` before anybody has
//! said who he is, `<message to='…'/>` afterwards.
//!
//! The bound is that of an unoptimised build on a busy machine, in which the dearest of these takes 0.4 ms, and the
//! shortest of several tries counts. Without the bounds of length the first take from 23 to 80 ms each in an optimised
//! build. `cargo bench -p cresset-core --bench address` tells what they take there.

use std::hint::black_box;
use std::time::{Duration, Instant};

use cresset_core::jid::Jid;

/// What one address may cost at most.
const COST_MAX: Duration = Duration::from_millis(3);

const TRIES: usize = 5;

/// So many labels of the 900 characters U+4E00 to U+5183.
fn labels(count: usize) -> String {
    let label: String = (0x4E00..0x5184).filter_map(char::from_u32).collect();
    vec![label; count].join(".")
}

fn cost(address: &str) -> Duration {
    let once = |_| {
        let start = Instant::now();
        let _ = black_box(Jid::new(black_box(address)));
        start.elapsed()
    };
    (0..TRIES).map(once).min().unwrap_or_default()
}

#[test]
fn no_text_costs_much_whether_it_is_an_address_or_not() {
    let names = |label: &str| [label; 10].join(".");
    let cases = [
        ("D(1)", labels(1), false),
        ("D(11)", labels(11), false),
        ("D(90)", format!("a@{}", labels(90)), false),
        ("a stanza of it", "\u{4E00}".repeat(80_000), false),
        ("labels of DNS", ["\u{4E00}".repeat(63), "\u{4E01}".repeat(63), "\u{4E02}".repeat(63)].join("."), false),
        ("A-labels", names("xn--mnchen-3ya"), true),
        ("a domain", format!("a@{}", names("\u{4E00}m\u{FC}nchen\u{5183}")), true),
        ("what decomposes", format!("{}@a", "\u{FDFA}".repeat(341)), false),
        ("what decomposes, as a resource", format!("a/{}", "\u{FDFA}".repeat(341)), false),
        ("a name of ideographs", format!("{}@a", "\u{4E00}".repeat(341)), true),
        ("a name of letters", format!("{}@a", "\u{E9}".repeat(511)), true),
        ("a name that is not folded", format!("{}@a", "\u{C9}".repeat(511)), true),
        ("a name of ASCII but one", format!("{}\u{E9}@a", "a".repeat(1021)), true),
        ("marks", format!("a{}@a", "\u{300}\u{316}".repeat(255)), true),
        ("a resource of ideographs", format!("a/{}", "\u{4E00}".repeat(341)), true),
        ("a resource of emoji", format!("a/{}", "\u{1F980}".repeat(255)), true),
        ("a resource of ASCII but one", format!("a/{}\u{1F980}", "a".repeat(1019)), true),
        ("marks and an emoji", format!("a/\u{1F980}{}", "\u{300}\u{316}".repeat(254)), true),
        ("rules", format!("a/\u{1F980}{}{}", "\u{30A2}".repeat(323), "\u{30FB}".repeat(16)), true),
        ("too many rules", format!("a/\u{1F980}{}", "\u{30FB}".repeat(339)), false),
        (
            "all of it",
            format!("{}@{}/{}", "\u{C9}".repeat(511), names("\u{4E00}m\u{FC}nchen"), "\u{1F980}".repeat(255)),
            true,
        ),
    ];
    for (name, address, is_legal) in cases {
        assert_eq!(Jid::new(&address).is_ok(), is_legal, "{name}: {:?}", Jid::new(&address).map(|_| ()));
        let cost = cost(&address);
        assert!(cost < COST_MAX, "{name} costs {cost:?}");
    }
}
