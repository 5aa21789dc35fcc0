//! Run-time services (PAPR, "Run-Time Abstraction Services") of machine `pseries`.

use crate::hypercall;
use crate::layout::phys_of;

/// The numbers that QEMU gives them.
const POWER_OFF: u32 = 0x2003;
const START_CPU: u32 = 0x2006;
const OS_TERM: u32 = 0x201f;

/// Arguments and results, each a big-endian word: service, how many of either, and those.
#[repr(C, align(64))]
struct Call([u32; 8]);

/// Calls a service that takes these arguments and returns a status; the status.
///
/// # Safety
/// What the service does is no surprise to the kernel.
unsafe fn call<const N: usize>(service: u32, arguments: [u32; N]) -> i32 {
    let mut call = Call([0; 8]);
    call.0[..3].copy_from_slice(&[service, N as u32, 1]);
    call.0[3..3 + N].copy_from_slice(&arguments);
    call.0 = call.0.map(u32::to_be);
    let place = phys_of(&raw mut call);
    // SAFETY: the caller's promise; the words are this function's own.
    let (status, _) = unsafe { hypercall::call(hypercall::RTAS, [place, 0, 0, 0]) };
    if status != hypercall::SUCCESS {
        return -1;
    }
    i32::from_be(call.0[3 + N].cast_signed())
}

/// Starts CPU `cpu` at the image's first byte with its number as argument.
///
/// # Panics
/// Where it does not start.
pub(crate) fn start(cpu: usize) {
    // SAFETY: `boot.s` is prepared for it.
    let status = unsafe { call(START_CPU, [cpu as u32, 0, cpu as u32]) };
    assert!(status == 0, "CPU {cpu} does not start: {status}");
}

/// Ends the machine well.
pub(crate) fn power_off() {
    // SAFETY: nothing goes on afterwards.
    unsafe { call(POWER_OFF, [u32::MAX, u32::MAX]) };
}

/// Ends the machine as one whose system has broken down.
pub(crate) fn terminate() {
    static WORDS: [u8; 22] = *b"the kernel has ended.\0";
    // SAFETY: nothing goes on afterwards.
    unsafe { call(OS_TERM, [phys_of(&raw const WORDS) as u32]) };
}
