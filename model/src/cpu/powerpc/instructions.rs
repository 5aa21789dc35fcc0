//! The library's instructions, executed by whichever CPU the calling thread is.

use super::operand::Form;
use crate::model::Model;
use crate::platform::current;
use crate::world::World;
use tlb_shootdown::arch::powerpc::instructions::Instructions;

/// The CPUs of a [`Model`] as the library's POWER room drives them. Operands are decoded here anew.
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

    fn invalidate(&self, broadcast: bool, [ric, prs]: [u8; 2], rb: u64, rs: u64) {
        let form = Form {
            ric,
            process_scoped: prs != 0,
            broadcast,
        };
        self.on(|world, cpu| world.invalidate(cpu, form, rb, rs));
    }
}

const TLBIE: bool = true;
const TLBIEL: bool = false;

macro_rules! invalidations {
    ($($method:ident: $instruction:ident ric $ric:literal prs $prs:literal),* $(,)?) => {
        $(fn $method(&self, rb: u64, rs: u64) {
            self.invalidate($instruction, [$ric, $prs], rb, rs);
        })*
    };
}

macro_rules! others {
    ($($method:ident: $does:ident),* $(,)?) => {
        $(fn $method(&self) {
            self.on(World::$does);
        })*
    };
}

// SAFETY: nothing but tests relies on it; each method acts on the machine as the instruction of its name does.
unsafe impl Instructions for ModelInstructions {
    others! {
        ptesync: ptesync,
        sync: sync,
        eieio: eieio,
        tlbsync: wait_for_tlbies,
        isync: isync,
        slbia_ih3: slbia,
        slbia_ih7: slbia,
        cp_abort: cp_abort,
    }

    invalidations! {
        tlbie_ric0_prs1: TLBIE ric 0 prs 1,
        tlbie_ric1_prs1: TLBIE ric 1 prs 1,
        tlbie_ric2_prs1: TLBIE ric 2 prs 1,
        tlbie_ric0_prs0: TLBIE ric 0 prs 0,
        tlbie_ric1_prs0: TLBIE ric 1 prs 0,
        tlbie_ric2_prs0: TLBIE ric 2 prs 0,
        tlbiel_ric0_prs1: TLBIEL ric 0 prs 1,
        tlbiel_ric1_prs1: TLBIEL ric 1 prs 1,
        tlbiel_ric2_prs1: TLBIEL ric 2 prs 1,
        tlbiel_ric0_prs0: TLBIEL ric 0 prs 0,
        tlbiel_ric2_prs0: TLBIEL ric 2 prs 0,
    }

    fn pvr(&self) -> u32 {
        self.on(|world, cpu| world.power(cpu).features.pvr)
    }
}
