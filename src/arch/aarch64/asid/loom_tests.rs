//! The end of a generation against context switches: no CPU finds under an ASID what another address space has left there.

use super::{Allocator, AsidSlot, Numbers};
use crate::cpu_set::CpuId;
use crate::loom_tests::{three_cpus, two_cpus};
use loom::sync::Arc;
use loom::thread;

/// ASIDs 1 to 3: fewer than two CPUs with a space each can use up.
const FEW: Numbers = Numbers {
    asid_bits: 2,
    pairs: false,
};
/// ASIDs 1 to 7.
const MORE: Numbers = Numbers {
    asid_bits: 3,
    pairs: false,
};

const SPACES: usize = 9;

struct World {
    numbers: Numbers,
    allocator: Allocator<1>,
    slots: [AsidSlot; SPACES],
}

/// Whose entries one CPU holds under each ASID. No other CPU sees them.
struct Cpu {
    id: CpuId,
    held: [Option<usize>; 8],
}

impl Cpu {
    fn new(id: u32) -> Self {
        Self {
            id: CpuId::new(id),
            held: [None; 8],
        }
    }

    /// Switches to the space and walks its table.
    fn run(&mut self, world: &World, space: usize) {
        let held = &mut self.held;
        let mut flush = || *held = [None; 8];
        let given = world.allocator.activate(
            self.id,
            &world.slots[space],
            world.numbers,
            &mut || (),
            &mut flush,
        );
        let asid = given.expect("fewer CPUs than ASIDs").asid();
        let found = self.held[asid as usize].replace(space);
        assert!(
            found.is_none_or(|other| other == space),
            "{space} uses what {found:?} has left under {asid}"
        );
    }
}

/// CPUs that have used up the ASIDs.
fn after<const CPUS: usize>(
    numbers: Numbers,
    runs: &[(usize, usize)],
) -> (Arc<World>, [Cpu; CPUS]) {
    let world = Arc::new(World {
        numbers,
        allocator: Allocator::new(),
        slots: core::array::from_fn(|_| AsidSlot::new()),
    });
    let mut cpus = core::array::from_fn(|id| Cpu::new(id as u32));
    for &(cpu, space) in runs {
        cpus[cpu].run(&world, space);
    }
    (world, cpus)
}

/// CPU 0 runs space 2 and has run space 0, CPU 1 runs space 1.
fn race(first: [usize; 2], second: [usize; 2]) {
    two_cpus(move || {
        let (world, [mut one, mut other]) = after(FEW, &[(0, 0), (1, 1), (0, 2)]);
        let there = world.clone();
        let switches = thread::spawn(move || {
            second.iter().for_each(|&space| other.run(&there, space));
        });
        first.iter().for_each(|&space| one.run(&world, space));
        switches.join().expect("its assertions hold");
    });
}

/// The new space ends the generation while the other CPU switches to one whose ASID is about to be given away.
#[test]
fn loom_promise_07_rollover_against_switch() {
    race([3, 2], [0, 1]);
}

/// Both end a generation, or one finds that the other has.
#[test]
fn loom_promise_07_two_rollovers() {
    race([3, 0], [0, 3]);
}

/// Three CPUs come to a new space, one of them by way of the space that another runs, one by way of that whose ASID the new one gets.
#[test]
fn loom_promise_07_rollover_against_two_switches() {
    let one_each = [(0, 0), (0, 1), (1, 2), (1, 3), (1, 4), (1, 5), (2, 6)];
    // ASID 2 is full of space 1 everywhere; CPU 0 runs space 0, CPU 1 space 5, CPU 2 space 6.
    let again = [(1, 1), (2, 1), (0, 0), (1, 5), (2, 6)];
    let runs = [&one_each[..], &again].concat();
    three_cpus(move || {
        let (world, [one, other, mut last]) = after(MORE, &runs);
        let others = [(one, [1, 7]), (other, [0, 7])].map(|(mut cpu, spaces)| {
            let world = world.clone();
            thread::spawn(move || spaces.iter().for_each(|&space| cpu.run(&world, space)))
        });
        last.run(&world, 7);
        for switches in others {
            switches.join().expect("its assertions hold");
        }
    });
}
