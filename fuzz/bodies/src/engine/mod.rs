//! The public API as a state machine: three CPUs, two spaces and a device, on the model with its oracle.

mod device;
mod kernel;
mod sink;

use crate::input::Input;
use kernel::{Kernel, Machine};

/// Operations in any order: nothing stale is used or held after a completion, every frame is released once or quarantined, and whatever
/// is refused is refused by a typed error.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let machine = Machine::new(&mut input);
    let mut kernel = Kernel::new(&machine);
    for _ in 0..60 {
        if input.is_empty() {
            break;
        }
        kernel.step(&mut input);
        assert_eq!(machine.model.violations(), []);
    }
    kernel.finish();
    assert_eq!(machine.model.violations(), []);
    machine.sink.assert_all_accounted_for();
}
