//! The modelled CPUs with one defect between them and the library: what a wrong library would have executed.

use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown_model::cpu::ModelInstructions;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    None,
    /// `dsb ishst` is left out.
    NoStoreBarrier,
    /// `dsb ish` is left out.
    NoCompletion,
    /// Operands carry the ASID of another space.
    WrongAsid,
    /// By-address operations name the next page.
    WrongAddress,
    /// Leaf operations stand in for those that reach walk caches.
    LeafOnly,
    /// Local operations stand in for broadcasts.
    Local,
    /// NUM of range operations is one too small.
    ShortRange,
    /// Operations by ASID stand in for those by address: global entries survive.
    ByAsid,
    /// The level hint names level 2.
    WrongLevel,
    /// Only the first `dsb ish` and TLBI of a repeated completion is executed.
    NoRepeat,
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

    fn by_address(&self, operand: u64) -> u64 {
        match self.defect {
            Defect::WrongAsid => operand ^ 1 << 56,
            Defect::WrongAddress => operand + 1,
            // TTL in 47:44: 4 KiB, level 2.
            Defect::WrongLevel => operand & !(0xf << 44) | 0b0110 << 44,
            _ => operand,
        }
    }

    fn by_range(&self, operand: u64) -> u64 {
        match self.defect {
            Defect::WrongAsid => operand ^ 1 << 56,
            // NUM in 43:39.
            Defect::ShortRange => operand - (1 << 39),
            Defect::WrongAddress => operand + 2,
            _ => operand,
        }
    }

    fn by_asid(&self, operand: u64) -> u64 {
        match self.defect {
            Defect::WrongAsid => operand ^ 1 << 56,
            _ => operand,
        }
    }
}

/// Methods that hand an operand on, perhaps changed.
macro_rules! pass {
    ($($method:ident $change:ident)*) => {
        $(fn $method(&self, operand: u64) {
            self.inner.$method(self.$change(operand));
        })*
    };
}

// SAFETY: nothing but tests relies on it.
unsafe impl Instructions for Faulty {
    fn dsb_ishst(&self) {
        if !self.is(Defect::NoStoreBarrier) {
            self.inner.dsb_ishst();
        }
    }

    fn dsb_nshst(&self) {
        if !self.is(Defect::NoStoreBarrier) {
            self.inner.dsb_nshst();
        }
    }

    fn dsb_ish(&self) {
        if !self.is(Defect::NoCompletion) {
            self.inner.dsb_ish();
        }
    }

    fn dsb_nsh(&self) {
        if !self.is(Defect::NoCompletion) {
            self.inner.dsb_nsh();
        }
    }

    fn isb(&self) {
        self.inner.isb();
    }

    fn tlbi_vae1is(&self, operand: u64) {
        let operand = self.by_address(operand);
        match self.defect {
            Defect::LeafOnly => self.inner.tlbi_vale1is(operand),
            Defect::Local => self.inner.tlbi_vae1(operand),
            _ => self.inner.tlbi_vae1is(operand),
        }
    }

    fn tlbi_vale1is(&self, operand: u64) {
        if self.is(Defect::NoRepeat) && operand == 0 {
            return;
        }
        let operand = self.by_address(operand);
        match self.defect {
            Defect::Local => self.inner.tlbi_vale1(operand),
            Defect::ByAsid => self.inner.tlbi_aside1is(operand & 0xffff << 48),
            _ => self.inner.tlbi_vale1is(operand),
        }
    }

    fn tlbi_rvae1is(&self, operand: u64) {
        let operand = self.by_range(operand);
        match self.defect {
            Defect::LeafOnly => self.inner.tlbi_rvale1is(operand),
            Defect::Local => self.inner.tlbi_rvae1(operand),
            _ => self.inner.tlbi_rvae1is(operand),
        }
    }

    fn tlbi_rvale1is(&self, operand: u64) {
        let operand = self.by_range(operand);
        match self.defect {
            Defect::Local => self.inner.tlbi_rvale1(operand),
            _ => self.inner.tlbi_rvale1is(operand),
        }
    }

    fn tlbi_aside1is(&self, operand: u64) {
        let operand = self.by_asid(operand);
        match self.defect {
            Defect::Local => self.inner.tlbi_aside1(operand),
            _ => self.inner.tlbi_aside1is(operand),
        }
    }

    fn tlbi_vmalle1is(&self) {
        self.inner.tlbi_vmalle1is();
    }

    fn tlbi_vmalle1(&self) {
        self.inner.tlbi_vmalle1();
    }

    pass! {
        tlbi_vaae1is by_asid
        tlbi_vaale1is by_asid
        tlbi_rvaae1is by_asid
        tlbi_rvaale1is by_asid
        tlbi_vae1 by_address
        tlbi_vale1 by_address
        tlbi_vaae1 by_asid
        tlbi_vaale1 by_asid
        tlbi_aside1 by_asid
        tlbi_rvae1 by_range
        tlbi_rvale1 by_range
        tlbi_rvaae1 by_asid
        tlbi_rvaale1 by_asid
    }

    fn midr(&self) -> u64 {
        self.inner.midr()
    }

    fn id_aa64mmfr0(&self) -> u64 {
        self.inner.id_aa64mmfr0()
    }

    fn id_aa64mmfr2(&self) -> u64 {
        self.inner.id_aa64mmfr2()
    }

    fn id_aa64isar0(&self) -> u64 {
        self.inner.id_aa64isar0()
    }
}
