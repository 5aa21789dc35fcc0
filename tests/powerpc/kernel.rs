//! Kernel mappings: quadrant 3, under PID 0.

use crate::common::*;
use tlb_shootdown::address::{PageRange, PageSize, RangeError, VirtAddr};
use tlb_shootdown::arch::powerpc::Config;
use tlb_shootdown::error::{FlushError, Refused};
use tlb_shootdown::flush::Flush;

const KERNEL: u64 = 0xc008_0000_0000_0000;

/// By PID and never by address, which is undefined outside of quadrant 0: of one page as of many.
#[test]
fn promise_03_kernel_pages_are_broadcast_as_everything_of_pid_0() {
    let world = World::power10(2);
    for pages in [1, 34] {
        let (executed, cost) = world.flush_kernel(leaves(KERNEL, pages));
        let expected = [PTESYNC, tlbie(BY_PID, 0), EIEIO, TLBSYNC, PTESYNC];
        assert_eq!(executed, expected);
        assert_eq!((cost.invalidations, cost.escalations), (1, 1));
    }
}

/// The repetition on POWER9 names no address of the kernel either.
#[test]
fn promise_03_kernel_pages_on_power9_are_mended_without_their_address() {
    let world = World::power9(2);
    let (executed, _) = world.flush_kernel(leaves(KERNEL, 1));
    let unused = tlbie(0x000f_ffff_ffff_f0a0, 0);
    let mended = [PTESYNC, tlbie(BY_PID, 0), PTESYNC, unused];
    assert_eq!(executed[1], tlbie(BY_PID, 0));
    assert_eq!(executed[2..6], mended);
}

#[test]
fn promise_08_kernel_tables_drop_walk_caches() {
    let world = World::power10(2);
    for pages in [1, 34] {
        let (executed, _) = world.flush_kernel(tables(KERNEL, pages));
        assert_eq!(executed[1], ("tlbie ric2 prs1", [BY_PID, 0]));
    }
}

/// A hypervisor's own entries hang under LPID 0, those of its guests under all others.
#[test]
fn promise_03_everything_of_a_hypervisor_is_guests_and_its_own() {
    let world = World::power10(2);
    let (executed, cost) = world.flush_kernel(Flush::all());
    let guests = ("tlbie ric2 prs1", [0xc00, 1]);
    let own = ("tlbie ric2 prs0", [0xc00, 0]);
    assert_eq!(executed, [PTESYNC, guests, own, EIEIO, TLBSYNC, PTESYNC]);
    assert_eq!(cost.invalidations, 2);
}

/// A guest names its partition, whose number the hypervisor knows.
#[test]
fn promise_03_everything_of_a_guest_is_its_partition() {
    let world = World::new(Config::guest(), POWER10, 2);
    let (executed, _) = world.flush_kernel(Flush::all());
    let partition = ("tlbie ric2 prs1", [0x800, 0]);
    assert_eq!(executed, [PTESYNC, partition, EIEIO, TLBSYNC, PTESYNC]);
}

/// A CPU that comes online drops what its TLB holds from earlier.
#[test]
fn promise_02_joining_cpu_drops_every_scope_in_every_set() {
    let world = World::power9(1);
    world.on(1);
    world.engine.cpu_online().unwrap();
    let executed = world.take();
    let partition_scoped = ("tlbiel ric2 prs0", [0xc00, 0]);
    assert_eq!(executed[..3], [PTESYNC, PTESYNC, partition_scoped]);
    for set in 1..128 {
        let rb = (set as u64) << 12 | 0xc00;
        assert_eq!(executed[2 + set], ("tlbiel ric0 prs0", [rb, 0]));
        assert_eq!(executed[130 + set], tlbiel(rb, 0));
    }
    assert_eq!(executed[130], ("tlbiel ric2 prs1", [0xc00, 0]));
    assert_eq!(executed[258..], [PTESYNC, SLBIA_ALL, ISYNC]);
}

#[test]
fn promise_02_joining_cpu_of_a_guest_drops_its_own_scope() {
    let world = World::new(Config::guest(), POWER10, 1);
    world.on(1);
    world.engine.cpu_online().unwrap();
    let own = ("tlbiel ric2 prs1", [0x800, 0]);
    let expected = [PTESYNC, PTESYNC, own, PTESYNC, CP_ABORT, SLBIA_ALL, ISYNC];
    assert_eq!(world.take(), expected);
}

#[test]
fn only_quadrant_3_is_the_kernels() {
    let world = World::power10(2);
    for addr in [0x5000, 0x4000_0000_0000_0000, 0xc010_0000_0000_0000] {
        let range = PageRange::page(VirtAddr::new(addr), PageSize::KIB_4);
        let refused = FlushError::Refused(Refused::Range(RangeError::NonCanonical));
        assert_eq!(world.engine.flush_kernel_range(range), Err(refused));
    }
    for first in [0xbfff_ffff_ffff_f000, 0xc00f_ffff_ffff_f000] {
        let refused = FlushError::Refused(Refused::Range(RangeError::NonCanonical));
        let across = world.engine.flush_kernel_range(kib4(first, 2));
        assert_eq!(across, Err(refused));
    }
}
