//! Hash maps in core are for look-ups only: the order in which one is walked differs between two runs.

use crate::source::{Source, below};

const WALKS: &[&str] =
    &["iter", "iter_mut", "into_iter", "keys", "into_keys", "values", "values_mut", "into_values", "drain", "retain"];

/// Walks over what is declared in the same file as a `HashMap` or `HashSet`.
fn walks(sources: &[Source]) -> Vec<String> {
    let mut breaches = Vec::new();
    for source in sources {
        for name in hashed_names(&source.code) {
            for (number, line) in source.code.lines().enumerate() {
                if is_walked(line, &name) {
                    breaches.push(format!(
                        "{}:{}: walks the hash map '{name}'; instead: a BTreeMap",
                        source.path,
                        number + 1
                    ));
                }
            }
        }
    }
    breaches
}

/// `name` of every `name: HashMap<…>` and `name = HashMap::new()`.
fn hashed_names(code: &str) -> Vec<String> {
    let mut names = Vec::new();
    for kind in ["HashMap", "HashSet"] {
        for (at, _) in code.match_indices(kind) {
            let before = code[..at].trim_end_matches(|c: char| c.is_alphanumeric() || matches!(c, ':' | '_' | '&'));
            let before = if code[..at].ends_with(": ") || code[..at].ends_with("= ") { &code[..at] } else { before };
            let Some(declared) = before.trim_end().strip_suffix([':', '=']) else { continue };
            let declared = declared.trim_end();
            let begin = declared.rfind(|c: char| !c.is_alphanumeric() && c != '_').map_or(0, |found| found + 1);
            if begin < declared.len() {
                names.push(declared[begin..].to_owned());
            }
        }
    }
    names.sort();
    names.dedup();
    names
}

fn is_walked(line: &str, name: &str) -> bool {
    let compact: String = line.split_whitespace().collect::<Vec<_>>().join(" ");
    let is_called = WALKS.iter().any(|walk| contains_word(&compact, &format!("{name}.{walk}(")));
    let looped = compact.split_once(" in ").filter(|_| compact.trim_start().starts_with("for "));
    let is_looped = looped.is_some_and(|(_, over)| {
        let over = over.trim_start_matches(['&', ' ']).trim_start_matches("mut ").trim_start_matches("self.");
        over.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with('{'))
    });
    is_called || is_looped
}

fn contains_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn core_walks_no_hash_map() {
    assert_eq!(walks(&below("core/src")), [""; 0]);
}

#[test]
fn a_planted_walk_is_caught() {
    for walk in [
        "for (k, v) in &self.names {",
        "for k in names {",
        "self.names.iter().next();",
        "names.retain(|_, _| true);",
        "let all: Vec<_> = self.names.values().collect();",
    ] {
        for declared in ["names: HashMap<A, B>,", "let mut names = std::collections::HashMap::new();"] {
            let source = Source::new("core/src/x.rs", &format!("{declared}\n{walk}\n"));
            assert_eq!(walks(&[source]).len(), 1, "{declared} {walk}");
        }
    }
}

#[test]
fn looking_up_and_walking_something_else_is_allowed() {
    let source =
        Source::new("x.rs", "names: HashMap<A, B>,\nself.names.get(&a);\nfor n in &other_names {\nsurnames.iter();\n");
    assert_eq!(walks(&[source]), [""; 0]);
}
