//! The library's instructions, executed by whichever CPU the calling thread is.

use crate::model::Model;
use crate::platform::current;
use crate::world::World;
use tlb_shootdown::arch::x86_64::instructions::{CpuidAnswer, Instructions};

/// The CPUs of a [`Model`] as the library's x86-64 room drives them. Operands are decoded here anew.
#[derive(Clone, Debug)]
pub struct ModelInstructions {
    model: Model,
}

impl ModelInstructions {
    /// The instructions of this machine's CPUs.
    pub fn new(model: Model) -> Self {
        Self { model }
    }

    fn on<R>(&self, f: impl FnOnce(&mut World, usize) -> R) -> R {
        self.model.with(|world| f(world, current::get()))
    }
}

// SAFETY: nothing but tests relies on it; each method acts on the machine as the instruction of its name does.
unsafe impl Instructions for ModelInstructions {
    fn mfence(&self) {
        self.on(World::mfence);
    }

    fn invlpg(&self, addr: u64) {
        self.on(|world, cpu| world.invlpg(cpu, addr));
    }

    fn invpcid(&self, kind: u64, descriptor: [u64; 2]) {
        self.on(|world, cpu| world.invpcid(cpu, kind, descriptor));
    }

    fn read_cr3(&self) -> u64 {
        self.on(|world, cpu| world.x86(cpu).cr3)
    }

    fn write_cr3(&self, value: u64) {
        self.on(|world, cpu| world.invalidate_by_cr3(cpu, value));
    }

    fn read_cr4(&self) -> u64 {
        self.on(|world, cpu| world.x86(cpu).cr4)
    }

    fn write_cr4(&self, value: u64) {
        self.on(|world, cpu| world.load_cr4(cpu, value));
    }

    fn invlpgb(&self, rax: u64, ecx: u32, edx: u32) {
        self.on(|world, cpu| world.invlpgb(cpu, rax, ecx, edx));
    }

    fn tlbsync(&self) {
        self.on(World::tlbsync);
    }

    /// Leaf 7 EBX\[10\] is INVPCID; leaf 8000_0008h EBX\[3\] INVLPGB, EDX\[15:0\] its count (Intel SDM Vol 2A and AMD APM Vol 3, "CPUID").
    fn cpuid(&self, leaf: u32, subleaf: u32) -> CpuidAnswer {
        let features = self.on(|world, cpu| world.x86(cpu).features);
        let mut answer = CpuidAnswer::default();
        match (leaf, subleaf) {
            (0, _) => answer.eax = 7,
            (7, 0) => answer.ebx = u32::from(features.invpcid) << 10,
            (0x8000_0000, _) => answer.eax = 0x8000_0008,
            (0x8000_0008, _) => {
                answer.ebx = u32::from(features.invlpgb.is_some()) << 3;
                answer.edx = features.invlpgb.unwrap_or(0).into();
            }
            _ => {}
        }
        answer
    }
}
