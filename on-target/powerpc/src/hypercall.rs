//! Calls of a hypervisor (PAPR, "Logical Partitioning Option"), for a kernel that has one above it.

use core::arch::asm;

pub(crate) const PUT_TERM_CHAR: u64 = 0x58;
pub(crate) const EOI: u64 = 0x64;
pub(crate) const CPPR: u64 = 0x68;
pub(crate) const IPI: u64 = 0x6c;
pub(crate) const XIRR: u64 = 0x74;
pub(crate) const SET_MODE: u64 = 0x31c;
pub(crate) const REGISTER_PROCESS_TABLE: u64 = 0x37c;
/// QEMU's own: run-time services without firmware in between.
pub(crate) const RTAS: u64 = 0xf000;

/// H_SUCCESS.
pub(crate) const SUCCESS: i64 = 0;

/// Makes one call; the status and the first value returned.
///
/// # Safety
/// What the call does is no surprise to the kernel; addresses among the arguments are those of memory that it may use so.
pub(crate) unsafe fn call(number: u64, arguments: [u64; 4]) -> (i64, u64) {
    let (status, value): (i64, u64);
    // SAFETY: the caller's promise. A call may change r0, r3 to r12, CTR, XER and some of CR.
    unsafe {
        asm!(
            "sc 1",
            inlateout("r3") number => status,
            inlateout("r4") arguments[0] => value,
            inlateout("r5") arguments[1] => _,
            inlateout("r6") arguments[2] => _,
            inlateout("r7") arguments[3] => _,
            out("r0") _, out("r8") _, out("r9") _, out("r10") _, out("r11") _, out("r12") _,
            out("ctr") _, out("xer") _, out("cr0") _, out("cr1") _, out("cr5") _, out("cr6") _, out("cr7") _,
            options(nostack)
        );
    }
    (status, value)
}
