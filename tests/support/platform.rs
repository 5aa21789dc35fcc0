//! The kernel underneath: host threads as CPUs.

use super::journal::Event;
use super::machine::Cpu;
use super::{Machine, Point, TestArch};
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Waker;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::space::SpaceId;

#[derive(Clone, Copy)]
pub(crate) struct Host(pub(crate) &'static Machine);

/// One count of the CPU on which it was made. Interrupts that come due are taken when the last one goes.
pub(crate) struct Guard {
    machine: &'static Machine,
    cpu: usize,
    count: fn(&Cpu) -> &AtomicU32,
}

impl Guard {
    fn new(machine: &'static Machine, count: fn(&Cpu) -> &AtomicU32) -> Self {
        let cpu = machine.current();
        // A CPU beyond the machine has nothing to count.
        if let Some(cpu) = machine.cpus.get(cpu) {
            count(cpu).fetch_add(1, Ordering::Relaxed);
        }
        Self {
            machine,
            cpu,
            count,
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(cpu) = self.machine.cpus.get(self.cpu) {
            (self.count)(cpu).fetch_sub(1, Ordering::Relaxed);
            if self.machine.current() == self.cpu {
                self.machine.safe_point();
            }
        }
    }
}

// SAFETY: nothing but tests relies on it. Each CPU is one thread at a time, guards are counted, and interrupts are taken at the next
// safe point of their CPU.
unsafe impl Platform for Host {
    type Arch = TestArch;
    type PinGuard = Guard;
    type IrqGuard = Guard;

    fn cpu(&self) -> CpuId {
        CpuId::new(self.0.current() as u32)
    }

    fn pin_cpu(&self) -> Guard {
        Guard::new(self.0, |cpu| &cpu.pins)
    }

    fn irq_save(&self) -> Guard {
        Guard::new(self.0, |cpu| &cpu.irqs_off)
    }

    fn send_ipi(&self, targets: CpuMask<'_>) {
        let targets: Vec<usize> = targets.iter().map(CpuId::index).collect();
        assert!(!targets.contains(&self.0.current()), "interrupts itself");
        for cpu in &targets {
            self.0.interrupt(*cpu);
        }
        self.0.journal.push(Event::Ipi(targets));
    }

    fn send_nmi(&self, targets: CpuMask<'_>) -> bool {
        let has_nmi = self.0.has_nmi.load(Ordering::Relaxed);
        if has_nmi {
            targets
                .iter()
                .for_each(|cpu| self.0.interrupt_by_nmi(cpu.index()));
        }
        has_nmi
    }

    fn relax(&self) {
        self.0.clock.fetch_add(1000, Ordering::Relaxed);
        self.0.pass(Point::Relax);
        self.0.safe_point();
        self.0.deliver();
        std::thread::yield_now();
    }

    fn wake_later(&self, waker: &Waker) -> bool {
        self.0.pass(Point::WakeLater);
        let mut wakers = self.0.wakers.lock().unwrap();
        let kept = wakers.as_mut().map(|wakers| wakers.push(waker.clone()));
        kept.is_some()
    }

    fn now(&self) -> Option<u64> {
        let has_clock = self.0.has_clock.load(Ordering::Relaxed);
        has_clock.then(|| self.0.clock.load(Ordering::Relaxed))
    }

    fn leave_borrowed_root(&self, _space: Option<SpaceId>) {
        self.0.here().left_roots.fetch_add(1, Ordering::Relaxed);
    }

    fn repairs_spurious_faults(&self) -> bool {
        self.0.repairs.load(Ordering::Relaxed)
    }
}
