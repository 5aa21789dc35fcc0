//! Mistakes that kernels and drivers have made, each of which can be put back: the proof that a test would notice it.
//!
//! In an ordinary build nothing can be put back: [`Defect::is_put_back`] is `false` when it is compiled, and nothing is left of the
//! places that ask. Under `--cfg tlb_defects` the variable `TLB_DEFECT` names the one that is put back, for the whole process.
//! `cargo xtask mutants` goes through all of them.

mod list;
#[cfg(tlb_defects)]
mod selected;

pub(crate) use list::Defect;

use crate::flush::Depth;
use crate::secondary::Full;

impl Defect {
    /// Whether the library is to make this mistake.
    #[cfg(not(tlb_defects))]
    #[inline(always)]
    pub(crate) const fn is_put_back(self) -> bool {
        let _ = self;
        false
    }

    /// Of the depth leaf entries alone, where the mistake is put back.
    #[inline(always)]
    pub(crate) fn flattens(self, depth: Depth) -> Depth {
        if self.is_put_back() {
            Depth::Leaf
        } else {
            depth
        }
    }

    /// What has no room, as if it had been taken, where the mistake is put back.
    #[inline(always)]
    pub(crate) fn swallows(self, queued: Result<(), Full>) -> Result<(), Full> {
        if queued.is_err() && self.is_put_back() {
            Ok(())
        } else {
            queued
        }
    }

    /// The word, with these bits the other way round where the mistake is put back.
    #[inline(always)]
    pub(crate) fn flips(self, bits: u64, word: u64) -> u64 {
        if self.is_put_back() {
            word ^ bits
        } else {
            word
        }
    }

    /// Asks, while `locked` holds what must be open then, where the mistake is put back.
    #[inline(always)]
    pub(crate) fn asks_under(
        self,
        ask: &mut dyn FnMut() -> bool,
        locked: impl FnOnce(&mut dyn FnMut() -> bool) -> bool,
    ) -> bool {
        if self.is_put_back() {
            locked(ask)
        } else {
            ask()
        }
    }

    /// The word, without these bits where the mistake is put back.
    #[inline(always)]
    pub(crate) fn clears(self, bits: u64, word: u64) -> u64 {
        if self.is_put_back() {
            word & !bits
        } else {
            word
        }
    }

    /// The word, with these bits where the mistake is put back.
    #[inline(always)]
    pub(crate) fn sets(self, bits: u64, word: u64) -> u64 {
        if self.is_put_back() {
            word | bits
        } else {
            word
        }
    }
}
