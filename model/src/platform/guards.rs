//! Pinned tasks and masked interrupts, counted per CPU by the machine.

use crate::cpu::Cpu;
use crate::model::Model;

/// Keeps the task on its CPU.
#[derive(Debug)]
pub struct PinGuard {
    _count: Counted,
}

/// Keeps interrupts off.
#[derive(Debug)]
pub struct IrqGuard {
    _count: Counted,
}

impl PinGuard {
    pub(crate) fn new(model: &Model, cpu: usize) -> Self {
        Self {
            _count: Counted::new(model, cpu, |cpu| &mut cpu.pins),
        }
    }
}

impl IrqGuard {
    pub(super) fn new(model: &Model, cpu: usize) -> Self {
        Self {
            _count: Counted::new(model, cpu, |cpu| &mut cpu.irqs_off),
        }
    }
}

/// One count more for as long as it lives. A CPU that the machine does not have is not counted.
#[derive(Debug)]
struct Counted {
    model: Model,
    cpu: usize,
    counter: fn(&mut Cpu) -> &mut u32,
}

impl Counted {
    fn new(model: &Model, cpu: usize, counter: fn(&mut Cpu) -> &mut u32) -> Self {
        let counted = Self {
            model: model.clone(),
            cpu,
            counter,
        };
        counted.change(|count| *count += 1);
        counted
    }

    fn change(&self, f: impl FnOnce(&mut u32)) {
        self.model.with(|world| {
            if let Some(cpu) = world.cpus.get_mut(self.cpu) {
                f((self.counter)(cpu));
            }
        });
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.change(|count| *count -= 1);
    }
}
