//! The list of seeds that ever failed, each of which is run for ever.
//!
//! ```text
//! # level seed — invariant — date — what it was, in a sentence
//! nodes 4711 — no_silent_loss — 2026-11-23 — a stanza was acknowledged before anybody had taken charge of it
//! ```

use crate::plan::Level;

/// A seed that failed once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundSeed {
    /// At which level.
    pub level: Level,
    /// The seed.
    pub seed: u64,
    /// What it broke.
    pub invariant: String,
    /// When that was.
    pub date: String,
    /// What it was.
    pub sentence: String,
}

/// Reads such a list.
///
/// # Errors
///
/// At a line that is none: its number and what was expected.
pub fn parse(text: &str) -> Result<Vec<FoundSeed>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'));
    let read = |(number, line): (usize, &str)| {
        let expected = "expected 'nodes 4711 — invariant — 2026-11-23 — a sentence', with 'nodes' or 'cores'";
        found(line).ok_or_else(|| format!("line {}: {expected}", number + 1))
    };
    lines.map(read).collect()
}

fn found(line: &str) -> Option<FoundSeed> {
    let mut parts = line.split(" — ").map(str::trim);
    let (level, seed) = parts.next()?.split_once(' ')?;
    let level = match level {
        "nodes" => Level::Nodes,
        "cores" => Level::Cores,
        _ => return None,
    };
    let mut words = || parts.next().filter(|words| !words.is_empty()).map(str::to_owned);
    Some(FoundSeed { level, seed: seed.parse().ok()?, invariant: words()?, date: words()?, sentence: words()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_empty_lines_are_skipped_and_the_rest_is_read() {
        let read = parse("# a list\n\nnodes 7 — order — 2026-11-23 — a — b\ncores 8 — order — 2026-11-23 — c\n");

        let read = read.expect("a list");
        assert_eq!((read[0].level, read[0].seed, read[0].invariant.as_str()), (Level::Nodes, 7, "order"));
        assert_eq!((read[1].level, read[1].sentence.as_str()), (Level::Cores, "c"));
    }

    #[test]
    fn a_line_that_is_none_is_refused_with_its_number() {
        for line in ["nodes", "nodes x — a — b — c", "nodes 7 — a — b", "dots 7 — a — b — c", "nodes 7 - a - b - c"]
        {
            let refused = parse(&format!("# head\n{line}")).expect_err(line);
            assert!(refused.starts_with("line 2: expected 'nodes 4711"), "{refused}");
        }
    }
}
