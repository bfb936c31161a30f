//! The files that rules look at.

use std::fs;
use std::path::Path;

/// One file of Rust.
pub(crate) struct Source {
    /// Seen from the top of the repository, with `/`.
    pub(crate) path: String,
    /// All of it.
    pub(crate) text: String,
    /// The same lines with comments, the contents of strings, and tests blanked.
    pub(crate) code: String,
}

impl Source {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let code = without_tests(&without_comments_and_strings(text));
        Source { path: path.to_owned(), text: text.to_owned(), code }
    }

    /// The line of an offset in the text or code.
    pub(crate) fn line(&self, offset: usize) -> usize {
        self.code.as_bytes()[..offset].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// All files of Rust below a folder of the repository, but those that hold only tests.
pub(crate) fn below(folder: &str) -> Vec<Source> {
    let mut sources = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the repository") {
            let path = entry.expect("an entry of a folder").path();
            let name = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("below the top").to_string_lossy();
            let name = name.replace('\\', "/");
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !holds_only_tests(&name) {
                sources.push(Source::new(&name, &fs::read_to_string(&path).expect("a file of Rust")));
            }
        }
    }
    assert!(!sources.is_empty(), "nothing was found below {folder}");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn holds_only_tests(path: &str) -> bool {
    path.ends_with("tests.rs") || path.contains("/tests/")
}

/// Blanks what is not code; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match (bytes[at], bytes.get(at + 1)) {
            (b'/', Some(b'/')) => find(bytes, at, b"\n").unwrap_or(bytes.len()),
            (b'/', Some(b'*')) => end_of_block_comment(bytes, at),
            (b'"', _) => end_of_string(bytes, at),
            (b'r', Some(b'"' | b'#')) if !is_word(bytes, at) => end_of_raw_string(bytes, at).unwrap_or(at + 1),
            (b'\'', _) => end_of_character(bytes, at).unwrap_or(at + 1),
            _ => {
                at += 1;
                continue;
            }
        };
        if end > at + 1 {
            code[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        at = end;
    }
    String::from_utf8(code).expect("only whole characters were blanked")
}

/// Blanks what is compiled for tests only.
fn without_tests(code: &str) -> String {
    let mut kept = code.as_bytes().to_vec();
    for (at, mark) in code.match_indices("#[cfg(test)]") {
        let begin = at + mark.len();
        let brace = code[begin..].find('{').map_or(code.len(), |found| begin + found);
        let semicolon = code[begin..].find(';').map_or(code.len(), |found| begin + found);
        let end = if semicolon < brace { semicolon + 1 } else { end_of_block(code, brace) };
        kept[at..end].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8(kept).expect("only whole characters were blanked")
}

/// The offset behind the brace that closes the one at `open`.
pub(crate) fn end_of_block(code: &str, open: usize) -> usize {
    let mut depth = 0_usize;
    for (offset, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return offset + 1;
        }
    }
    code.len()
}

fn find(bytes: &[u8], from: usize, what: &[u8]) -> Option<usize> {
    bytes[from..].windows(what.len()).position(|window| window == what).map(|found| from + found)
}

fn is_word(bytes: &[u8], at: usize) -> bool {
    at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_') && bytes[at - 1] != b'b'
}

fn end_of_block_comment(bytes: &[u8], begin: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = begin;
    while at + 1 < bytes.len() {
        match &bytes[at..at + 2] {
            b"/*" => (depth, at) = (depth + 1, at + 2),
            b"*/" => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], begin: usize) -> usize {
    let mut at = begin + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_raw_string(bytes: &[u8], begin: usize) -> Option<usize> {
    let hashes = bytes[begin + 1..].iter().take_while(|byte| **byte == b'#').count();
    if bytes.get(begin + 1 + hashes) != Some(&b'"') {
        return None;
    }
    let close = [b"\"".to_vec(), vec![b'#'; hashes]].concat();
    Some(find(bytes, begin + 2 + hashes, &close).map_or(bytes.len(), |found| found + close.len()))
}

/// The end of `'x'` or `'\n'`; none if this is a lifetime.
fn end_of_character(bytes: &[u8], begin: usize) -> Option<usize> {
    if bytes.get(begin + 1) == Some(&b'\\') {
        return find(bytes, begin + 3, b"'").map(|found| found + 1);
    }
    let length = std::str::from_utf8(&bytes[begin + 1..]).ok()?.chars().next()?.len_utf8();
    (bytes.get(begin + 1 + length) == Some(&b'\'')).then_some(begin + length + 2)
}

#[test]
fn only_code_is_left() {
    let source = Source::new(
        "x.rs",
        "a(\"tokio \\\" tokio\", '\"', '\\'', b\"tokio\"); // tokio\n/* tokio /* tokio */ tokio */ b<'c>(r#\"tokio\"#);\n\
         #[cfg(test)]\nmod tests { fn d() { tokio } }\n#[cfg(test)]\nmod tests;\ne",
    );

    assert!(!source.code.contains("tokio"), "{}", source.code);
    let words: String = source.code.split_whitespace().collect();
    assert_eq!(words, "a(,,,b);b<'c>();e");
    assert_eq!(source.code.lines().count(), source.text.lines().count());
}
