//! The library's instructions, executed by whichever CPU the calling thread is.

use super::operand::{by_address, by_asid, by_range};
use super::state::{CpuFeatures, Domain};
use crate::model::Model;
use crate::oracle::Violation;
use crate::platform::current;
use crate::tlb::{Regime, Scope};
use tlb_shootdown::arch::aarch64::instructions::Instructions;

/// The CPUs of a [`Model`] as the library's AArch64 room drives them. Operands are decoded here anew (Arm ARM C5.5).
#[derive(Clone, Debug)]
pub struct ModelInstructions {
    model: Model,
}

impl ModelInstructions {
    /// The instructions of this machine's CPUs.
    pub fn new(model: Model) -> Self {
        Self { model }
    }

    fn features(&self) -> CpuFeatures {
        self.model.with(|world| world.cpus[current::get()].features)
    }

    fn issue(&self, scope: Option<Scope>, broadcast: bool) {
        self.model
            .with(|world| world.tlbi(current::get(), scope, broadcast));
    }

    fn address(&self, operand: u64, leaf_only: bool, every_asid: bool, broadcast: bool) {
        let scope = by_address(operand, leaf_only, every_asid, &self.features());
        self.issue(scope, broadcast);
    }

    fn range(&self, operand: u64, leaf_only: bool, every_asid: bool, broadcast: bool) {
        let features = self.features();
        if !features.range {
            let cpu = current::get();
            self.model
                .with(|world| world.ground.oracle.report(Violation::Undefined { cpu }));
        }
        self.issue(
            by_range(operand, leaf_only, every_asid, &features),
            broadcast,
        );
    }

    fn dsb(&self, domain: Domain, stores_only: bool) {
        self.model
            .with(|world| world.dsb(current::get(), domain, stores_only));
    }
}

const LEAF: bool = true;
const EVERY_ASID: bool = true;
const BROADCAST: bool = true;
const EVERYTHING: Option<Scope> = Some(Scope::Regime(Regime::El1));

// SAFETY: nothing but tests relies on it; each method acts on the machine as the instruction of its name does.
unsafe impl Instructions for ModelInstructions {
    fn dsb_ishst(&self) {
        self.dsb(Domain::Inner, true);
    }

    fn dsb_nshst(&self) {
        self.dsb(Domain::Non, true);
    }

    fn dsb_ish(&self) {
        self.dsb(Domain::Inner, false);
    }

    fn dsb_nsh(&self) {
        self.dsb(Domain::Non, false);
    }

    fn isb(&self) {
        self.model
            .with(|world| world.ground.oracle.counts.context_synchronisations += 1);
    }

    fn tlbi_vae1is(&self, operand: u64) {
        self.address(operand, !LEAF, !EVERY_ASID, BROADCAST);
    }

    fn tlbi_vale1is(&self, operand: u64) {
        self.address(operand, LEAF, !EVERY_ASID, BROADCAST);
    }

    fn tlbi_vaae1is(&self, operand: u64) {
        self.address(operand, !LEAF, EVERY_ASID, BROADCAST);
    }

    fn tlbi_vaale1is(&self, operand: u64) {
        self.address(operand, LEAF, EVERY_ASID, BROADCAST);
    }

    fn tlbi_aside1is(&self, operand: u64) {
        self.issue(by_asid(operand), BROADCAST);
    }

    fn tlbi_vmalle1is(&self) {
        self.issue(EVERYTHING, BROADCAST);
    }

    fn tlbi_rvae1is(&self, operand: u64) {
        self.range(operand, !LEAF, !EVERY_ASID, BROADCAST);
    }

    fn tlbi_rvale1is(&self, operand: u64) {
        self.range(operand, LEAF, !EVERY_ASID, BROADCAST);
    }

    fn tlbi_rvaae1is(&self, operand: u64) {
        self.range(operand, !LEAF, EVERY_ASID, BROADCAST);
    }

    fn tlbi_rvaale1is(&self, operand: u64) {
        self.range(operand, LEAF, EVERY_ASID, BROADCAST);
    }

    fn tlbi_vae1(&self, operand: u64) {
        self.address(operand, !LEAF, !EVERY_ASID, !BROADCAST);
    }

    fn tlbi_vale1(&self, operand: u64) {
        self.address(operand, LEAF, !EVERY_ASID, !BROADCAST);
    }

    fn tlbi_vaae1(&self, operand: u64) {
        self.address(operand, !LEAF, EVERY_ASID, !BROADCAST);
    }

    fn tlbi_vaale1(&self, operand: u64) {
        self.address(operand, LEAF, EVERY_ASID, !BROADCAST);
    }

    fn tlbi_aside1(&self, operand: u64) {
        self.issue(by_asid(operand), !BROADCAST);
    }

    fn tlbi_vmalle1(&self) {
        self.issue(EVERYTHING, !BROADCAST);
    }

    fn tlbi_rvae1(&self, operand: u64) {
        self.range(operand, !LEAF, !EVERY_ASID, !BROADCAST);
    }

    fn tlbi_rvale1(&self, operand: u64) {
        self.range(operand, LEAF, !EVERY_ASID, !BROADCAST);
    }

    fn tlbi_rvaae1(&self, operand: u64) {
        self.range(operand, !LEAF, EVERY_ASID, !BROADCAST);
    }

    fn tlbi_rvaale1(&self, operand: u64) {
        self.range(operand, LEAF, EVERY_ASID, !BROADCAST);
    }

    /// Cortex-A57 r1p0, which has none of the errata; Cortex-A76 r3p0 (1286807) where completions need a repeat.
    fn midr(&self) -> u64 {
        if self.features().repeat_tlbi {
            0x413f_d0b0
        } else {
            0x411f_d070
        }
    }

    /// ASIDBits\[7:4\] = 2: 16 bits (Arm ARM D24.2).
    fn id_aa64mmfr0(&self) -> u64 {
        2 << 4
    }

    /// TTL\[51:48\] (Arm ARM D24.2).
    fn id_aa64mmfr2(&self) -> u64 {
        u64::from(self.features().ttl) << 48
    }

    /// TLB\[59:56\] = 2: range operations (Arm ARM D24.2).
    fn id_aa64isar0(&self) -> u64 {
        u64::from(self.features().range) << 57
    }
}
