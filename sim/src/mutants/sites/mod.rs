//! What could be changed in a file of production code.
//!
//! Left out is what no simulation could judge: tests, patterns, types, constants (they are the same whatever is switched
//! on while the program runs), what macros are given (it is no syntax yet), logging, and how something is shown.
//!
//! `walk` finds the places, `forms` and `functions` say what may stand there, `syntax` answers questions about the code.

mod forms;
mod functions;
mod syntax;
#[cfg(test)]
mod tests;
mod walk;

use std::ops::Range;

use syn::spanned::Spanned;
use syn::visit::Visit;
use syn::{Block, Expr, ExprLit, Signature, Stmt};

use super::{Kind, Mutation, Splice};
use syntax::{awaited, has_let, is_call, one_line, only_says};

/// How a planted bug is asked for: what depends on it is no production code.
const PLANTED: &str = "planted!(";

/// Every mutation of a file, in the order in which they are met.
///
/// # Errors
///
/// If the text is no Rust.
pub fn of_file(file: &str, text: &str) -> syn::Result<Vec<Mutation>> {
    let parsed = syn::parse_file(text)?;
    let mut sites = Sites { file, text, owner: String::new(), function: String::new(), found: Vec::new() };
    sites.visit_file(&parsed);
    Ok(sites.found)
}

/// Walks a file and collects mutations.
struct Sites<'a> {
    file: &'a str,
    text: &'a str,
    /// The type or trait whose functions are visited.
    owner: String,
    /// The function that is visited; empty outside of any.
    function: String,
    found: Vec<Mutation>,
}

