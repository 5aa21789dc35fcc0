//! The local APIC: this CPU's number, starting CPUs, and interrupting them.

use tlb_shootdown::cpu_set::CpuMask;
use tlb_shootdown::dma::{Mmio, VolatileMmio};

use crate::clock;
use crate::layout::{LOCAL_APIC, LOCAL_APIC_LEN, TRAMPOLINE, mapped};

/// The vector by which a shootdown asks a CPU to look into its mailbox.
pub(crate) const SHOOTDOWN: u8 = 0x40;
/// The vector of an interrupt that went away before it was taken.
pub(crate) const SPURIOUS: u8 = 0xff;

/// Registers (Intel SDM volume 3, table 12-1).
const ID: usize = 0x20;
const END_OF_INTERRUPT: usize = 0xb0;
const LOGICAL_DESTINATION: usize = 0xd0;
const DESTINATION_FORMAT: usize = 0xe0;
const SPURIOUS_VECTOR: usize = 0xf0;
const COMMAND_LOW: usize = 0x300;
const COMMAND_HIGH: usize = 0x310;

/// Of the spurious-vector register: the APIC takes interrupts.
const ENABLED: u32 = 1 << 8;
/// Flat model: each CPU has one bit of the logical destination.
const FLAT: u32 = u32::MAX;

/// Of the command register (SDM, 12.6.1): the delivery mode, a destination by set of CPUs, a level that is asserted, and that the last
/// command is still under way.
const NMI: u32 = 0b100 << 8;
const INIT: u32 = 0b101 << 8;
const STARTUP: u32 = 0b110 << 8;
const LOGICAL: u32 = 1 << 11;
const PENDING: u32 = 1 << 12;
const ASSERT: u32 = 1 << 14;

/// What the multiprocessor specification (B.4) asks between INIT and the start-up IPI.
const INIT_DELAY: u64 = 10_000_000;

fn registers() -> VolatileMmio {
    // SAFETY: mapped; each CPU finds its own APIC there, and no access of one here disturbs another.
    unsafe { VolatileMmio::new(mapped(LOCAL_APIC), LOCAL_APIC_LEN) }
}

/// The CPU that runs this.
pub(crate) fn id() -> usize {
    (registers().read32(ID) >> 24) as usize
}

/// Lets this CPU take interrupts of other CPUs, also as a member of a set.
pub(crate) fn enable() {
    let apic = registers();
    apic.write32(DESTINATION_FORMAT, FLAT);
    apic.write32(LOGICAL_DESTINATION, 1 << (24 + id()));
    apic.write32(SPURIOUS_VECTOR, ENABLED | u32::from(SPURIOUS));
}

/// Starts CPU `cpu` at the trampoline, which is in its place.
pub(crate) fn start(cpu: usize) {
    command((cpu as u32) << 24, INIT | ASSERT);
    clock::wait_until(INIT_DELAY, &mut || false);
    command(
        (cpu as u32) << 24,
        STARTUP | ASSERT | (TRAMPOLINE >> 12) as u32,
    );
}

/// Interrupts these CPUs with one command.
pub(crate) fn interrupt(targets: CpuMask<'_>) {
    command(set(targets), LOGICAL | ASSERT | u32::from(SHOOTDOWN));
}

/// Interrupts these CPUs, even where they take no interrupts.
pub(crate) fn interrupt_anyway(targets: CpuMask<'_>) {
    command(set(targets), LOGICAL | ASSERT | NMI);
}

/// The interrupt being served is served.
pub(crate) fn end_of_interrupt() {
    registers().write32(END_OF_INTERRUPT, 0);
}

fn set(targets: CpuMask<'_>) -> u32 {
    targets
        .iter()
        .fold(0, |set, cpu| set | 1 << (24 + cpu.index()))
}

/// Called with interrupts off or where no handler sends any: the command is written in two halves. The stores before it
/// are visible before the interrupt is taken, as the register is uncached memory.
fn command(high: u32, low: u32) {
    let apic = registers();
    while apic.read32(COMMAND_LOW) & PENDING != 0 {
        clock::relax();
    }
    apic.write32(COMMAND_HIGH, high);
    apic.write32(COMMAND_LOW, low);
}
