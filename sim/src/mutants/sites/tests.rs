use super::super::{Kind, Mutation};
use super::of_file;

fn found(text: &str) -> Vec<Mutation> {
    of_file("core/src/a.rs", text).expect("Rust")
}

/// `before -> after` of each mutation of a kind in the body of a function.
fn of_kind(kind: Kind, body: &str) -> Vec<String> {
    let found = found(&format!("impl A {{ fn f(&self) -> Unknown {{ {body} }} }}"));
    let of_kind = found.into_iter().filter(|mutation| mutation.kind == kind);
    of_kind.map(|mutation| format!("{} -> {}", mutation.before, mutation.after)).collect()
}

#[test]
fn a_comparison_becomes_another_one() {
    assert_eq!(of_kind(Kind::Comparison, "a < self.b"), ["a < self.b -> a <= self.b", "a < self.b -> a >= self.b"]);
    assert_eq!(of_kind(Kind::Comparison, "a == b"), ["a == b -> a != b"]);
}

#[test]
fn arithmetic_becomes_other_arithmetic() {
    assert_eq!(of_kind(Kind::Arithmetic, "a + b"), ["a + b -> a - b"]);
    assert_eq!(of_kind(Kind::Arithmetic, "a -= b;"), ["a -= b -> a += b"]);
    assert_eq!(of_kind(Kind::Arithmetic, "\n f(0) \n"), ["f(0) -> f((0 + 1))"]);
    assert_eq!(of_kind(Kind::Arithmetic, "\n f(2u8)\n"), ["f(2u8) -> f((2u8 + 1))", "f(2u8) -> f((2u8 - 1))"]);
    assert_eq!(of_kind(Kind::Arithmetic, "a.min(b)"), ["a.min(b) -> a.max(b)"]);
}

#[test]
fn logic_becomes_its_opposite() {
    assert_eq!(of_kind(Kind::Logic, "a && b"), ["a && b -> a || b"]);
    assert_eq!(of_kind(Kind::Logic, "!a"), ["!a -> a"]);
    assert_eq!(of_kind(Kind::Logic, "a.is_some()"), ["a.is_some() -> a.is_none()"]);
    assert_eq!(of_kind(Kind::Logic, "if a { b() }"), ["a -> !(a)"]);
}

#[test]
fn a_call_whose_value_is_not_used_is_dropped() {
    assert_eq!(of_kind(Kind::DroppedCall, "a.b(c); d"), ["a.b(c); -> "]);
    assert_eq!(of_kind(Kind::DroppedCall, "a(b)?; d"), ["a(b)?; -> "]);
    assert_eq!(of_kind(Kind::DroppedCall, "let a = b(); a.c()"), [""; 0]);
    let tail = found("fn f() { a(); b() }").into_iter().filter(|mutation| mutation.kind == Kind::DroppedCall);
    assert_eq!(tail.count(), 2);
}

#[test]
fn an_await_is_lost_if_nobody_uses_its_value() {
    assert_eq!(of_kind(Kind::LostAwait, "a.b().await; c"), ["a.b().await; -> drop(a.b());"]);
    assert_eq!(of_kind(Kind::LostAwait, "a.b().await?; c"), ["a.b().await?; -> drop(a.b());"]);
    assert_eq!(of_kind(Kind::LostAwait, "let a = b().await; a"), [""; 0]);
}

#[test]
fn arguments_that_look_alike_are_swapped() {
    assert_eq!(of_kind(Kind::SwappedArguments, "tell(a, 1, b)"), ["tell(a, 1, b) -> tell(b, 1, a)"]);
    assert_eq!(of_kind(Kind::SwappedArguments, "x.tell(&a, &b.c)"), ["x.tell(&a, &b.c) -> x.tell(&b.c, &a)"]);
    assert_eq!(of_kind(Kind::SwappedArguments, "tell(a, a)"), [""; 0]);
}

#[test]
fn a_guard_is_removed() {
    assert_eq!(of_kind(Kind::RemovedGuard, "if a { b() }"), ["a -> false", "a -> true"]);
    assert_eq!(of_kind(Kind::RemovedGuard, "if let Some(a) = b && c { d() }"), ["let Some(a) = b && c -> false"]);
    assert_eq!(of_kind(Kind::RemovedGuard, "match a { _ if b => c, _ => d }"), ["b -> false", "b -> true"]);
    assert_eq!(of_kind(Kind::RemovedGuard, "while a { b() }"), ["a -> false"]);
}

#[test]
fn a_function_returns_at_once() {
    let shown = |text: &str| -> Vec<(Kind, String)> {
        found(text).into_iter().map(|mutation| (mutation.kind, mutation.after)).collect()
    };

    assert_eq!(shown("fn f() { let a = b; }"), [(Kind::EarlyReturn, "return;".to_owned())]);
    assert_eq!(shown("fn f() -> Option<u8> { self.a }"), [(Kind::Default, "return None;".to_owned())]);
    assert_eq!(shown("fn f() -> Option<u8> { None }"), []);
    assert_eq!(shown("fn f() -> bool { false }"), [(Kind::Default, "return true;".to_owned())]);
}

#[test]
fn what_no_simulation_could_judge_is_left_out() {
    for text in [
        "#[cfg(test)] mod tests { fn f() { g(1 + 2); } }",
        "#[test] fn f() { g(); }",
        "const fn f() -> bool { A < B }",
        "const A: u8 = 1 + 2; static B: u8 = 3; struct C([u8; 4]); enum D { E = 5 }",
        "impl fmt::Display for A { fn fmt(&self) -> Result<(), E> { a(1); } }",
        "fn f() { #[cfg(feature = \"x\")] g(); }",
        "fn f() { debug!(\"{}\", a + 1); assert!(a < b); }",
        "fn f() -> A { if planted!(B) { g(1); } c }",
        "fn f() -> A { if a { sometimes!(\"b\"); } c }",
        "fn f() -> A { let [b, ..] = c; match d { 1..=5 => e, _ => g } }",
    ] {
        let found: Vec<_> = found(text).into_iter().filter(|mutation| mutation.after != "return;").collect();

        assert_eq!(found, [], "{text}");
    }
}

#[test]
fn a_mutation_says_where_it_is() {
    let found = found("\nimpl<T> A<T> {\n    fn f(&self) -> Unknown {\n        a\n            < b\n    }\n}\n");

    let Mutation { file, line, function, before, .. } = &found[0];
    assert_eq!((file.as_str(), *line, function.as_str()), ("core/src/a.rs", 4, "A::f"));
    assert_eq!(before, "a < b");
    assert_eq!(found[0].room(), "core/a");
}
