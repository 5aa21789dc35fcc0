//! One link: its registers, its nest MMU, the process elements it has read, and the accelerators behind it.

use super::accelerator::Accelerator;
use super::element::Element;
use super::launch;
use super::nest_mmu::NestMmu;
use super::options::LinkOptions;
use super::registers::{self, Registers};
use crate::ground::Ground;
use crate::memory::{Format, Memory};
use crate::oracle::{Holder, Oracle, Span, Violation};
use crate::tlb::{Entry, PowerScope, Scope};
use alloc::collections::BTreeMap;

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(super) options: LinkOptions,
    pub(super) index: usize,
    pub(super) registers: Registers,
    pub(super) nest_mmu: NestMmu,
    /// Where the scheduled process area begins, and how long it is.
    pub(super) area: Option<(u64, u64)>,
    /// Process elements that were read once, by PASID.
    pub(super) elements: BTreeMap<u32, Element>,
    pub(super) accelerators: BTreeMap<u16, Accelerator>,
    /// The machine has stopped, or the link was taken away: nothing answers.
    pub(super) down: bool,
    /// Invalidations do not end.
    pub(super) frozen: bool,
}

impl Link {
    pub(crate) fn new(index: usize, options: LinkOptions) -> Self {
        Self {
            options,
            index,
            registers: Registers::default(),
            nest_mmu: NestMmu::default(),
            area: None,
            elements: BTreeMap::new(),
            accelerators: BTreeMap::new(),
            down: false,
            frozen: false,
        }
    }

    /// An invalidation under way is done now or the next time.
    pub(crate) fn step(&mut self, ground: &mut Ground) {
        self.nest_mmu.tlb.evict_one(&mut ground.chooser);
        let registers = &mut self.registers;
        if !registers.pending || self.frozen || self.down {
            return;
        }
        if !ground.chooser.now() && !core::mem::replace(&mut registers.waited, true) {
            return;
        }
        (registers.pending, registers.waited) = (false, false);
        match launch::decode(registers.launch, registers.ava) {
            Ok(scope) => self.heed(&scope, &mut ground.oracle),
            Err(_) => ground.oracle.report(Violation::IllegalLaunch {
                iommu: self.index,
                word: registers.launch,
            }),
        }
    }

    /// A read is a poll: it shows what was before, and then the link works. What is not there reads as ones.
    pub(super) fn read(&mut self, at: usize, ground: &mut Ground) -> u64 {
        if self.down || self.options.snoops {
            return u64::MAX;
        }
        let value = self.registers.read(at);
        self.step(ground);
        value
    }

    pub(super) fn write(&mut self, at: usize, value: u64, ground: &mut Ground) {
        if self.down || self.options.snoops {
            return;
        }
        if self.registers.pending {
            return ground.oracle.report(Violation::WrittenWhileRunning {
                iommu: self.index,
                register: at,
            });
        }
        match at {
            registers::LNCH => {
                (self.registers.launch, self.registers.pending) = (value, true);
                ground.oracle.counts.commands += 1;
                ground.oracle.counts.doorbells += 1;
                if ground.chooser.hurries() {
                    self.registers.waited = true;
                    self.step(ground);
                }
            }
            registers::AVA => self.registers.ava = value,
            _ => {}
        }
    }

    /// A `tlbie` was heard on the bus.
    pub(crate) fn snoop(&mut self, scope: &Scope, oracle: &mut Oracle) {
        if let Scope::Power(scope) = scope
            && self.options.snoops
        {
            self.heed(scope, oracle);
        }
    }

    fn heed(&mut self, scope: &PowerScope, oracle: &mut Oracle) {
        let holder = Holder::Iommu(self.index);
        self.nest_mmu.heed(scope, &self.options, holder, oracle);
    }

    /// A kernel stored a descriptor at `at`: a right that is added while the entry is held is never seen, and the device faults for ever.
    pub(crate) fn watch(&self, format: Format, level: i8, at: u64, raw: u64) -> Option<Violation> {
        let widened = self.nest_mmu.widened(at, format.decode(level, raw));
        widened
            .filter(|_| self.options.believes_its_rights)
            .map(|va| Violation::WidenedInPlace {
                iommu: self.index,
                va,
            })
    }

    /// An invalidation of this range was launched and has not ended.
    pub(crate) fn owes(&self, range: &Span) -> Option<Holder> {
        let under_way = self.registers.pending;
        let scope = launch::decode(self.registers.launch, self.registers.ava).ok()?;
        let is_about = self.nest_mmu.tlb.is_about(&Scope::Power(scope), range);
        (under_way && is_about).then_some(Holder::Iommu(self.index))
    }

    /// Itself, where something is cached under a PID that is not of the tree that begins there.
    pub(crate) fn holds_of_pid(&self, pid: u32, root: u64, memory: &Memory) -> Option<Holder> {
        let holds = self.nest_mmu.holds_of_pid(pid, root, memory);
        holds.then_some(Holder::Iommu(self.index))
    }

    /// Everything that is cached.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (Holder, &Entry)> {
        let own = Holder::Iommu(self.index);
        self.nest_mmu.tlb.iter().map(move |entry| (own, entry))
    }
}
