//! A device that comes, goes, and does not answer.

use super::kernel::{Kernel, Life};
use crate::input::Input;
use tlb_shootdown::secondary::AttachKey;

impl Kernel<'_> {
    pub(super) fn attach_or_detach(&mut self, space: usize, input: &mut Input<'_>) {
        let machine = self.machine;
        let (engine, of) = (&machine.engine, &machine.spaces[space].0);
        let is_live = self.lives[space] == Life::Live;
        match self.attached[space] {
            None => {
                let attached = engine.attach(of, machine.device, AttachKey(space as u64));
                assert_eq!(attached.is_ok(), is_live, "{attached:?}");
                self.attached[space] = attached.ok();
                if attached.is_ok() {
                    machine.device.state().start_walks(space as u64);
                }
            }
            Some(attachment) => {
                // A release leaves the device in its place, and silent.
                let (ends, leaves) = machine.in_time(1, || match input.below(3) {
                    0 => (engine.release(of).is_ok(), false),
                    _ => (engine.detach(of, attachment).is_ok(), true),
                });
                if ends {
                    // Promise 10.
                    assert!(!machine.device.state().walks(space as u64));
                    assert!(!machine.device.state().holds_any_of(space as u64));
                }
                if ends && leaves {
                    self.attached[space] = None;
                }
            }
        }
    }

    /// The device finds no room, does not answer for some time, or has an error.
    pub(super) fn mishap(&self, input: &mut Input<'_>) {
        let mut device = self.machine.device.state();
        match input.below(3) {
            0 => device.full = input.below(3),
            1 => device.slow = input.pick(&[1, 5, 200]),
            _ => device.errors = input.below(3),
        }
    }
}