impl<'a> Sites<'a> {
    fn text(&self, part: &impl Spanned) -> &'a str {
        &self.text[part.span().byte_range()]
    }

    fn is_planted(&self, part: &impl Spanned) -> bool {
        self.text(part).contains(PLANTED)
    }

    fn is_conditional(&self, part: &impl Spanned) -> bool {
        self.text(part).starts_with("#[cfg")
    }

    /// Notes a mutation of a part of the text. `after` is what people see, the rest what is compiled.
    fn add(&mut self, kind: Kind, part: &impl Spanned, after: &str, opening: &str, closing: &str) {
        let line = part.span().start().line;
        self.add_at(kind, line, part.span().byte_range(), (self.text(part), after), (opening, closing));
    }

    fn add_at(
        &mut self,
        kind: Kind,
        line: usize,
        range: Range<usize>,
        (before, after): (&str, &str),
        (opening, closing): (&str, &str),
    ) {
        if self.function.is_empty() || before.contains(PLANTED) {
            return;
        }
        self.found.push(Mutation {
            file: self.file.to_owned(),
            line,
            function: self.function.clone(),
            kind,
            before: one_line(before),
            after: one_line(after),
            splice: Splice { range, opening: opening.to_owned(), closing: closing.to_owned() },
        });
    }

    /// Another expression in the place of this one. `shown` is what people see, `code` what is compiled.
    fn replace(&mut self, kind: Kind, part: &impl Spanned, shown: &str, code: &str) {
        let closing = format!(" {{ {code} }} else {{ {} }})", self.text(part));
        self.add(kind, part, shown, "(if ", &closing);
    }

    /// A number that is greater or smaller by one. People see the whole line: a number by itself says nothing, and there
    /// may be several of them in a function.
    fn off_by_one(&mut self, literal: &ExprLit, change: &str) {
        let range = literal.span().byte_range();
        let begin = self.text[..range.start].rfind('\n').map_or(0, |end| end + 1);
        let end = self.text[range.end..].find('\n').map_or(self.text.len(), |length| range.end + length);
        let (number, rest) = (&self.text[range.clone()], &self.text[range.end..end]);
        let before = &self.text[begin..end];
        let after = format!("{}({number} {change}){rest}", &self.text[begin..range.start]);
        let closing = format!(" {{ {number} {change} }} else {{ {number} }})");
        let line = literal.span().start().line;
        self.add_at(Kind::Arithmetic, line, range, (before, &after), ("(if ", &closing));
    }

    /// Another statement in the place of this one, or none.
    fn instead(&mut self, kind: Kind, statement: &Stmt, other: &str) {
        let closing = format!(" {{ {other} }} else {{ {} }}", self.text(statement));
        self.add(kind, statement, other, "if ", &closing);
    }

    /// A condition that never holds.
    fn never(&mut self, condition: &Expr) {
        let text = self.text(condition);
        // What binds names cannot stand in parentheses, and has no `||` outside of them.
        let closing = if has_let(condition) { format!(") && {text}") } else { format!(") && ({text})") };
        self.add(Kind::RemovedGuard, condition, "false", "(!", &closing);
    }

    /// A condition that never holds, always holds, or holds when it should not.
    fn guard(&mut self, condition: &Expr) {
        if self.is_planted(condition) {
            return;
        }
        self.never(condition);
        if !has_let(condition) {
            self.replace(Kind::RemovedGuard, condition, "true", "true");
            let negated = format!("!({})", self.text(condition));
            self.replace(Kind::Logic, condition, &negated, &negated);
        }
    }

    /// A call with two arguments in the place of each other.
    fn swap<'e>(&mut self, call: &impl Spanned, arguments: impl Iterator<Item = &'e Expr>) {
        let arguments: Vec<&Expr> = arguments.collect();
        let whole = call.span().byte_range();
        for (place, one) in arguments.iter().enumerate() {
            for other in &arguments[place + 1..] {
                if forms::look_alike(one, other) && self.text(one) != self.text(other) {
                    let (first, second) = (one.span().byte_range(), other.span().byte_range());
                    let swapped = [
                        &self.text[whole.start..first.start],
                        self.text(other),
                        &self.text[first.end..second.start],
                        self.text(one),
                        &self.text[second.end..whole.end],
                    ];
                    let swapped = swapped.concat();
                    self.replace(Kind::SwappedArguments, call, &swapped, &swapped);
                }
            }
        }
    }

    /// A call whose value nobody uses, left out or not awaited.
    fn discard(&mut self, statement: &Stmt, expression: &Expr) {
        if self.is_conditional(statement) {
            return;
        }
        if is_call(expression) {
            self.instead(Kind::DroppedCall, statement, "");
        }
        if let Some(future) = awaited(expression) {
            let lost = format!("drop({});", self.text(future));
            self.instead(Kind::LostAwait, statement, &lost);
        }
    }

    /// A function: what it could return at once, and everything in it.
    fn function(&mut self, signature: &Signature, block: &Block) {
        if signature.constness.is_some() || signature.ident == "fmt" {
            return;
        }
        let name = match self.owner.as_str() {
            "" => signature.ident.to_string(),
            owner => format!("{owner}::{}", signature.ident),
        };
        let outside = std::mem::replace(&mut self.function, name);
        let returned = functions::returns(&signature.output);
        for (kind, statement) in &returned {
            self.return_at_once(*kind, statement, signature, block);
        }
        let has_no_value = returned == [(Kind::EarlyReturn, "return;")];
        if let Some(last @ Stmt::Expr(expression, None)) = block.stmts.last().filter(|_| has_no_value) {
            self.discard(last, expression);
        }
        self.visit_block(block);
        self.function = outside;
    }

    fn return_at_once(&mut self, kind: Kind, statement: &str, signature: &Signature, block: &Block) {
        let whole = self.text(block);
        let inside = whole.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(whole);
        let is_the_same = format!("return {};", inside.trim()) == statement;
        if is_the_same || only_says(block) {
            return;
        }
        let (begin, line) = (block.span().byte_range().start + 1, signature.ident.span().start().line);
        let code = (" if ", format!(" {{ {statement} }} "));
        self.add_at(kind, line, begin..begin, (self.text(signature), statement), (code.0, &code.1));
    }
}
