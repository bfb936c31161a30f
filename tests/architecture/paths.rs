//! What a file names: every `a::b::c` in it, the trees of its `use` declarations opened.

use crate::source::Source;

/// One name with its place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) line: usize,
    /// `std::fs::File` as three words. A name of one word only if it stands in a `use` or alone.
    pub(crate) words: Vec<String>,
}

#[derive(Debug, PartialEq, Eq, Clone)]
enum Token {
    Word(String),
    /// `::`
    Step,
    Open,
    Close,
    Comma,
    Other(u8),
}

/// Every path that the code of a file names, in the order in which it stands there.
pub(crate) fn named(source: &Source) -> Vec<Named> {
    let tokens = tokens(source);
    let mut named = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at].1 {
            Token::Word(word) if word == "use" => {
                at += 1;
                open_tree(&tokens, &mut at, &mut Vec::new(), &mut named);
            }
            Token::Word(_) => named.push(plain(&tokens, &mut at)),
            Token::Step | Token::Open | Token::Close | Token::Comma | Token::Other(_) => at += 1,
        }
    }
    named
}

fn plain(tokens: &[(usize, Token)], at: &mut usize) -> Named {
    let line = tokens[*at].0;
    let mut words = Vec::new();
    while let Some((_, Token::Word(word))) = tokens.get(*at) {
        words.push(word.clone());
        *at += 1;
        let goes_on = matches!(tokens.get(*at), Some((_, Token::Step)))
            && matches!(tokens.get(*at + 1), Some((_, Token::Word(_))));
        if !goes_on {
            break;
        }
        *at += 1;
    }
    Named { line, words }
}

/// One branch of a `use` tree, `prefix` being what leads to it.
fn open_tree(tokens: &[(usize, Token)], at: &mut usize, prefix: &mut Vec<String>, named: &mut Vec<Named>) {
    let depth = prefix.len();
    let mut line = tokens.get(*at).map_or(0, |token| token.0);
    loop {
        match tokens.get(*at) {
            Some((here, Token::Word(word))) if word == "as" => {
                line = *here;
                *at += 2;
            }
            Some((here, Token::Word(word))) => {
                line = *here;
                prefix.push(word.clone());
                *at += 1;
            }
            Some((_, Token::Step)) => *at += 1,
            Some((here, Token::Other(b'*'))) => {
                line = *here;
                prefix.push("*".to_owned());
                *at += 1;
            }
            Some((_, Token::Open)) => {
                *at += 1;
                while !matches!(tokens.get(*at), Some((_, Token::Close)) | None) {
                    open_tree(tokens, at, prefix, named);
                    if matches!(tokens.get(*at), Some((_, Token::Comma))) {
                        *at += 1;
                    }
                }
                *at += 1;
                prefix.truncate(depth);
                return;
            }
            Some((_, Token::Close | Token::Comma | Token::Other(_))) | None => break,
        }
    }
    if prefix.len() > depth {
        named.push(Named { line, words: prefix.clone() });
    } else {
        *at += 1;
    }
    prefix.truncate(depth);
}

fn tokens(source: &Source) -> Vec<(usize, Token)> {
    let bytes = source.code.as_bytes();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < bytes.len() {
        let begin = at;
        at += 1;
        let token = match bytes[begin] {
            b'\n' => {
                line += 1;
                continue;
            }
            b' ' | b'\t' | b'\r' => continue,
            b':' if bytes.get(at) == Some(&b':') => {
                at += 1;
                Token::Step
            }
            // The characters that are quoted were blanked: what is left are lifetimes.
            b'\'' => {
                at += bytes[at..].iter().take_while(|byte| is_word_byte(**byte)).count();
                continue;
            }
            b'{' => Token::Open,
            b'}' => Token::Close,
            b',' => Token::Comma,
            byte if is_word_byte(byte) => {
                at += bytes[at..].iter().take_while(|byte| is_word_byte(**byte)).count();
                Token::Word(source.code[begin..at].to_owned())
            }
            byte => Token::Other(byte),
        };
        tokens.push((line, token));
    }
    tokens
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[test]
fn trees_of_use_are_opened() {
    let source = Source::new(
        "x.rs",
        "use std::{fs, net::{self, TcpStream as T}};\nuse a::*;\nfn f(x: b::C) -> D { e::f::<g::H>() }\n",
    );

    let named: Vec<(usize, String)> = named(&source).into_iter().map(|n| (n.line, n.words.join("::"))).collect();

    let expected =
        ["1 std::fs", "1 std::net::self", "1 std::net::TcpStream", "2 a::*", "3 fn", "3 f", "3 x", "3 b::C", "3 D"];
    let shown: Vec<String> = named.iter().map(|(line, words)| format!("{line} {words}")).collect();
    assert_eq!(shown[..9], expected);
    assert_eq!(shown[9..], ["3 e::f", "3 g::H"]);
}
