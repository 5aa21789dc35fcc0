//! Translations that nobody asked for: any mapped page may be walked and cached at any time (Arm ARM D8.2.6).

use super::state::Cpu;
use crate::memory::Memory;
use crate::memory::descriptor::Kind;
use crate::memory::walk::Start;
use crate::world::World;
use alloc::vec::Vec;

impl World {
    /// Caches a random page of the running space.
    pub(crate) fn speculate(&mut self, cpu: usize) {
        let half = self.half(cpu);
        let Some(context) = self.cpus[cpu].context(half) else {
            return;
        };
        let mut pages = mapped(&self.ground.memory, context.root, half);
        // A root of x86-64 may lead to the kernel's half as well, which no address of the process' half reaches.
        if self.cpus[cpu].x86.is_some() {
            pages.retain(|&va| is_canonical(va));
        }
        if !pages.is_empty() {
            let page = pages[self.ground.chooser.any(pages.len())];
            self.walk_and_fill(cpu, &context, page);
        }
    }
}

impl World {
    /// The kernel is about to store to an entry that translates this address: the last moment at which whoever runs the tree may cache what was
    /// there, accessed or not.
    pub(crate) fn foresee(&mut self, root: u64, va: u64) {
        for cpu in 0..self.cpus.len() {
            let context = self.cpus[cpu].context(va);
            let context = context.filter(|context| context.root.table == root);
            if let Some(context) = context
                && self.ground.chooser.unasked_at_random(12)
            {
                self.walk_and_fill(cpu, &context, va);
            }
        }
    }

    /// The base of a half: on x86-64 the kernel's has entries under PCIDs too, and on POWER under PID 0.
    fn half(&mut self, cpu: usize) -> u64 {
        let upper = match &self.cpus[cpu] {
            Cpu { x86: Some(_), .. } => 0xffff << 48,
            Cpu { power: Some(_), .. } => 0b11 << 62,
            _ => return 0,
        };
        if self.ground.chooser.now() { upper } else { 0 }
    }
}

/// Bits 63:47 are the same (Intel SDM vol. 1, 3.3.7.1).
const fn is_canonical(va: u64) -> bool {
    matches!(va >> 47, 0 | 0x1_ffff)
}

/// The base of every leaf under a table.
fn mapped(memory: &Memory, start: Start, base: u64) -> Vec<u64> {
    let mut pages = Vec::new();
    let len = start.format.table_bytes(start.level);
    for (at, raw) in memory.frames.written(start.table, len) {
        let va = base | ((at - start.table) / 8) << start.format.shift(start.level);
        match start.format.decode(start.level, raw) {
            Kind::Invalid => {}
            Kind::Leaf(_) => pages.push(va),
            Kind::Table(table) => {
                let level = start.level + 1;
                let below = Start {
                    level,
                    table,
                    ..start
                };
                pages.extend(mapped(memory, below, va));
            }
        }
    }
    pages
}
