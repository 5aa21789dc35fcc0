//! Host threads as CPUs, with a TLB that remembers whose entries it holds under each ASID.

use std::cell::Cell;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::thread;
use tlb_shootdown::arch::Arch;
use tlb_shootdown::arch::aarch64::granule::Granule;
use tlb_shootdown::arch::aarch64::instructions::Instructions;
use tlb_shootdown::arch::aarch64::{Aarch64, AsidSlot, Config};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::CpuId;

const CPUS: usize = 2;
const SPACES: usize = 300;
const SWITCHES: u64 = 10000;

thread_local! {
    static CPU: Cell<usize> = const { Cell::new(0) };
}

/// Per CPU: for each ASID the space whose entries are held, plus 1.
struct Tlbs([[AtomicU64; 256]; CPUS]);

impl Tlbs {
    fn here(&self) -> &[AtomicU64; 256] {
        &self.0[CPU.get()]
    }
}

macro_rules! not_used {
    ($($bare:ident)*; $($by_operand:ident)*) => {
        $(fn $bare(&self) { unreachable!("{}", stringify!($bare)) })*
        $(fn $by_operand(&self, _: u64) { unreachable!("{}", stringify!($by_operand)) })*
    };
}

// SAFETY: only this test relies on it.
unsafe impl Instructions for Tlbs {
    fn dsb_nshst(&self) {}
    fn dsb_nsh(&self) {}
    fn isb(&self) {}

    fn tlbi_vmalle1(&self) {
        for entry in self.here() {
            entry.store(0, SeqCst);
        }
    }

    not_used!(dsb_ishst dsb_ish tlbi_vmalle1is;
        tlbi_vae1is tlbi_vale1is tlbi_vaae1is tlbi_vaale1is tlbi_aside1is
        tlbi_vae1 tlbi_vale1 tlbi_vaae1 tlbi_vaale1 tlbi_aside1
        tlbi_rvae1is tlbi_rvale1is tlbi_rvaae1is tlbi_rvaale1is
        tlbi_rvae1 tlbi_rvale1 tlbi_rvaae1 tlbi_rvaale1);

    fn midr(&self) -> u64 {
        0
    }
    fn id_aa64mmfr0(&self) -> u64 {
        0
    }
    fn id_aa64mmfr2(&self) -> u64 {
        0
    }
    fn id_aa64isar0(&self) -> u64 {
        0
    }
}

/// What each CPU runs: `asid << 32 | space + 1`, or 0 while it switches.
type Running = [AtomicU64; CPUS];

/// No other CPU runs another space under this ASID.
fn assert_alone(running: &Running, asid: u64, space: u64) {
    for other in running {
        let other = other.load(SeqCst);
        assert!(
            other >> 32 != asid || other & 0xffff_ffff == space + 1,
            "ASID {asid} is run by spaces {space} and {}",
            (other & 0xffff_ffff) - 1
        );
    }
}

fn run_one(
    machine: &Aarch64<Tlbs, 1>,
    running: &Running,
    spaces: &[AsidSlot],
    cpu: usize,
    chosen: u64,
) {
    running[cpu].store(0, SeqCst);
    let id = machine
        .activate(
            CpuId::new(cpu as u32),
            &spaces[chosen as usize],
            &mut || (),
            &mut Cost::default(),
        )
        .expect("there are more ASIDs than CPUs");
    running[cpu].store(id.0 << 32 | (chosen + 1), SeqCst);
    assert_alone(running, id.0, chosen);
    let entry = &machine.instructions().here()[id.0 as usize];
    let held = entry.swap(chosen + 1, SeqCst);
    assert!(
        held == 0 || held == chosen + 1,
        "CPU {cpu} runs space {chosen} on entries of space {}",
        held - 1
    );
}

/// 300 spaces on 255 ASIDs: dozens of rollovers while others switch.
#[test]
fn promise_07_no_cpu_ever_runs_on_entries_of_another_space() {
    let tlbs = Tlbs(std::array::from_fn(|_| {
        std::array::from_fn(|_| AtomicU64::new(0))
    }));
    let machine = Aarch64::<_, 1>::new(tlbs, Config::new(Granule::Kib4));
    let running: Running = std::array::from_fn(|_| AtomicU64::new(0));
    let spaces: Vec<_> = (0..SPACES).map(|_| AsidSlot::new()).collect();
    let together = Barrier::new(CPUS);
    thread::scope(|scope| {
        for cpu in 0..CPUS {
            let (machine, running, spaces, together) = (&machine, &running, &spaces, &together);
            scope.spawn(move || {
                CPU.set(cpu);
                together.wait();
                let mut random = 0x9e37_79b9_7f4a_7c15u64.wrapping_mul(cpu as u64 + 1);
                for _ in 0..SWITCHES {
                    // xorshift64
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    run_one(machine, running, spaces, cpu, random % SPACES as u64);
                }
            });
        }
    });
}
