//! What one address costs: the usual ones, and the dearest that are legal and illegal.
//!
//! `cargo bench -p cresset-core --bench address`

use std::hint::black_box;

use cresset_core::jid::Jid;
use criterion::{Criterion, criterion_group, criterion_main};

fn addresses() -> Vec<(&'static str, String)> {
    let label: String = (0x4E00..0x5184).filter_map(char::from_u32).collect();
    let names = |label: &str| [label; 10].join(".");
    vec![
        ("bare", "juliet@capulet.example".to_owned()),
        ("full", "juliet@capulet.example/balcony".to_owned()),
        ("capitals", "Juliet@Capulet.Example/Balcony".to_owned()),
        ("letters", "j\u{FC}rgen@m\u{FC}nchen.example/k\u{FC}che".to_owned()),
        ("emoji", "juliet@capulet.example/Pixel \u{1F4F1}".to_owned()),
        ("legal: name", format!("{}@a", "\u{C9}".repeat(511))),
        ("legal: domain", names("\u{4E00}m\u{FC}nchen\u{5183}")),
        ("legal: resource", format!("a/{}", "\u{1F980}".repeat(255))),
        ("legal: rules", format!("a/\u{1F980}{}{}", "\u{30A2}".repeat(323), "\u{30FB}".repeat(16))),
        ("legal: marks", format!("a/\u{1F980}{}", "\u{300}\u{316}".repeat(254))),
        (
            "legal: all",
            format!("{}@{}/{}", "\u{C9}".repeat(511), names("\u{4E00}m\u{FC}nchen"), "\u{1F980}".repeat(255)),
        ),
        ("illegal: D(11)", vec![label.clone(); 11].join(".")),
        ("illegal: D(90)", format!("a@{}", vec![label; 90].join("."))),
        ("illegal: decomposes", format!("{}@a", "\u{FDFA}".repeat(341))),
        ("illegal: labels", ["\u{4E00}".repeat(63), "\u{4E01}".repeat(63), "\u{4E02}".repeat(63)].join(".")),
    ]
}

fn parse(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("address");
    for (name, address) in addresses() {
        group.bench_function(name, |bench| bench.iter(|| Jid::new(black_box(&address))));
    }
    group.finish();
}

criterion_group!(benches, parse);
criterion_main!(benches);
