//! Questions about code.

use syn::{BinOp, Block, Expr, Macro, Stmt};

/// Macros that say something to people or to the simulator, or make sure of something, and change nothing.
const SAYING: [&str; 12] = [
    "sometimes",
    "trace",
    "debug",
    "info",
    "warn",
    "error",
    "assert",
    "assert_eq",
    "assert_ne",
    "debug_assert",
    "debug_assert_eq",
    "debug_assert_ne",
];

/// Whether a condition binds names: `let Some(x) = y && z`.
pub(super) fn has_let(condition: &Expr) -> bool {
    if let Expr::Binary(binary) = condition {
        return matches!(binary.op, BinOp::And(_)) && (has_let(&binary.left) || has_let(&binary.right));
    }
    matches!(condition, Expr::Let(_))
}

/// Whether an expression is a call, perhaps an awaited one, or one that hands errors on.
pub(super) fn is_call(expression: &Expr) -> bool {
    if let Expr::Try(tried) = expression {
        return is_call(&tried.expr);
    }
    if let Expr::Await(awaited) = expression {
        return is_call(&awaited.base);
    }
    matches!(expression, Expr::Call(_) | Expr::MethodCall(_))
}

/// The future of an expression that does nothing but await it, and hand its error on.
pub(super) fn awaited(expression: &Expr) -> Option<&Expr> {
    if let Expr::Try(tried) = expression {
        return awaited(&tried.expr);
    }
    if let Expr::Await(awaited) = expression { Some(&awaited.base) } else { None }
}

/// Whether a block does nothing but say something.
pub(super) fn only_says(block: &Block) -> bool {
    block.stmts.iter().all(|statement| match statement {
        Stmt::Macro(statement) => is_saying(&statement.mac),
        Stmt::Expr(Expr::Macro(expression), _) => is_saying(&expression.mac),
        Stmt::Expr(..) | Stmt::Local(_) | Stmt::Item(_) => false,
    })
}

fn is_saying(called: &Macro) -> bool {
    called.path.segments.last().is_some_and(|name| SAYING.iter().any(|says| name.ident == says))
}

/// A text with each run of white space as one space.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
