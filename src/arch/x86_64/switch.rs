//! The switch between roots, and the roots that are kept loaded for nobody.

use super::X86_64;
use super::instructions::Instructions;
use super::operand::{Pcid, cr3::Cr3};
use super::own::Entry;
use super::per_cpu::Cpu;
use super::slots;
use super::space_pcid::{self, SpacePcid};
use crate::address::PhysAddr;
use crate::arch::shown::Loaded;
use crate::arch::{HardwareId, Presence};
use crate::cpu_set::CpuId;
use crate::space_id::SpaceId;

impl<I: Instructions, const WORDS: usize> X86_64<I, WORDS> {
    /// The second half of a switch to a space: under which identifier, and whether what is cached under it may stay.
    pub(super) fn choose(
        &self,
        cpu: &Cpu,
        space: SpaceId,
        hardware: &SpacePcid,
        generation: u64,
    ) -> HardwareId {
        // Not the identifier that the first half saw: whoever does not find this CPU switching has published the common one by now.
        if let Some(pcid) = space_pcid::shared(hardware.hardware_id()) {
            cpu.own.enter(Entry {
                loaded: Loaded::global(space),
                slot: None,
                claims: 0,
                pcid,
            });
            // Clean when it was given to the space, and kept so by broadcasts.
            return keeping(pcid);
        }
        let uses_pcids = self.features.pcids();
        let count = if uses_pcids {
            self.config.slot_count()
        } else {
            1
        };
        let choice = cpu.own.slots.choose(space, generation, count);
        let keeps = uses_pcids && choice.is_current;
        let pcid = if uses_pcids {
            slots::pcid(choice.slot)
        } else {
            Pcid::default()
        };
        cpu.own.enter(Entry {
            loaded: Loaded::own(space),
            slot: Some(choice.slot),
            claims: if keeps { 0 } else { generation },
            pcid,
        });
        if keeps {
            return keeping(pcid);
        }
        self.distrust_user(cpu, choice.slot);
        pcid.into()
    }

    pub(super) fn choose_kernel(&self, cpu: &Cpu) -> HardwareId {
        cpu.begin_switch();
        cpu.own.enter(Entry {
            loaded: Loaded::KERNEL,
            slot: None,
            claims: 0,
            pcid: Pcid::default(),
        });
        // Its identifier is nobody else's, and loading it drops what little there is: kernel mappings that are not global.
        Pcid::default().into()
    }

    /// How a CPU stands to a space whose identifier the initiator knows as `id`.
    pub(super) fn presence_of(cpu: &Cpu, space: SpaceId, id: HardwareId) -> Presence {
        let loaded = cpu.shown.loaded();
        let is_lazy = cpu.shown.is_lazy();
        if loaded.is_switching() {
            Presence::Running
        } else if !loaded.is_of(space) {
            Presence::Elsewhere
        } else if loaded.is_global() {
            // An initiator that has not seen the common identifier does not broadcast to it.
            match space_pcid::shared(id) {
                Some(_) => Presence::Reached,
                None => Presence::Running,
            }
        } else if is_lazy {
            Presence::Lazy
        } else {
            Presence::Running
        }
    }

    /// What the exit to a process loads with the process's own root, under [`Config::kpti`](super::Config::kpti): its identifier, and bit
    /// 63 where what is cached under it may stay.
    ///
    /// # Context
    /// On the CPU itself, with interrupts off until the root is loaded. A flush served after this call is lost on it, and so is one
    /// that it answers for where the root is not loaded after all.
    pub fn user_cr3_on_exit(&self, cpu: CpuId) -> HardwareId {
        let own = match self.cpus.get(cpu) {
            Some(cpu) => &cpu.own,
            None => return HardwareId(0),
        };
        match own.slot() {
            Some(slot) if own.pcid() != Pcid::default() => {
                let user = own.pcid().user();
                if own.take_stale_user(slot) {
                    user.into()
                } else {
                    keeping(user)
                }
            }
            _ => HardwareId(0),
        }
    }
}

/// The identifier with the order to keep what is cached under it.
fn keeping(pcid: Pcid) -> HardwareId {
    let nowhere = PhysAddr::new(0);
    HardwareId(Cr3::new(nowhere).with_pcid(pcid).keeping().raw())
}
