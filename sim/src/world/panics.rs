//! What a panic in a simulated node says: a violation with the name of the node, never the end of everything.
//!
//! A runtime in which a task panics says no more than that one did, so the words are noted where the panic begins.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};
use std::sync::Once;

use crate::trace::host;

thread_local! {
    static NOTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// Runs something of which a panic is an answer: who panicked, with which words, and where.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            note(info);
            before(info);
        }));
    });
    NOTED.take();
    panic::catch_unwind(AssertUnwindSafe(run)).map_err(|panic| NOTED.take().unwrap_or_else(|| words_of(&*panic)))
}

/// Notes the first panic: those that follow come of it.
fn note(info: &PanicHookInfo<'_>) {
    let who = host::current().map_or_else(|| "the world".to_owned(), |host| host.to_string());
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
}
