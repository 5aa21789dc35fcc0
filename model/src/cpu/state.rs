//! What one CPU holds: its TLB, its stores under way, and what it has issued and not completed.

use super::{powerpc, x86_64};
use crate::chooser::Chooser;
use crate::memory::descriptor::Leaf;
use crate::memory::walk::Start;
use crate::memory::{Format, Memory, StoreBuffer};
use crate::tlb::{Context, Entry, Regime, Scope, Tlb};
use alloc::vec::Vec;

/// What a CPU has, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuFeatures {
    /// FEAT_TLBIRANGE: without it, range operations are undefined.
    pub range: bool,
    /// FEAT_TTL: without it, the level hint is RES0.
    pub ttl: bool,
    /// The erratum under which completing a broadcast takes a second TLBI and a second `dsb ish`.
    pub repeat_tlbi: bool,
    /// FEAT_BBM, level 2: sizes may change while the entry is live, and entries of two sizes are held at once without harm.
    pub resizes: bool,
}

impl Default for CpuFeatures {
    fn default() -> Self {
        Self {
            range: true,
            ttl: true,
            repeat_tlbi: false,
            resizes: false,
        }
    }
}

/// The domain of a barrier (Arm ARM B2.3.12).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Domain {
    /// Non-shareable: this CPU.
    Non,
    /// Inner shareable: every CPU, and coherent devices.
    Inner,
    /// Outer shareable: every device.
    Outer,
}

/// An invalidation that its CPU has issued and not completed.
#[derive(Clone, Debug)]
pub(super) struct Issued {
    pub(super) scope: Scope,
    /// The CPUs that may still use what it covers.
    pub(super) pending: Vec<usize>,
    pub(super) broadcast: bool,
    /// How many barriers must follow: two under the erratum, the second with a TLBI of its own before it.
    pub(super) barriers: u8,
    /// Nothing relies on it: the erratum's second TLBI, which a barrier separates from the one that it is for.
    pub(super) repeats: bool,
    /// Stores were on their way when it was issued: it may have been performed before they arrived.
    pub(super) overtakes: bool,
}

/// One CPU.
#[derive(Debug, Default)]
pub(crate) struct Cpu {
    pub(crate) features: CpuFeatures,
    pub(crate) tlb: Tlb,
    pub(crate) stores: StoreBuffer,
    /// The registers of an x86-64 CPU; nothing: it is an AArch64 one.
    pub(super) x86: Option<x86_64::State>,
    /// What a POWER CPU has beside; nothing: it is not one.
    pub(super) power: Option<powerpc::State>,
    pub(super) asid: u16,
    pub(super) ttbr0: Option<u64>,
    pub(super) ttbr1: Option<u64>,
    pub(super) issued: Vec<Issued>,
    /// How deep in sections that keep the task here.
    pub(crate) pins: u32,
    /// How deep in sections that keep interrupts off, and the task here as well.
    pub(crate) irqs_off: u32,
    /// A TLBI since the last barrier: what the erratum's second barrier completes.
    pub(super) fresh_tlbi: bool,
    /// It executes nothing, walks nothing and uses nothing.
    pub(crate) is_stopped: bool,
}

impl Cpu {
    pub(crate) fn new(features: CpuFeatures) -> Self {
        Self {
            features,
            ..Self::default()
        }
    }

    pub(crate) fn x86(features: x86_64::CpuFeatures) -> Self {
        Self {
            x86: Some(x86_64::State::new(features)),
            ..Self::default()
        }
    }

    pub(crate) fn power(features: powerpc::CpuFeatures) -> Self {
        Self {
            power: Some(powerpc::State::new(features)),
            ..Self::default()
        }
    }

