//! What runs on a POWER CPU beside loads and stores.

use super::state::{Level, Role};
use super::store_queue::Queued;
use crate::cpu::{CpuPort, Fault};
use crate::world::World;

impl CpuPort {
    /// A store that is translated now and performed when chance, or what waits for it, lets it: `ptesync` and `sync` here, and a `tlbie`
    /// of the page anywhere that is complete.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn write_later(&self, va: u64, value: u64) -> Result<(), Fault> {
        self.on(|world, cpu| {
            let pa = world.translate(cpu, va, true)?;
            if let Some(entry) = world.cached_entry(cpu, va) {
                let queue = &mut world.power(cpu).store_queue;
                queue.push(Queued {
                    entry,
                    va,
                    pa,
                    value,
                });
            }
            Ok(())
        })
    }

    /// A COPY that nobody pastes yet. From ISA 3.1 on its translation is in use until `cp_abort` or a `tlbie` of the page.
    ///
    /// # Errors
    /// [`Fault`].
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn copy(&self, va: u64) -> Result<(), Fault> {
        self.on(|world, cpu| {
            world.translate(cpu, va, false)?;
            let entry = world.cached_entry(cpu, va);
            let power = world.power(cpu);
            if power.features.level >= Level::V3_1 {
                power.copied = entry;
            }
            Ok(())
        })
    }

    /// Whether its kernel may execute `tlbie`.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn may_broadcast(&self) -> bool {
        self.on(|world, cpu| world.power(cpu).features.role != Role::GuestWithoutTlbie)
    }

    /// How many translations its ERAT holds.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn held_in_erat(&self) -> usize {
        self.on(|world, cpu| world.power(cpu).erat.len())
    }
}

impl World {
    fn cached_entry(&self, cpu: usize, va: u64) -> Option<crate::tlb::Entry> {
        let context = self.cpus[cpu].context(va)?;
        self.cpus[cpu].cached(&context, va).map(|(entry, _)| entry)
    }

    /// The kernel loads a PID, whose process-table entry it has written.
    pub(in crate::cpu) fn load_process(&mut self, cpu: usize, root: Option<u64>, pid: u32) {
        if let Some(root) = root {
            self.ground.processes.insert(pid, root);
            self.judge_pid(pid, root);
        }
        let power = self.power(cpu);
        (power.pid, power.root, power.is_lazy) = (pid, root, false);
    }
}
