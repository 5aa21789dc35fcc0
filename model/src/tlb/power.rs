//! What the invalidations of POWER are bound to remove, whoever asks: a CPU, a hypervisor, or a link's registers.

use super::{Context, Entry, Regime, Says, Tag};
use crate::memory::Format;
use crate::memory::radix::Base;
use crate::memory::walk::Start;

/// What one invalidation is bound to remove. Whatever it may remove beside that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PowerScope {
    /// Nothing: of every PID.
    pub(crate) pid: Option<u32>,
    pub(crate) reach: Reach,
    pub(crate) translations: bool,
    pub(crate) walk_caches: bool,
    /// What is remembered of the process table, that is, where the PID's tree begins.
    pub(crate) process_table: bool,
}

/// Where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    Everywhere,
    /// One congruence class of the TLB; page-walk caches are class 0 alone.
    Set(u64),
    /// Entries of exactly this size (log2) with an address in the range; page-walk caches that lead there.
    Pages {
        first: u64,
        last: u64,
        shift: u8,
    },
}

/// How many congruence classes a POWER9's TLB has for radix entries (POWER9 User Manual, "TLB"; Linux' `POWER9_TLB_SETS_RADIX`).
pub(crate) const SETS: u64 = 128;

impl Context {
    /// The radix tree of a process.
    pub(crate) const fn of_process(pid: u32, root: u64, pages_64k: bool) -> Self {
        let base = if pages_64k { Base::Kib64 } else { Base::Kib4 };
        Self {
            regime: Regime::Power,
            asid: pid,
            private: false,
            root: Start {
                format: Format::Radix(base),
                level: 0,
                table: root,
            },
        }
    }
}

impl PowerScope {
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        let is_its_kind = match entry.says {
            Says::Leaf(_) => self.translations,
            Says::Table(_) => self.walk_caches,
        };
        entry.context.regime == Regime::Power
            && self.is_about(entry.context.asid)
            && is_its_kind
            && self.reach.hits(entry)
    }

    pub(super) fn touches(&self, tag: &Tag, first: u64, last: u64) -> bool {
        let is_there = match self.reach {
            Reach::Everywhere | Reach::Set(_) => true,
            Reach::Pages {
                first: from,
                last: to,
                ..
            } => from <= last && first <= to,
        };
        tag.regime == Regime::Power && self.is_about(tag.asid) && is_there
    }

    pub(crate) fn is_about(&self, pid: u32) -> bool {
        self.pid.is_none_or(|about| about == pid)
    }
}

impl Reach {
    fn hits(&self, entry: &Entry) -> bool {
        let is_leaf = matches!(entry.says, Says::Leaf(_));
        match *self {
            Self::Everywhere => true,
            Self::Set(set) if is_leaf => (entry.va >> entry.shift) % SETS == set,
            Self::Set(set) => set == 0,
            Self::Pages { first, last, shift } => {
                let is_its_size = !is_leaf || entry.shift == shift;
                is_its_size && entry.va <= last && first <= entry.last()
            }
        }
    }
}
