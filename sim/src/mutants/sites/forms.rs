//! What is written in the place of one expression.

use syn::{BinOp, Expr, Lit};

use super::super::Kind;

/// Other operators that may compile in the place of this one.
#[allow(clippy::wildcard_enum_match_arm, reason = "no other one has a counterpart")]
pub(super) fn operators(operator: &BinOp) -> (Kind, &'static [&'static str]) {
    match operator {
        BinOp::Lt(_) => (Kind::Comparison, &["<=", ">="]),
        BinOp::Le(_) => (Kind::Comparison, &["<", ">"]),
        BinOp::Gt(_) => (Kind::Comparison, &[">=", "<="]),
        BinOp::Ge(_) => (Kind::Comparison, &[">", "<"]),
        BinOp::Eq(_) => (Kind::Comparison, &["!="]),
        BinOp::Ne(_) => (Kind::Comparison, &["=="]),
        BinOp::And(_) => (Kind::Logic, &["||"]),
        BinOp::Or(_) => (Kind::Logic, &["&&"]),
        BinOp::Add(_) => (Kind::Arithmetic, &["-"]),
        BinOp::Sub(_) => (Kind::Arithmetic, &["+"]),
        BinOp::Mul(_) => (Kind::Arithmetic, &["+"]),
        BinOp::Div(_) => (Kind::Arithmetic, &["*"]),
        BinOp::Rem(_) => (Kind::Arithmetic, &["/"]),
        BinOp::BitAnd(_) => (Kind::Arithmetic, &["|"]),
        BinOp::BitOr(_) => (Kind::Arithmetic, &["&"]),
        BinOp::AddAssign(_) => (Kind::Arithmetic, &["-="]),
        BinOp::SubAssign(_) => (Kind::Arithmetic, &["+="]),
        _ => (Kind::Arithmetic, &[]),
    }
}

/// Methods that are the opposite of each other.
const METHODS: [(Kind, &str, &str); 8] = [
    (Kind::Arithmetic, "saturating_add", "saturating_sub"),
    (Kind::Arithmetic, "checked_add", "checked_sub"),
    (Kind::Arithmetic, "wrapping_add", "wrapping_sub"),
    (Kind::Arithmetic, "min", "max"),
    (Kind::Logic, "is_some", "is_none"),
    (Kind::Logic, "is_ok", "is_err"),
    (Kind::Logic, "is_some_and", "is_none_or"),
    (Kind::Logic, "any", "all"),
];

/// The method that does the opposite, if there is one.
pub(super) fn opposite(method: &str) -> Option<(Kind, &'static str)> {
    METHODS.iter().find_map(|(kind, one, other)| {
        let opposite = if *one == method { Some(*other) } else { (*other == method).then_some(*one) };
        Some((*kind, opposite?))
    })
}

/// Whether two arguments look alike, so that it is worth trying whether the types allow to exchange them.
pub(super) fn look_alike(one: &Expr, other: &Expr) -> bool {
    matches!((shape(one), shape(other)), (Some(one), Some(other)) if one == other)
}

/// What an argument looks like: how it is borrowed, and what of.
#[allow(clippy::wildcard_enum_match_arm, reason = "everything else is owned")]
fn shape(argument: &Expr) -> Option<(&'static str, &'static str)> {
    match argument {
        Expr::Reference(reference) => {
            let borrowed = if reference.mutability.is_some() { "&mut" } else { "&" };
            plain(&reference.expr).map(|kind| (borrowed, kind))
        }
        owned => plain(owned).map(|kind| ("", kind)),
    }
}

/// What is borrowed or owned, if it is simple.
#[allow(clippy::wildcard_enum_match_arm, reason = "everything else is not simple")]
fn plain(argument: &Expr) -> Option<&'static str> {
    match argument {
        Expr::Path(_) | Expr::Field(_) => Some("a name"),
        Expr::MethodCall(_) => Some("a call"),
        Expr::Lit(literal) => Some(match literal.lit {
            Lit::Int(_) => "a number",
            Lit::Str(_) => "a text",
            _ => return None,
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opposites_go_both_ways() {
        assert_eq!(opposite("min"), Some((Kind::Arithmetic, "max")));
        assert_eq!(opposite("max"), Some((Kind::Arithmetic, "min")));
        assert_eq!(opposite("all"), Some((Kind::Logic, "any")));
        assert_eq!(opposite("push"), None);
    }

    #[test]
    fn only_arguments_that_look_alike_are_exchanged() {
        let alike = |one: &str, other: &str| {
            let [one, other] = [one, other].map(|text| syn::parse_str(text).expect("an expression"));
            look_alike(&one, &other)
        };

        assert!(alike("from", "self.to"));
        assert!(alike("&from", "&self.to"));
        assert!(alike("a.clone()", "b.c()"));
        assert!(!alike("&from", "to"));
        assert!(!alike("&mut from", "&to"));
        assert!(!alike("1", "\"1\""));
        assert!(!alike("|x| x", "|y| y"));
    }
}
