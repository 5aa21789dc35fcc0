//! The modelled CPUs with one defect between them and the library: what a wrong library would have executed.

use core::cell::Cell;
use tlb_shootdown::arch::x86_64::instructions::{CpuidAnswer, Instructions};
use tlb_shootdown_model::cpu::x86_64::ModelInstructions;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    None,
    /// MFENCE is left out.
    NoStoreBarrier,
    /// INVLPG is left out.
    NoPage,
    /// INVLPG names the next page.
    WrongPage,
    /// INVPCID is left out.
    NoInvpcid,
    /// INVPCID names another PCID.
    WrongPcid,
    /// INVPCID keeps what is global.
    KeepsGlobals,
    /// MOV to CR3 keeps what is cached.
    KeepsSpace,
    /// MOV to CR4 is left out.
    NoToggle,
    /// INVLPGB is left out.
    NoBroadcast,
    /// INVLPGB names another PCID.
    WrongBroadcast,
    /// INVLPGB names one page less.
    ShortBroadcast,
    /// INVLPGB keeps walk caches.
    FinalOnly,
    /// INVLPGB keeps what is global.
    BroadcastKeepsGlobals,
    /// INVLPGB names no ASID.
    NoAsid,
    /// TLBSYNC is left out.
    NoSync,
    /// The kernel loads every root with the order to keep what is cached.
    KernelKeeps,
    /// The same for the process's own root alone.
    ExitKeeps,
}

/// What the library had CPUs drop, on this thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Drops {
    /// Pages of the identifier that is loaded.
    pub(crate) pages: u64,
    /// All that is under it.
    pub(crate) whole: u64,
}

thread_local! {
    static DROPS: Cell<Drops> = const { Cell::new(Drops { pages: 0, whole: 0 }) };
}

impl Drops {
    pub(crate) fn here() -> Self {
        DROPS.get()
    }

    fn count(pages: u64, whole: u64) {
        let now = DROPS.get();
        DROPS.set(Self {
            pages: now.pages + pages,
            whole: now.whole + whole,
        });
    }
}

/// [`ModelInstructions`] with a [`Defect`].
#[derive(Debug)]
pub(crate) struct Faulty {
    inner: ModelInstructions,
    defect: Defect,
}

impl Faulty {
    pub(crate) fn new(inner: ModelInstructions, defect: Defect) -> Self {
        Self { inner, defect }
    }

    fn is(&self, defect: Defect) -> bool {
        self.defect == defect
    }
}

// SAFETY: nothing but tests relies on it.
unsafe impl Instructions for Faulty {
    fn mfence(&self) {
        if !self.is(Defect::NoStoreBarrier) {
            self.inner.mfence();
        }
    }

    fn invlpg(&self, addr: u64) {
        Drops::count(1, 0);
        match self.defect {
            Defect::NoPage => {}
            Defect::WrongPage => self.inner.invlpg(addr + 0x1000),
            _ => self.inner.invlpg(addr),
        }
    }

    fn invpcid(&self, kind: u64, [pcid, addr]: [u64; 2]) {
        match (self.defect, kind) {
            (Defect::NoInvpcid, _) => {}
            (Defect::WrongPcid, 0 | 1) => self.inner.invpcid(kind, [pcid ^ 0x400, addr]),
            (Defect::KeepsGlobals, 2) => self.inner.invpcid(3, [pcid, addr]),
            _ => self.inner.invpcid(kind, [pcid, addr]),
        }
    }

    fn read_cr3(&self) -> u64 {
        self.inner.read_cr3()
    }

    fn write_cr3(&self, value: u64) {
        Drops::count(0, u64::from(value >> 63 == 0));
        match self.defect {
            Defect::KeepsSpace => self.inner.write_cr3(value | 1 << 63),
            _ => self.inner.write_cr3(value),
        }
    }

    fn read_cr4(&self) -> u64 {
        self.inner.read_cr4()
    }

    fn write_cr4(&self, value: u64) {
        if !self.is(Defect::NoToggle) {
            self.inner.write_cr4(value);
        }
    }

    fn invlpgb(&self, rax: u64, ecx: u32, edx: u32) {
        match self.defect {
            Defect::NoBroadcast => {}
            Defect::WrongBroadcast => self.inner.invlpgb(rax, ecx, edx ^ 0x400_0000),
            Defect::ShortBroadcast if ecx & 0xffff != 0 => self.inner.invlpgb(rax, ecx - 1, edx),
            Defect::FinalOnly => self.inner.invlpgb(rax | 0x10, ecx, edx),
            Defect::BroadcastKeepsGlobals => self.inner.invlpgb(rax & !0x8, ecx, edx),
            Defect::NoAsid => self.inner.invlpgb(rax & !0x4, ecx, edx),
            _ => self.inner.invlpgb(rax, ecx, edx),
        }
    }

    fn tlbsync(&self) {
        if !self.is(Defect::NoSync) {
            self.inner.tlbsync();
        }
    }

    fn cpuid(&self, leaf: u32, subleaf: u32) -> CpuidAnswer {
        self.inner.cpuid(leaf, subleaf)
    }
}
