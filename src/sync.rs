//! The atomics and fences that every protocol of this crate uses: core's, or loom's under `--cfg loom`.

#[cfg(not(loom))]
pub(crate) use core::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};
#[cfg(loom)]
pub(crate) use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

/// Says to loom, which takes SeqCst accesses for AcqRel ones, that those on either side of this have one order with all others.
#[cfg(not(loom))]
pub(crate) const fn order_seq_cst() {}
#[cfg(loom)]
pub(crate) fn order_seq_cst() {
    fence(Ordering::SeqCst);
}

/// How many CPUs have a line of their own for each word of a [`CpuSet`](crate::cpu_set::CpuSet). Loom's models have fewer: it
/// follows every atomic there is.
#[cfg(not(loom))]
pub(crate) const CPUS_PER_WORD: usize = 64;
#[cfg(loom)]
pub(crate) const CPUS_PER_WORD: usize = 3;

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

/// A cell whose accesses loom can see.
#[cfg(loom)]
pub(crate) use loom::cell::UnsafeCell;

/// A cell with the accessors that loom's has.
#[cfg(not(loom))]
pub(crate) struct UnsafeCell<T>(core::cell::UnsafeCell<T>);

#[cfg(not(loom))]
impl<T> UnsafeCell<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self(core::cell::UnsafeCell::new(value))
    }

    pub(crate) fn with<R>(&self, f: impl FnOnce(*const T) -> R) -> R {
        f(self.0.get())
    }

    pub(crate) fn with_mut<R>(&self, f: impl FnOnce(*mut T) -> R) -> R {
        f(self.0.get())
    }
}
