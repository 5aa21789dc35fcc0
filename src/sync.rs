//! The atomics and fences that every protocol of this crate uses: core's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// A `const fn` that loses its `const` under loom, whose atomics register themselves at run time.
macro_rules! const_unless_loom {
    ($(#[$meta:meta])* $vis:vis const fn $name:ident($($args:tt)*) -> $ret:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$meta])* $vis const fn $name($($args)*) -> $ret $body
        #[cfg(loom)]
        $(#[$meta])* $vis fn $name($($args)*) -> $ret $body
    };
}
pub(crate) use const_unless_loom;

/// An array whose elements are all made by one expression, const outside loom.
#[cfg(not(loom))]
macro_rules! array_of {
    ($len:expr, $element:expr) => {
        [const { $element }; $len]
    };
}
/// An array whose elements are all made by one expression, const outside loom.
#[cfg(loom)]
macro_rules! array_of {
    ($len:expr, $element:expr) => {
        core::array::from_fn::<_, { $len }, _>(|_| $element)
    };
}
pub(crate) use array_of;
