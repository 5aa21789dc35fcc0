//! Which CPU the calling thread is.

#[cfg(feature = "std")]
mod per_thread {
    use core::cell::Cell;

    std::thread_local! {
        static CURRENT: Cell<usize> = const { Cell::new(0) };
    }

    pub(crate) fn set(cpu: usize) {
        CURRENT.set(cpu);
    }

    pub(crate) fn get() -> usize {
        CURRENT.get()
    }
}

#[cfg(not(feature = "std"))]
mod single {
    use core::sync::atomic::{AtomicUsize, Ordering};

    static CURRENT: AtomicUsize = AtomicUsize::new(0);

    pub(crate) fn set(cpu: usize) {
        CURRENT.store(cpu, Ordering::Relaxed);
    }

    pub(crate) fn get() -> usize {
        CURRENT.load(Ordering::Relaxed)
    }
}

#[cfg(feature = "std")]
pub(crate) use per_thread::{get, set};
#[cfg(not(feature = "std"))]
pub(crate) use single::{get, set};
