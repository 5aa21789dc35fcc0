//! What lives for `'static` as the library wants it, and no longer than one run: tests of many runs would fill the memory with it.

use std::any::Any;
use std::cell::RefCell;

thread_local! {
    /// What was lent to the run on this thread; nothing where what is lent is never taken back.
    static LENT: RefCell<Option<Vec<*mut dyn Any>>> = const { RefCell::new(None) };
}

/// For ever, or to the end of the run that is [`on_loan`].
pub(crate) fn lend<T: 'static>(value: T) -> &'static mut T {
    let lent = Box::into_raw(Box::new(value));
    LENT.with_borrow_mut(|all| {
        if let Some(all) = all {
            all.push(lent);
        }
    });
    // SAFETY: fresh from a box, which nobody else knows until it is taken back.
    unsafe { &mut *lent }
}

/// Takes back what is lent to this run, the latest first. One that panics keeps it.
///
/// # Safety
/// The run leaves nothing behind that it was lent, nor what refers to it.
pub(crate) unsafe fn on_loan<R>(run: impl FnOnce() -> R) -> R {
    let outer = LENT.replace(Some(Vec::new()));
    let result = run();
    let lent = LENT.replace(outer);
    for lent in lent.into_iter().flatten().rev() {
        // SAFETY: from a box, once, and nobody refers to it any more, as the caller says.
        drop(unsafe { Box::from_raw(lent) });
    }
    result
}
