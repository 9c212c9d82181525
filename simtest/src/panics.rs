//! Panics of nodes and judges: caught with their place, and not printed where many runs are made.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// How many [`caught`] are under way.
    static CAUGHT: Cell<u32> = const { Cell::new(0) };
    /// How many [`Quiet`] there are.
    static QUIET: Cell<u32> = const { Cell::new(0) };
    /// Where the latest panic was.
    static PLACE: RefCell<String> = const { RefCell::new(String::new()) };
}

/// As long as it lives, nothing is printed of panics on this thread that are [`caught`].
pub(crate) struct Quiet(());

impl Quiet {
    pub(crate) fn begin() -> Self {
        QUIET.set(QUIET.get() + 1);
        Self(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(QUIET.get() - 1);
    }
}

/// Runs `act`; `Err` is the message of a panic, and its place.
pub(crate) fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |info| {
            if CAUGHT.get() > 0 {
                PLACE.set(info.location().map(ToString::to_string).unwrap_or_default());
                if QUIET.get() > 0 {
                    return;
                }
            }
            before(info);
        }));
    });
    CAUGHT.set(CAUGHT.get() + 1);
    PLACE.take();
    let result = catch_unwind(AssertUnwindSafe(act));
    CAUGHT.set(CAUGHT.get() - 1);
    result.map_err(|panic| {
        let place = PLACE.take();
        let message = message(&*panic);
        if place.is_empty() { message.to_owned() } else { format!("{message} ({place})") }
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_its_message_and_its_place() {
        let _quiet = Quiet::begin();
        let why = caught(|| assert_eq!(6, 7, "{} went wrong", 7)).unwrap_err();
        assert!(why.contains("7 went wrong\n") && why.contains("panics.rs:"), "{why}");
        assert_eq!(caught(|| 5), Ok(5));
    }
}
