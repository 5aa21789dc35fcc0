//! The engine stands in a static, and its memory is a matter of the number of CPUs alone.

use tlb_shootdown::address::{PageRange, RangeError};
use tlb_shootdown::arch::powerpc::PowerPc;
use tlb_shootdown::arch::x86_64::X86_64;
use tlb_shootdown::arch::{
    Arch, Delivery, Entries, Half, HardwareId, IdError, Issued, JoinError, Reach, Unproven,
};
use tlb_shootdown::cost::Cost;
use tlb_shootdown::cpu_set::{CpuId, CpuMask};
use tlb_shootdown::platform::Platform;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::recorder::powerpc as power;
use tlb_shootdown_model::recorder::x86_64::Recorder;

/// One CPU without a TLB.
struct Nothing;

// SAFETY: there is no entry that could be stale.
unsafe impl Arch for Nothing {
    type Space = ();

    fn join(&self, _: CpuId) -> Result<(), JoinError> {
        Ok(())
    }

    fn delivery(&self, _: Option<HardwareId>) -> Delivery {
        Delivery::Broadcast
    }

    fn check_range(&self, _: Half, _: &PageRange) -> Result<(), RangeError> {
        Ok(())
    }

    fn store_barrier(&self, _: Reach, _: &mut Cost) {}

    fn hardware_id(&self, (): &()) -> Option<HardwareId> {
        None
    }

    fn flush_tlb_range(&self, _: HardwareId, _: &PageRange, _: Entries, _: Reach, _: &mut Cost) {}

    fn flush_tlb_space(&self, _: HardwareId, _: Reach, _: &mut Cost) {}

    fn flush_tlb_kernel_range(&self, _: &PageRange, _: Entries, _: Reach, _: &mut Cost) {}

    fn flush_tlb_all(&self, _: Reach, _: &mut Cost) {}

    fn complete_local(&self, _: impl IntoIterator<Item = Issued>, _: &mut Cost) {}

    fn complete_broadcast(
        &self,
        _: impl IntoIterator<Item = Issued>,
        _: &mut Cost,
    ) -> Result<(), Unproven> {
        Ok(())
    }

    fn activate(
        &self,
        _: CpuId,
        (): &(),
        _: &mut dyn FnMut(),
        _: &mut Cost,
    ) -> Result<HardwareId, IdError> {
        Err(IdError::Exhausted)
    }

    fn retire(&self, (): &()) {}

    fn before_migration(&self, _: &mut Cost) {}
}

// SAFETY: one CPU, which nobody interrupts.
unsafe impl Platform for Nothing {
    type Arch = Self;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(0)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}
}

/// The same on the x86-64 CPUs, which have state of their own.
struct OnX86;

// SAFETY: nothing runs on it.
unsafe impl Platform for OnX86 {
    type Arch = X86_64<Recorder, 4>;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(0)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}
}

/// The same on POWER CPUs, with a bit for each of half a million PIDs.
struct OnPower;

// SAFETY: nothing runs on it.
unsafe impl Platform for OnPower {
    type Arch = PowerPc<power::Recorder, 4>;
    type PinGuard = ();
    type IrqGuard = ();

    fn cpu(&self) -> CpuId {
        CpuId::new(0)
    }

    fn pin_cpu(&self) {}

    fn irq_save(&self) {}

    fn send_ipi(&self, _: CpuMask<'_>) {}
}

static ENGINE: Shootdown<Nothing, 4> = Shootdown::new(Nothing, Nothing);

#[test]
fn engine_stands_in_a_static() {
    ENGINE.cpu_online().expect("CPU 0 fits");
    assert!(ENGINE.flush_all().is_ok());
    assert_eq!(ENGINE.stats().completed, 1);
}

#[test]
fn engine_of_256_cpus_fits_in_512_kib() {
    assert!(size_of::<Shootdown<Nothing, 4>>() <= 512 * 1024);
    assert!(size_of::<Shootdown<Nothing, 1>>() <= 64 * 1024);
    assert!(size_of::<Shootdown<OnX86, 4>>() <= 512 * 1024);
    assert!(size_of::<Shootdown<OnPower, 4>>() <= 512 * 1024);
}
