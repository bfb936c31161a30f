//! What a panic in a simulated node says: a violation with the name of the node, never the end of everything.
//!
//! A runtime in which a task panics says no more than that one did, or nothing at all if nobody waits for the task; so the
//! words are noted where the panic begins. The process of a real node ends there, and so does that of a simulated one.

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::{Arc, Once};

use crate::trace::host;

thread_local! {
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
    /// Hosts in which there was a panic that has not ended their process yet.
    static PANICKED: RefCell<BTreeSet<Arc<str>>> = const { RefCell::new(BTreeSet::new()) };
}

static HOOK: Once = Once::new();

/// Runs something of which a panic in any of its tasks is an answer: who panicked first, with which words, and where.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            before(info);
        }));
    });
    NOTED.take();
    PANICKED.take();
    let ran = panic::catch_unwind(AssertUnwindSafe(run));
    match (ran, NOTED.take()) {
        (Ok(ran), None) => Ok(ran),
        (Ok(_) | Err(_), Some(words)) => Err(words),
        (Err(panic), None) => Err(words_of(&*panic)),
    }
}

/// Whether there was a panic in the process of this host, of which it ends.
pub(super) fn has_panicked(host: &str) -> bool {
    PANICKED.with_borrow_mut(|hosts| hosts.remove(host))
}

/// Notes the first panic: those that follow come of it.
fn note(info: &PanicHookInfo<'_>) {
    let host = host::current();
    PANICKED.with_borrow_mut(|hosts| hosts.extend(host.clone()));
    let who = host.map_or_else(|| "the world".to_owned(), |host| host.to_string());
    let place = info.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
    let text = format!("a panic in {who}: {}{place}", words_of(info.payload()));
    NOTED.with_borrow_mut(|noted| {
        noted.get_or_insert(text);
    });
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without words".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_with_its_place() {
        let told = caught(|| panic!("it is {}", 7)).expect_err("it panics");

        assert!(told.starts_with("a panic in the world: it is 7 (") && told.contains("panics.rs"), "{told}");
        assert_eq!(caught(|| 7), Ok(7));
    }

    #[test]
    fn a_panic_that_nobody_waits_for_is_told_all_the_same() {
        let told = caught(|| panic::catch_unwind(|| panic!("unseen")).is_err()).expect_err("a task panicked");

        assert!(told.contains("unseen"), "{told}");
    }
}
