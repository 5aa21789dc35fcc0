//! Which entries an invalidation is bound to remove. Whatever it may remove beside that stays.

use super::entry::{Entry, Regime, Says, Tag};
use super::power::PowerScope;

/// Which entries an invalidation is bound to remove.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Every entry of every regime.
    Everything,
    /// Every entry of one regime.
    Regime(Regime),
    /// Entries of one ASID; global ones stay.
    Asid(Regime, u32),
    /// Entries by address.
    Addresses(Addresses),
    /// What the instructions of x86-64 remove.
    X86(X86Scope),
    /// What the invalidations of POWER remove.
    Power(PowerScope),
}

/// What one instruction of x86-64 is bound to remove. Whatever it may remove beside that stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct X86Scope {
    /// Nothing: of every PCID. Global entries have none.
    pub(crate) pcid: Option<u32>,
    /// Nothing: at every address.
    pub(crate) pages: Option<Pages>,
    pub(crate) globals: bool,
    pub(crate) walk_caches: WalkCaches,
}

/// Addresses that are a stride apart: each removes what translates it, whatever its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) stride: u64,
}

/// Which walk caches of the PCID go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WalkCaches {
    None,
    /// Those that translate one of the addresses.
    OfPages,
    All,
}

impl Pages {
    fn meet(&self, first: u64, last: u64) -> bool {
        let mut all = (0..self.count).map(|n| self.first.wrapping_add(n * self.stride));
        all.any(|va| first <= va && va <= last)
    }

    fn hit(&self, entry: &Entry) -> bool {
        let mut all = (0..self.count).map(|n| self.first.wrapping_add(n * self.stride));
        all.any(|va| entry.va <= va && va <= entry.last())
    }
}

impl X86Scope {
    fn covers(&self, entry: &Entry) -> bool {
        let of_pcid = self.pcid.is_none_or(|pcid| pcid == entry.context.asid);
        let of_pages = self.pages.is_none_or(|pages| pages.hit(entry));
        let goes = match (entry.says, self.walk_caches) {
            (Says::Leaf(_), _) if entry.global => self.globals && of_pages,
            (Says::Leaf(_), _) => of_pcid && of_pages,
            (Says::Table(_), WalkCaches::None) => false,
            (Says::Table(_), WalkCaches::OfPages) => of_pcid && of_pages,
            (Says::Table(_), WalkCaches::All) => of_pcid,
        };
        entry.context.regime == Regime::X86 && goes
    }

    fn touches(&self, tag: &Tag, first: u64, last: u64) -> bool {
        let of_pcid = self.globals || self.pcid.is_none_or(|pcid| pcid == tag.asid);
        let is_there = self.pages.is_none_or(|pages| pages.meet(first, last));
        tag.regime == Regime::X86 && of_pcid && is_there
    }
}

/// An invalidation by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Addresses {
    pub(crate) regime: Regime,
    /// Nothing: of every ASID.
    pub(crate) asid: Option<u32>,
    pub(crate) first: u64,
    /// The last byte.
    pub(crate) last: u64,
    /// Walk caches stay.
    pub(crate) leaf_only: bool,
    /// The level hint. Leaf entries of other levels stay, and so do tables that no leaf of that level hangs under.
    pub(crate) level: Option<i8>,
    /// Pages of which a part alone lies in the range stay.
    pub(crate) whole: bool,
}

impl Addresses {
    fn covers(&self, entry: &Entry) -> bool {
        let tag = entry.context.regime == self.regime
            && (entry.global || self.asid.is_none_or(|asid| asid == entry.context.asid));
        tag && entry.va <= self.last
            && self.first <= entry.last()
            && self.is_large_enough_for(entry)
            && self.reaches(entry)
    }

    fn includes(&self, other: &Self) -> bool {
        self.regime == other.regime
            && self.asid.is_none_or(|asid| other.asid == Some(asid))
            && self.first <= other.first
            && other.last <= self.last
            && (!self.leaf_only || other.leaf_only)
            && self.level.is_none_or(|level| other.level == Some(level))
            && (!self.whole || other.whole)
    }

    fn is_large_enough_for(&self, entry: &Entry) -> bool {
        let is_within = self.first <= entry.va && entry.last() <= self.last;
        !self.whole || is_within || matches!(entry.says, Says::Table(_))
    }

    fn reaches(&self, entry: &Entry) -> bool {
        let level = entry.from.level;
        match entry.says {
            Says::Leaf(_) => self.level.is_none_or(|hint| hint == level),
            Says::Table(_) => !self.leaf_only && self.level.is_none_or(|hint| level < hint),
        }
    }
}

impl Scope {
    pub(crate) fn covers(&self, entry: &Entry) -> bool {
        match self {
            Self::Everything => true,
            Self::Regime(regime) => entry.context.regime == *regime,
            Self::Asid(regime, asid) => {
                entry.context.regime == *regime && entry.context.asid == *asid && !entry.global
            }
            Self::Addresses(addresses) => addresses.covers(entry),
            Self::X86(scope) => scope.covers(entry),
            Self::Power(scope) => scope.covers(entry),
        }
    }

    /// Whether some entry under this tag, of an address in `[first, last]`, has to go.
    pub(crate) fn touches(&self, tag: &Tag, first: u64, last: u64) -> bool {
        match self {
            Self::Everything => true,
            Self::Regime(regime) => tag.regime == *regime,
            Self::Asid(regime, asid) => tag.regime == *regime && tag.asid == *asid,
            Self::Addresses(addresses) => {
                let is_tagged = addresses.asid.is_none_or(|asid| asid == tag.asid);
                let is_there = addresses.first <= last && first <= addresses.last;
                tag.regime == addresses.regime && is_tagged && is_there
            }
            Self::X86(scope) => scope.touches(tag, first, last),
            Self::Power(scope) => scope.touches(tag, first, last),
        }
    }

    /// Whether everything goes that the other removes, as far as can be seen from both.
    pub(crate) fn includes(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::Regime(regime), Self::Regime(of) | Self::Asid(of, _)) => regime == of,
            (Self::Regime(regime), Self::Addresses(other)) => *regime == other.regime,
            (Self::Asid(regime, asid), Self::Addresses(other)) => {
                *regime == other.regime && other.asid == Some(*asid)
            }
            (Self::Addresses(one), Self::Addresses(other)) => one.includes(other),
            _ => self == other,
        }
    }
}
