//! CPUs that come, go, switch, borrow and do not answer.

use super::kernel::{Kernel, Life, Root};
use super::tickets::{Of, Open};
use crate::input::Input;
use tlb_shootdown::dma::DmaBarriers as _;
use tlb_shootdown::error::Refused;
use tlb_shootdown::ticket::Frames;
use tlb_shootdown_model::platform::{IpiScript, ModelBarriers};

impl Kernel<'_> {
    pub(super) fn go_on_at(&self, cpu: usize) {
        if self.online[cpu] {
            // The lock under which tables are changed goes along, so the stores are visible there.
            self.machine.engine.before_migration();
            ModelBarriers::new(self.machine.model.clone()).publish_tables();
            self.machine.ground.model.migrate(cpu);
        }
    }

    pub(super) fn switch(&mut self, cpu: usize, space: usize) {
        let machine = self.machine;
        let (of, tables) = &machine.spaces[space];
        let can = self.online[cpu] && self.lives[space] == Life::Live;
        let loaded = machine.on(cpu, || {
            let Ok(id) = machine.engine.switch_to(of) else {
                assert!(!can, "refused without a reason");
                return false;
            };
            machine.ground.model.load(of.id(), tables.root(), id);
            machine.engine.root_loaded();
            true
        });
        if loaded {
            assert!(can, "a space that is retired, or a CPU that is offline");
            self.runs[cpu] = Root::Of(space);
        }
    }

    pub(super) fn leave(&mut self, cpu: usize) {
        let machine = self.machine;
        machine.on(cpu, || {
            let id = machine.engine.switch_to_kernel();
            machine.model.cpu(cpu).load(machine.kernel.root(), id.0);
            machine.engine.root_loaded();
        });
        self.runs[cpu] = Root::Kernel;
    }

    /// A kernel thread goes on under the root of the process that ran last.
    pub(super) fn go_lazy(&mut self, cpu: usize) {
        let machine = self.machine;
        if let Root::Of(_) = self.runs[cpu] {
            machine.on(cpu, || {
                machine.engine.enter_lazy();
                machine.model.cpu(cpu).enter_lazy();
            });
            self.runs[cpu] = Root::Borrowed;
        }
    }

    pub(super) fn come_or_go(&mut self, cpu: usize) {
        let machine = self.machine;
        if cpu == machine.me() {
            return;
        }
        let port = machine.model.cpu(cpu);
        if self.online[cpu] {
            if self.runs[cpu] != Root::Borrowed {
                self.leave(cpu);
            }
            machine.on(cpu, || {
                // Nobody tells it any more what becomes of the kernel's half, and speculation walks what nobody touches.
                port.run_kernel(machine.parked.root());
                if self.runs[cpu] != Root::Borrowed {
                    port.run_nothing();
                }
                machine.engine.cpu_offline();
            });
            self.runs[cpu] = Root::Kernel;
        } else {
            machine.on(cpu, || {
                port.run_kernel(machine.kernel.root());
                port.run_nothing();
                machine.engine.cpu_online().expect("alike");
            });
        }
        self.online[cpu] = !self.online[cpu];
    }

    /// Interrupts for this CPU are late from now on, never arrive, or are all well again.
    pub(super) fn lose_interrupts(&self, cpu: usize, input: &mut Input<'_>) {
        let late = IpiScript::Delay(3);
        let script = input.pick(&[IpiScript::Lose, late, IpiScript::Deliver]);
        self.machine.ground.model.script_ipis(cpu, script);
    }

    /// Nobody runs the space any more, nothing of it is mapped, and nothing is on its way.
    pub(super) fn retire(&mut self, space: usize) {
        for cpu in 0..self.runs.len() {
            if self.runs[cpu] == Root::Of(space) {
                self.leave(cpu);
            }
        }
        let is_of_it = |open: &Open<'_>| matches!(open.of, Of::Pages(of, ..) if of == space);
        let is_used = !self.pages[space].is_empty() || self.tables[space].is_some();
        if self.open.iter().any(is_of_it) || is_used {
            return;
        }
        let machine = self.machine;
        let (of, tables) = &machine.spaces[space];
        match machine.engine.retire(of) {
            Ok(ticket) => {
                let root = machine.sink.give_table(tables.root());
                let mut frames = Frames::inline::<2>(&machine.sink);
                frames.push(root).expect("two places");
                assert_eq!(self.lives[space], Life::Live, "retired twice");
                self.lives[space] = Life::Ending;
                self.open.push(Open {
                    of: Of::End(space),
                    items: vec![root],
                    ticket: ticket.holding(frames),
                });
            }
            Err(Refused::Deferred) => assert!(of.is_flush_pending()),
            Err(error) => assert!(self.lives[space] != Life::Live, "{error:?}"),
        }
    }
}
