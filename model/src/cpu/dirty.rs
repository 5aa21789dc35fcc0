//! The first write to a clean page.

use super::access::Fault;
use crate::memory::descriptor::Leaf;
use crate::memory::x86_64::DIRTY;
use crate::tlb::{Entry, Says};
use crate::world::World;

impl World {
    /// A CPU of x86-64 sets D where the entry in memory still is what it has cached, and else walks anew: false (Intel SDM Vol 3A 4.8). On POWER
    /// hardware may set C or interrupt; here it interrupts.
    pub(super) fn mark(&mut self, cpu: usize, entry: &Entry, leaf: &Leaf) -> Result<bool, Fault> {
        if self.cpus[cpu].x86.is_none() {
            return Err(Fault::Permission);
        }
        // A locked access of the CPU's own, so that its stores come before.
        self.drain_stores(cpu);
        let frames = &mut self.ground.memory.frames;
        let (at, old) = (entry.from.at, entry.from.raw);
        let (seen, latest) = (frames.read(at), frames.latest(at));
        // Another CPU's store is on its way to the entry, and comes after this one.
        if seen == old && latest != old {
            return Ok(true);
        }
        let tlb = &mut self.cpus[cpu].tlb;
        tlb.retain(|held| held != entry);
        if seen != old {
            return Ok(false);
        }
        frames.write(at, old | DIRTY);
        let mut marked = *entry;
        marked.from.raw = old | DIRTY;
        marked.says = Says::Leaf(Leaf {
            dirty: true,
            ..*leaf
        });
        tlb.keep(marked);
        Ok(true)
    }
}
