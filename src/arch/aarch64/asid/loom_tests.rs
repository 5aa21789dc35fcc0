//! The end of a generation against context switches: no CPU finds under an ASID what another address space has left there.

use super::{Allocator, AsidSlot, Numbers};
use crate::cpu_set::CpuId;
use crate::loom_tests::two_cpus_in_part;
use loom::sync::Arc;
use loom::thread;

/// ASIDs 1 to 3.
const NUMBERS: Numbers = Numbers {
    asid_bits: 2,
    pairs: false,
};

const SPACES: usize = 4;

struct World {
    allocator: Allocator<1>,
    slots: [AsidSlot; SPACES],
}

/// Whose entries one CPU holds under each ASID. No other CPU sees them.
struct Cpu {
    id: CpuId,
    held: [Option<usize>; 4],
}

impl Cpu {
    fn new(id: u32) -> Self {
        Self {
            id: CpuId::new(id),
            held: [None; 4],
        }
    }

    /// Switches to the space and walks its table.
    fn run(&mut self, world: &World, space: usize) {
        let held = &mut self.held;
        let mut flush = || *held = [None; 4];
        let given = world.allocator.activate(
            self.id,
            &world.slots[space],
            NUMBERS,
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

/// Two CPUs that have used up the ASIDs: CPU 0 runs space 2 and has run space 0, CPU 1 runs space 1.
fn used_up() -> (Arc<World>, [Cpu; 2]) {
    let world = Arc::new(World {
        allocator: Allocator::new(),
        slots: core::array::from_fn(|_| AsidSlot::new()),
    });
    let mut cpus = [Cpu::new(0), Cpu::new(1)];
    cpus[0].run(&world, 0);
    cpus[1].run(&world, 1);
    cpus[0].run(&world, 2);
    (world, cpus)
}

fn race(first: [usize; 2], second: [usize; 2]) {
    two_cpus_in_part(3, move || {
        let (world, [mut one, mut other]) = used_up();
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
