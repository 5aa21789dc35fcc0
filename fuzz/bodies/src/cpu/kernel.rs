//! The smallest kernel: one CPU at a time, and nobody waits.

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, Ordering};
use tlb_shootdown::arch::Arch;
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown::ticket::Ticket;

pub(super) struct Host<A> {
    cpu: AtomicU32,
    arch: PhantomData<A>,
}

// SAFETY: one thread; nobody is pinned, and interrupts are served when the body says so.
unsafe impl<A: Arch> Platform for Host<A> {
    type Arch = A;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(self.cpu.load(Ordering::Relaxed))
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}
}

pub(super) struct Kernel<A: Arch> {
    pub(super) engine: Box<Shootdown<Host<A>, 1>>,
    cpus: u32,
}

impl<A: Arch> Kernel<A> {
    /// CPUs that are online; `started` is called on each of them.
    pub(super) fn new(arch: A, cpus: u32, started: impl Fn(&A, u32)) -> Self {
        let host = Host {
            cpu: AtomicU32::new(0),
            arch: PhantomData,
        };
        let kernel = Self {
            engine: Box::new(Shootdown::new(host, arch)),
            cpus,
        };
        for cpu in 0..cpus {
            kernel.on(cpu);
            started(kernel.engine.arch(), cpu);
            kernel.engine.cpu_online().expect("alike and few");
        }
        kernel.on(0);
        kernel
    }

    pub(super) fn on(&self, cpu: u32) {
        let host = self.engine.platform();
        host.cpu.store(cpu, Ordering::Relaxed);
    }

    /// Everybody answers, and the ticket completes.
    pub(super) fn finish(&self, ticket: Ticket<'_, Host<A>, 1>) -> Cost {
        for cpu in 1..self.cpus {
            self.on(cpu);
            self.engine.on_ipi();
        }
        self.on(0);
        ticket.wait().expect("everybody has answered")
    }
}
