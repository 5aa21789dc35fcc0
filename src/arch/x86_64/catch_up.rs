//! What a CPU does when it is asked.
//!
//! A generation says how old the entries of a slot may be. Dropping the pages of a change brings them up to its generation, and only
//! where it covers the very next: requests of several initiators arrive in any order, and a later one says nothing of the
//! pages of an earlier. Dropping everything brings them up to any generation that the CPU has heard of.

use super::X86_64;
use super::instructions::Instructions;
use super::local::each;
use super::operand::cr3::Cr3;
use super::operand::invpcid::Invpcid;
use super::per_cpu::Cpu;
use super::space_pcid;
use crate::address::{FlushRange, PageRange};
use crate::arch::shown::Loaded;
use crate::arch::{Change, Entries, HardwareId};
use crate::cost::Cost;
use crate::defects::Defect;
use crate::space_id::SpaceId;

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// See [`Arch::catch_up`](crate::arch::Arch::catch_up).
    pub(super) fn bring_up_to(&self, cpu: &Cpu, change: &Change, cost: &mut Cost) {
        let loaded = cpu.shown.loaded();
        if loaded.is_switching() {
            // What has been decided about the root to come cannot be revised; what it finds can be empty.
            self.drop_everything(cost);
        } else if !loaded.is_of(change.space) {
            // Its slot, if it has one, is found too old when the space runs again.
        } else if let Some(slot) = cpu.own.slot() {
            if !self.adopts(cpu, change, cost) {
                self.bring_slot_up_to(cpu, slot, change, cost);
            }
        } else if space_pcid::shared(change.id).is_none() {
            // Broadcasts reach this CPU, but the initiator has not seen that when it asked.
            self.drop_changed(cpu, None, change, cost);
        }
    }

    fn bring_slot_up_to(&self, cpu: &Cpu, slot: usize, change: &Change, cost: &mut Cost) {
        let generation = cpu.own.slots.generation(slot);
        if change.generation <= generation {
            return;
        }
        let is_next = change.since <= generation + 1;
        if is_next || Defect::GenerationJumped.is_put_back() {
            self.drop_changed(cpu, Some(slot), change, cost);
        } else {
            self.drop_all(cpu, Some(slot), cost);
        }
        cpu.own.slots.claim(slot, change.generation);
    }

    fn drop_changed(&self, cpu: &Cpu, slot: Option<usize>, change: &Change, cost: &mut Cost) {
        let entries = Entries::from(&change.flush);
        let few = |pages: &PageRange| self.one_by_one(pages, entries);
        let pages = match change.flush.range() {
            FlushRange::All => None,
            FlushRange::Pages(pages) => few(pages),
        };
        let Some(pages) = pages else {
            return self.drop_all(cpu, slot, cost);
        };
        for addr in each(&pages) {
            self.drop_page(addr, cost);
        }
        if let Some(slot) = slot {
            self.drop_user_pages(cpu, slot, &pages, entries.depth, cost);
        }
    }

    fn drop_all(&self, cpu: &Cpu, slot: Option<usize>, cost: &mut Cost) {
        self.drop_current(cost);
        if let Some(slot) = slot {
            self.distrust_user(cpu, slot);
        }
    }

    /// Takes the common identifier that the space has got, under which this CPU holds no old entry. True where it did. A root that
    /// is loaded for nobody keeps the identifier that it has: the space may be at its end.
    fn adopts(&self, cpu: &Cpu, change: &Change, cost: &mut Cost) -> bool {
        match space_pcid::shared(change.id) {
            Some(pcid) if !cpu.shown.is_lazy() => {
                let loaded = Cr3::from_raw(self.instructions.read_cr3());
                self.load(loaded.with_pcid(pcid), cost);
                cpu.own.slots.free(change.space);
                cpu.own.adopt(pcid);
                cpu.shown.end_switch(Loaded::global(change.space));
                true
            }
            _ => false,
        }
    }

    /// See [`Arch::catch_up_loaded`](crate::arch::Arch::catch_up_loaded). The slot claims no generation by it: how far the space has come
    /// is known to the initiators.
    pub(super) fn distrust_loaded(&self, cpu: &Cpu, cost: &mut Cost) {
        if cpu.shown.loaded().is_switching() {
            self.drop_everything(cost);
        } else {
            self.drop_all(cpu, cpu.own.slot(), cost);
        }
    }

    /// See [`Arch::forget`](crate::arch::Arch::forget).
    pub(super) fn forget_space(&self, cpu: &Cpu, space: SpaceId, id: HardwareId, cost: &mut Cost) {
        cpu.own.slots.free(space);
        if let Some(pcid) = space_pcid::shared(id) {
            // The broadcast may have come while the root was still loaded here, and entries with it again.
            self.invpcid(Invpcid::space(pcid), cost);
        }
        let loaded = cpu.shown.loaded();
        if loaded.is_switching() {
            self.drop_everything(cost);
        } else if loaded.is_of(space) {
            self.drop_current(cost);
        }
    }
}
