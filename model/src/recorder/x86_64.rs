//! The x86-64 recorder.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::sync::{Mutex, MutexGuard, PoisonError};

use std::vec::Vec;
use tlb_shootdown::arch::x86_64::instructions::{CpuidAnswer, Instructions};

/// One instruction: its name in the assembler's spelling, and its operands, 0 where it has fewer.
///
/// INVPCID: type, first and second quadword of the descriptor. INVLPGB: RAX, ECX, EDX.
pub type Executed = (&'static str, [u64; 3]);

/// How many CPUs a recorder has registers for.
const CPUS: usize = 256;

/// What a CPU says of itself by CPUID and CR4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Identification {
    /// The highest basic leaf.
    pub highest: u32,
    /// Leaf 1, EAX: family, model and stepping.
    pub leaf_1_eax: u32,
    /// Leaf 1, ECX: bit 31 is set under a hypervisor.
    pub leaf_1_ecx: u32,
    /// Leaf 7, subleaf 0, EBX: bit 10 is INVPCID.
    pub leaf_7_ebx: u32,
    /// The highest extended leaf.
    pub highest_extended: u32,
    /// Leaf 8000_0008h, EBX: bit 3 is INVLPGB.
    pub leaf_8000_0008_ebx: u32,
    /// Leaf 8000_0008h, EDX: the largest INVLPGB count less one in bits 15:0.
    pub leaf_8000_0008_edx: u32,
    /// CR4 as the kernel has set it: bit 7 is PGE, bit 12 LA57, bit 17 PCIDE.
    pub cr4: u64,
}

impl Identification {
    /// Global pages and PCIDs enabled, INVPCID, INVLPGB of up to 8 pages.
    pub const BROADCASTS: Self = Self {
        highest_extended: 0x8000_0008,
        leaf_8000_0008_ebx: 1 << 3,
        leaf_8000_0008_edx: 7,
        ..Self::FULL
    };
    /// Global pages and PCIDs enabled, INVPCID.
    pub const FULL: Self = Self {
        highest: 7,
        leaf_1_eax: 0,
        leaf_1_ecx: 0,
        leaf_7_ebx: 1 << 10,
        highest_extended: 0,
        leaf_8000_0008_ebx: 0,
        leaf_8000_0008_edx: 0,
        cr4: 0x2_00a0,
    };
    /// Global pages and PCIDs enabled, without INVPCID.
    pub const NO_INVPCID: Self = Self {
        leaf_7_ebx: 0,
        ..Self::FULL
    };
    /// Global pages alone.
    pub const NO_PCID: Self = Self {
        cr4: 0xa0,
        ..Self::NO_INVPCID
    };
    /// Neither global pages nor anything else.
    pub const PLAIN: Self = Self {
        cr4: 0x20,
        ..Self::NO_INVPCID
    };
}

/// The control registers of one CPU.
#[derive(Debug, Default)]
struct Registers {
    cr3: AtomicU64,
    cr4: AtomicU64,
}

std::thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// Records every instruction in the order of execution, of all CPUs that share it. Each CPU has its own CR3 and CR4.
///
/// Instructions that serialise are full fences between host threads as well, so that what is ordered on hardware is ordered here.
#[derive(Debug)]
pub struct Recorder {
    executed: Mutex<Vec<Executed>>,
    identification: Mutex<Identification>,
    registers: Vec<Registers>,
}

impl Recorder {
    /// A recorder with nothing recorded, all of whose CPUs are like this one.
    pub fn new(identification: Identification) -> Self {
        let recorder = Self {
            executed: Mutex::default(),
            identification: Mutex::default(),
            registers: (0..CPUS).map(|_| Registers::default()).collect(),
        };
        recorder.identify_as(identification);
        recorder
    }

    /// From now on the calling thread executes on this CPU.
    pub fn run_on(cpu: usize) {
        CPU.set(cpu % CPUS);
    }

    /// From now on all CPUs say this of themselves, and have this CR4.
    pub fn identify_as(&self, cpu: Identification) {
        *lock(&self.identification) = cpu;
        for registers in &self.registers {
            registers.cr4.store(cpu.cr4, Ordering::SeqCst);
        }
    }

