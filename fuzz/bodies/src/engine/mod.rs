//! The public API as a state machine: three CPUs, two spaces, the kernel's half and a device, on the model with its oracle.

mod batches;
mod cpus;
mod device;
mod devices;
mod kernel;
mod kernel_half;
mod machine;
mod mapping;
mod platform;
mod sink;
mod tickets;
mod upgrades;

use crate::input::Input;
use kernel::Kernel;
use machine::Machine;

/// Operations in any order: nothing stale is used or held after a completion, every frame is released once or quarantined, whatever
/// is refused is refused by a typed error, nobody waits beyond his patience, and once everybody answers everything completes.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let machine = Machine::new(&mut input);
    let mut kernel = Kernel::new(&machine);
    for _ in 0..60 {
        if input.is_empty() {
            break;
        }
        kernel.step(&mut input);
        machine.sink.assert_content();
        assert_eq!(machine.model.violations(), []);
    }
    kernel.finish();
    machine.sink.assert_content();
    assert_eq!(machine.model.violations(), []);
    machine.sink.assert_all_accounted_for();
}
