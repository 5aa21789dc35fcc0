//! The words with which the image was booted, from QEMU's `-append`.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

use crate::port;

/// The selector and the data register of `fw_cfg` (QEMU, docs/specs/fw_cfg).
const SELECTOR: u16 = 0x510;
const DATA: u16 = 0x511;
/// The length of the kernel's command line, with the zero behind it, and the command line itself.
const COMMAND_LINE_SIZE: u16 = 0x14;
const COMMAND_LINE: u16 = 0x15;

const CAPACITY: usize = 256;

struct Buffer(UnsafeCell<[u8; CAPACITY]>);

// SAFETY: written once, by the caller that sets `TAKEN`, before anybody else gets to see it.
unsafe impl Sync for Buffer {}

static BUFFER: Buffer = Buffer(UnsafeCell::new([0; CAPACITY]));
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Reads them. Called once.
///
/// # Panics
/// Where it is called twice, or the words are too many or no text.
pub(crate) fn read() -> &'static str {
    assert!(
        !TAKEN.swap(true, Ordering::Relaxed),
        "the words are read once"
    );
    let size = item(COMMAND_LINE_SIZE)
        .take(4)
        .enumerate()
        .fold(0, |size, (at, byte)| size | usize::from(byte) << (8 * at));
    assert!(size <= CAPACITY, "too many words");
    // SAFETY: the swap above lets one caller through, once.
    let buffer = unsafe { &mut *BUFFER.0.get() };
    for (place, byte) in buffer.iter_mut().zip(item(COMMAND_LINE).take(size)) {
        *place = byte;
    }
    let text = core::str::from_utf8(&buffer[..size]).expect("words are text");
    text.trim_end_matches('\0')
}

/// The bytes of an item, from its beginning.
fn item(number: u16) -> impl Iterator<Item = u8> {
    // SAFETY: the selector of a device that does no DMA unless asked to.
    unsafe { port::write16(SELECTOR, number) };
    // SAFETY: a data register.
    core::iter::repeat_with(|| unsafe { port::read8(DATA) })
}
