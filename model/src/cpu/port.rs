//! A handle on one CPU.

use super::access::Fault;
use super::state::Cpu;
use crate::model::Model;
use crate::world::World;

/// One CPU of a [`Model`]: what runs on it, and the accesses it makes.
#[derive(Clone, Debug)]
pub struct CpuPort {
    model: Model,
    index: usize,
}

impl CpuPort {
    pub(crate) fn new(model: Model, index: usize) -> Self {
        Self { model, index }
    }

    /// Its number.
    pub fn index(&self) -> usize {
        self.index
    }

    pub(super) fn on<R>(&self, f: impl FnOnce(&mut World, usize) -> R) -> R {
        self.model.with(|world| f(world, self.index))
    }

    /// Runs the user address space of this root under the identifier that the library gave: an ASID, what goes into CR3 with the
    /// root, or a PID, under which the process table has the root from now on.
    pub fn load(&self, root: u64, id: u64) {
        self.on(|world, cpu| match &world.cpus[cpu] {
            Cpu { x86: Some(_), .. } => world.load_root(cpu, root, id),
            Cpu { power: Some(_), .. } => world.load_process(cpu, Some(root), id as u32),
            _ => world.run(cpu, root, id as u16),
        });
    }

    /// Runs the user address space of this root under this ASID (TTBR0_EL1, and the ASID of TTBR1_EL1).
    pub fn run(&self, root: u64, asid: u16) {
        self.on(|world, cpu| world.run(cpu, root, asid));
    }

    /// Runs no user address space. What is cached stays, but for what the loading of the kernel's root under PCID 0 drops.
    pub fn run_nothing(&self) {
        self.on(|world, cpu| {
            let kernel = world.cpus[cpu].ttbr1.unwrap_or(0);
            match &world.cpus[cpu] {
                Cpu { x86: Some(_), .. } => world.load_root(cpu, kernel, 0),
                Cpu { power: Some(_), .. } => world.load_process(cpu, None, 0),
                _ => world.cpus[cpu].ttbr0 = None,
            }
        });
    }

    /// The loaded root is kept for nobody from now on, until the next is loaded: nothing here accesses user addresses.
    ///
    /// # Panics
    /// Where the CPU is an AArch64 one, which keeps no such account.
    pub fn enter_lazy(&self) {
        self.on(|world, cpu| world.cpus[cpu].enter_lazy());
    }

    /// Sets the kernel's root (TTBR1_EL1; on x86-64, of the upper half under every root; on POWER, of quadrant 3).
    pub fn run_kernel(&self, root: u64) {
        self.model
            .with(|world| world.cpus[self.index].ttbr1 = Some(root));
    }

    /// The root that user addresses are translated by; nothing where there is none.
    pub fn root(&self) -> Option<u64> {
        self.on(|world, cpu| world.cpus[cpu].root())
    }

    /// Reads the word at a virtual address.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn read(&self, va: u64) -> Result<u64, Fault> {
        self.model.with(|world| {
            let pa = world.translate(self.index, va, false)?;
            Ok(world.load(self.index, pa))
        })
    }

    /// Writes the word at a virtual address.
    ///
    /// # Errors
    /// [`Fault`].
    pub fn write(&self, va: u64, value: u64) -> Result<(), Fault> {
        self.model.with(|world| {
            let pa = world.translate(self.index, va, true)?;
            world.ground.memory.write(pa, value);
            Ok(())
        })
    }

    /// Stores to physical memory as a kernel stores to a page table: through this CPU's store buffer.
    pub fn store(&self, pa: u64, value: u64) {
        self.model.with(|world| world.store(self.index, pa, value));
    }

    /// Fills the TLB for this address without an access, as speculation may at any time.
    pub fn speculate(&self, va: u64) {
        self.model.with(|world| {
            if let Some(context) = world.cpus[self.index].context(va) {
                world.walk_and_fill(self.index, &context, va);
            }
        });
    }

    /// How many entries its TLB holds, walk caches included.
    pub fn held(&self) -> usize {
        self.model.with(|world| world.cpus[self.index].tlb.len())
    }

    /// How many of them are tagged with this identifier, an ASID, a PCID or a PID.
    pub fn held_under(&self, id: u32) -> usize {
        self.on(|world, cpu| {
            let entries = world.cpus[cpu].tlb.iter();
            entries
                .filter(|entry| entry.context.asid == id && !entry.global)
                .count()
        })
    }

    /// Stops the CPU: until [`Self::start`] it uses nothing, walks nothing and takes no interrupt. A violation where it has invalidations
    /// under way, or what runs there is pinned.
    ///
    /// What it holds stays as it is: a CPU that was parked comes back with it.
    pub fn stop(&self) {
        self.on(|world, cpu| {
            world.leave(cpu);
            world.cpus[cpu].is_stopped = true;
        });
    }

    /// Goes on where [`Self::stop`] ended it, and with what it held then.
    pub fn start(&self) {
        self.on(|world, cpu| world.cpus[cpu].is_stopped = false);
    }

    /// The task that runs here moves away: a violation where it has invalidations under way.
    pub fn leave(&self) {
        self.model.with(|world| world.leave(self.index));
    }
}

impl World {
    fn run(&mut self, cpu: usize, root: u64, asid: u16) {
        let runs = &mut self.cpus[cpu];
        (runs.ttbr0, runs.asid) = (Some(root), asid);
        self.judge_identifier(cpu, asid.into(), root);
    }

    /// A store that the walkers see when a barrier, or chance, has let it through.
    pub(crate) fn store(&mut self, cpu: usize, pa: u64, value: u64) {
        self.ground.memory.frames.store(pa, value);
        self.cpus[cpu].stores.push(pa, value);
    }

    fn load(&self, cpu: usize, pa: u64) -> u64 {
        let forwarded = self.cpus[cpu].stores.forward(pa);
        forwarded.unwrap_or_else(|| self.ground.memory.read(pa))
    }
}
