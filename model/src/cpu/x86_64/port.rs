//! What a kernel does with a CPU's root beside flushing.

use crate::cpu::CpuPort;
use crate::world::World;

/// CR3, bit 63.
const NO_FLUSH: u64 = 1 << 63;

impl CpuPort {
    /// The exit to a process that runs without the kernel: its own root is loaded, with this identifier and perhaps bit 63.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn exit_to_user(&self, id: u64) {
        self.on(|world, cpu| {
            let kernel = world.x86(cpu).cr3;
            world.load_cr3(cpu, kernel & !0xfff | id);
            world.x86(cpu).kernel_cr3 = Some(kernel);
        });
    }

    /// The entry from such a process, by an interrupt or a call: the kernel's root is loaded as it was, and drops nothing. False where
    /// the CPU was in the kernel.
    ///
    /// # Panics
    /// Where the CPU is of another architecture.
    pub fn enter_kernel(&self) -> bool {
        self.on(|world, cpu| {
            let Some(kernel) = world.x86(cpu).kernel_cr3.take() else {
                return false;
            };
            let keep = if world.x86(cpu).uses_pcids() {
                NO_FLUSH
            } else {
                0
            };
            world.load_cr3(cpu, kernel | keep);
            true
        })
    }
}

impl World {
    /// The kernel loads the root of a process, or one of its own.
    pub(in crate::cpu) fn load_root(&mut self, cpu: usize, root: u64, id: u64) {
        let state = self.x86(cpu);
        (state.is_lazy, state.kernel_cr3) = (false, None);
        self.load_cr3(cpu, root | id);
    }
}