    /// The kernel loads a root on the calling thread's CPU: what the engine said to load, or-ed into the root's address. Not
    /// recorded: it is not the library's.
    ///
    /// # Panics
    /// Where bit 63 is set and `CR4.PCIDE` is not: that faults.
    pub fn load_root(&self, cr3: u64) {
        self.set_cr3(cr3);
    }

    /// CR3 as the calling thread's CPU reads it.
    pub fn cr3(&self) -> u64 {
        self.here().cr3.load(Ordering::SeqCst)
    }

    /// Everything executed so far; forgets it.
    pub fn take(&self) -> Vec<Executed> {
        std::mem::take(&mut *lock(&self.executed))
    }

    /// How many of the instructions recorded and not yet taken begin with these words: `"inv"`, `"invlpg "`, `"mov cr3"`.
    pub fn count(&self, beginning: &str) -> usize {
        lock(&self.executed)
            .iter()
            .filter(|(name, _)| name.starts_with(beginning))
            .count()
    }

    fn here(&self) -> &Registers {
        &self.registers[CPU.get()]
    }

    fn set_cr3(&self, value: u64) {
        let pcide = self.here().cr4.load(Ordering::SeqCst) & 1 << 17 != 0;
        assert!(
            pcide || value >> 63 == 0,
            "#GP: bit 63 of CR3 without PCIDE"
        );
        self.here().cr3.store(value & !(1 << 63), Ordering::SeqCst);
    }

    fn push(&self, name: &'static str, operands: [u64; 3]) {
        fence(Ordering::SeqCst);
        lock(&self.executed).push((name, operands));
        fence(Ordering::SeqCst);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// SAFETY: only tests rely on a recorder; no memory is freed on its word.
unsafe impl Instructions for Recorder {
    fn mfence(&self) {
        self.push("mfence", [0; 3]);
    }

    fn invlpg(&self, addr: u64) {
        self.push("invlpg", [addr, 0, 0]);
    }

    fn invpcid(&self, kind: u64, descriptor: [u64; 2]) {
        let pcide = self.here().cr4.load(Ordering::SeqCst) & 1 << 17 != 0;
        let faults = kind < 2 && descriptor[0] != 0 && !pcide || descriptor[0] >> 12 != 0;
        assert!(!faults, "#GP: INVPCID {kind} of {descriptor:x?}");
        self.push("invpcid", [kind, descriptor[0], descriptor[1]]);
    }

    fn read_cr3(&self) -> u64 {
        self.cr3()
    }

    fn write_cr3(&self, value: u64) {
        self.set_cr3(value);
        self.push("mov cr3", [value, 0, 0]);
    }

    fn read_cr4(&self) -> u64 {
        self.here().cr4.load(Ordering::SeqCst)
    }

    fn write_cr4(&self, value: u64) {
        self.here().cr4.store(value, Ordering::SeqCst);
        self.push("mov cr4", [value, 0, 0]);
    }

    fn invlpgb(&self, rax: u64, ecx: u32, edx: u32) {
        self.push("invlpgb", [rax, ecx.into(), edx.into()]);
    }

    fn tlbsync(&self) {
        self.push("tlbsync", [0; 3]);
    }

    fn cpuid(&self, leaf: u32, _subleaf: u32) -> CpuidAnswer {
        let cpu = *lock(&self.identification);
        let (eax, ebx, ecx, edx) = match leaf {
            0 => (cpu.highest, 0, 0, 0),
            1 => (cpu.leaf_1_eax, 0, cpu.leaf_1_ecx, 0),
            7 => (0, cpu.leaf_7_ebx, 0, 0),
            0x8000_0000 => (cpu.highest_extended, 0, 0, 0),
            0x8000_0008 => (0, cpu.leaf_8000_0008_ebx, 0, cpu.leaf_8000_0008_edx),
            _ => (0, 0, 0, 0),
        };
        CpuidAnswer { eax, ebx, ecx, edx }
    }
}