    /// Every entry that can be used as things are.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &Entry> {
        let beside = self.power.iter().flat_map(powerpc::State::entries);
        self.tlb
            .iter()
            .filter(|entry| self.can_use(entry))
            .chain(beside)
            .filter(|_| !self.is_stopped)
    }

    /// Whether something is cached under an ASID or a PCID that is neither of this tree nor of the kernel's, which is the same under all.
    pub(super) fn holds_of_another(&self, id: u32, root: u64, memory: &Memory) -> bool {
        let mut entries = self.tlb.iter();
        entries.any(|entry| {
            let is_kernels = Some(entry.context.root.table) == self.ttbr1;
            entry.context.asid == id && !is_kernels && !entry.is_of(root, memory)
        })
    }

    /// Whether something is cached under a PID that is not of the tree that begins there.
    pub(super) fn holds_of_pid(&self, pid: u32, root: u64, memory: &Memory) -> bool {
        let beside = self.power.iter().flat_map(powerpc::State::entries);
        let mut entries = self.tlb.iter().chain(beside).filter(|_| !self.is_stopped);
        let reads_old = self.power.iter().any(|power| power.reads_old(pid, root));
        reads_old || entries.any(|entry| entry.context.asid == pid && !entry.is_of(root, memory))
    }

    /// What the CPU has cached for an address: a POWER CPU asks its ERAT first.
    pub(super) fn cached(&self, context: &Context, va: u64) -> Option<(Entry, Leaf)> {
        let erat = self.power.as_ref().map(powerpc::State::erat);
        let in_front = erat.and_then(|erat| erat.leaf(context, va));
        in_front.or_else(|| self.tlb.leaf(context, va))
    }

    /// An access through this entry, which is another space's than the one that runs.
    pub(super) fn is_foreign(&self, entry: &Entry, context: &Context, memory: &Memory) -> bool {
        match &self.power {
            Some(power) => power.is_foreign(entry, memory),
            None => !entry.is_of(context.root.table, memory),
        }
    }

    /// An access faulted: on x86-64 and POWER what it was caused by is gone.
    pub(super) fn drop_faulting(&mut self, va: u64) {
        if let Some(x86) = &self.x86 {
            self.tlb.invalidate(&x86.faulting(va));
        }
        if let Some(power) = &mut self.power {
            let scope = power.faulting(va);
            self.tlb.invalidate(&scope);
            power.erat.invalidate(&scope);
        }
    }

    /// Any cache may drop any entry at any time.
    pub(super) fn evict_one(&mut self, chooser: &mut Chooser) {
        self.tlb.evict_one(chooser);
        if let Some(power) = &mut self.power {
            power.erat.evict_one(chooser);
        }
    }

    pub(super) fn enter_lazy(&mut self) {
        match (&mut self.x86, &mut self.power) {
            (Some(x86), _) => x86.is_lazy = true,
            (None, Some(power)) => power.is_lazy = true,
            (None, None) => panic!("an AArch64 CPU keeps no account of whom its root is for"),
        }
    }

    /// The loaded root is nobody's who runs here, as far as that is known.
    pub(crate) fn borrows_root(&self) -> bool {
        match (&self.x86, &self.power) {
            (Some(x86), _) => x86.is_lazy,
            (None, Some(power)) => power.is_lazy,
            (None, None) => true,
        }
    }

    /// Of an invalidation that takes two barriers the second is missing.
    pub(super) fn is_half_complete(&self) -> bool {
        let mut issued = self.issued.iter();
        self.features.repeat_tlbi
            && issued.any(|issued| issued.broadcast && !issued.repeats && issued.barriers == 1)
    }

    pub(super) fn has_in_flight(&self) -> bool {
        self.in_flight().next().is_some()
    }

    /// What was issued and is not complete.
    pub(super) fn in_flight(&self) -> impl Iterator<Item = Scope> + '_ {
        let relied_on = self.issued.iter().filter(|issued| !issued.repeats);
        let power = self.power.iter().flat_map(powerpc::State::in_flight);
        relied_on.map(|issued| issued.scope).chain(power)
    }

    /// The tables that translate the lower half and the upper one.
    pub(super) fn contexts(&self) -> impl Iterator<Item = Context> {
        let upper = if self.power.is_some() {
            0b11 << 62
        } else {
            0xffff << 48
        };
        [self.context(0), self.context(upper)].into_iter().flatten()
    }

    /// Whether an entry can be used as things are.
    fn can_use(&self, entry: &Entry) -> bool {
        self.x86.as_ref().is_none_or(|x86| x86.can_use(entry))
    }

    /// Whether its walker reads tables of this format.
    pub(crate) fn walks(&self, format: Format) -> bool {
        match (&self.x86, &self.power) {
            (Some(_), _) => format == Format::X86,
            (None, Some(_)) => matches!(format, Format::Radix(_)),
            (None, None) => format == Format::Vmsa,
        }
    }

    /// The tables that translate this address now. Bit 55 chooses the half (Arm ARM D8.2.4).
    pub(super) fn context(&self, va: u64) -> Option<Context> {
        if self.is_stopped {
            return None;
        }
        if let Some(x86) = &self.x86 {
            return x86.context(va, self.ttbr1);
        }
        if let Some(power) = &self.power {
            return power.context(va, self.ttbr1);
        }
        let root = if va >> 55 & 1 == 0 {
            self.ttbr0
        } else {
            self.ttbr1
        };
        root.map(|table| Context {
            regime: Regime::El1,
            asid: self.asid.into(),
            private: false,
            root: Start {
                format: Format::Vmsa,
                level: 0,
                table,
            },
        })
    }

    pub(super) fn root(&self) -> Option<u64> {
        self.context(0).map(|context| context.root.table)
    }

    pub(super) fn is_pinned(&self) -> bool {
        self.pins > 0 || self.irqs_off > 0
    }
}
