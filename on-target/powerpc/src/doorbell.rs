//! Interrupting other CPUs: by a doorbell where nobody stands above this kernel, by the hypervisor's XICS otherwise.

use core::arch::asm;

use tlb_shootdown::cpu_set::CpuMask;

use crate::{cpus, hypercall, spr};

/// A doorbell for the hypervisor, in RB of MSGSND and MSGCLR (Power ISA 3.0B, Book III, "Processor Control"): the type, above a thread's PIR.
const SERVER_DOORBELL: u64 = 5 << 27;

/// XICS: the priority at which everything is let through, and the one of nothing; that of an interrupt by another CPU, and its source.
const LEAST: u64 = 0xff;
const URGENT: u64 = 4;
const SOURCE_IPI: u64 = 2;
/// The source in what H_XIRR returns; the priority is above it.
const SOURCE: u64 = 0xff_ffff;

/// Lets this CPU be interrupted. Interrupts may still be off.
pub(crate) fn enable() {
    if !spr::is_hypervisor() {
        hypervisor(hypercall::CPPR, [LEAST, 0]);
    }
}

/// Interrupts these CPUs. The stores before it are visible when they look.
pub(crate) fn ring(targets: CpuMask<'_>) {
    // SAFETY: a barrier.
    unsafe { asm!("sync", options(nostack, preserves_flags)) };
    for cpu in targets.iter() {
        if spr::is_hypervisor() {
            let message = SERVER_DOORBELL | cpus::pir(cpu.index());
            // MSGSND r4 by its word, which assemblers know for other CPUs alone.
            // SAFETY: every vector has a handler.
            unsafe {
                asm!(".long 0x7c00219c", in("r4") message, options(nostack, preserves_flags))
            };
        } else {
            hypervisor(hypercall::IPI, [cpu.index() as u64, URGENT]);
        }
    }
}

/// What the handler of such an interrupt begins with.
pub(crate) fn accept() {
    if spr::is_hypervisor() {
        // SAFETY: orders what follows after the stores of whoever rang.
        unsafe { asm!("msgsync", "sync", options(nostack, preserves_flags)) };
        return;
    }
    let interrupt = hypervisor(hypercall::XIRR, [0, 0]);
    if interrupt & SOURCE == SOURCE_IPI {
        hypervisor(hypercall::IPI, [cpus::current() as u64, LEAST]);
    }
    hypervisor(hypercall::EOI, [interrupt, 0]);
}

/// One call about interrupts; what it returns.
fn hypervisor(number: u64, arguments: [u64; 2]) -> u64 {
    // SAFETY: these calls reach no memory, and every vector has a handler.
    let (status, value) = unsafe { hypercall::call(number, [arguments[0], arguments[1], 0, 0]) };
    assert!(
        status == hypercall::SUCCESS,
        "hypervisor call {number:#x}: {status}"
    );
    value
}
