//! Shootdowns that are under way.

use super::kernel::{Kernel, Life};
use super::machine::CPUS;
use super::platform::Ground;
use super::sink::{Fate, Sink};
use crate::input::Input;
use std::ops::RangeInclusive;
use std::task::Poll;
use tlb_shootdown::ticket::{Frames, Item, Ticket, wait_for_all};

type Held<'m> = Ticket<'m, Ground, 1, Frames<'m, Sink, [Item; 2]>>;

/// What a ticket is of.
pub(super) enum Of {
    /// Pages of a space, as they were after so many changes.
    Pages(usize, RangeInclusive<u64>, u64),
    /// The end of a space.
    End(usize),
    Kernel,
    /// The kernel's half, tables included, as they were after so many reads of the device.
    KernelTables(u64),
}

pub(super) struct Open<'m> {
    pub(super) of: Of,
    pub(super) items: Vec<Item>,
    pub(super) ticket: Held<'m>,
}

impl<'m> Kernel<'m> {
    /// Looks at a ticket, waits for it or for two, presses it, or drops it.
    pub(super) fn look(&mut self, input: &mut Input<'_>) {
        if self.open.is_empty() {
            return;
        }
        let machine = self.machine;
        let index = input.below(self.open.len() as u64) as usize;
        match input.below(6) {
            0 => {
                if let Poll::Ready(Ok(_)) = self.open[index].ticket.poll() {
                    let Open { of, items, .. } = self.open.swap_remove(index);
                    self.ended(&of, &items);
                }
            }
            1 => {
                let one = self.open.swap_remove(index);
                self.wait(one);
            }
            2 => self.open[index].ticket.escalate(),
            3 => self.open[index].ticket.renew(),
            4 if self.open.len() > 1 => self.wait_for_two(index),
            _ => {
                let dropped = self.open.swap_remove(index);
                machine.in_time(1, || drop(dropped));
            }
        }
    }

    // The ticket is the point of the error.
    #[allow(clippy::result_large_err)]
    fn wait(&mut self, Open { of, items, ticket }: Open<'m>) {
        match self.machine.in_time(1, || ticket.wait()) {
            Ok(_) => self.ended(&of, &items),
            Err(unfinished) => self.open.push(Open {
                of,
                items,
                ticket: unfinished.ticket,
            }),
        }
    }

    // The ticket is the point of the error.
    #[allow(clippy::result_large_err)]
    fn wait_for_two(&mut self, index: usize) {
        let one = self.open.swap_remove(index);
        let other = self.open.remove(0);
        let both = [(one.of, one.items), (other.of, other.items)];
        let tickets = [one.ticket, other.ticket];
        // The second one's deadline may be the later by a step of its own.
        match self.machine.in_time(2, || wait_for_all(tickets)) {
            Ok(_) => both.iter().for_each(|(of, items)| self.ended(of, items)),
            Err(tickets) => {
                for (mut ticket, (of, items)) in tickets.into_iter().zip(both) {
                    match ticket.poll() {
                        Poll::Ready(Ok(_)) => self.ended(&of, &items),
                        _ => self.open.push(Open { of, items, ticket }),
                    }
                }
            }
        }
    }

    /// Everybody has answered.
    fn ended(&mut self, of: &Of, items: &[Item]) {
        let machine = self.machine;
        for item in items {
            let (Item::Frame { base, .. } | Item::DirtyFrame { base, .. } | Item::Table { base }) =
                item;
            assert_eq!(machine.sink.fate(base.raw()), Some(Fate::Released));
        }
        match of {
            Of::Pages(space, pages, started) => self.completed(*space, pages.clone(), *started),
            Of::End(space) => {
                assert!(!machine.device.state().walks(*space as u64));
                let root = Some(machine.spaces[*space].1.root());
                let is_loaded = |cpu| machine.model.cpu(cpu).root() == root;
                assert!(!(0..CPUS).any(is_loaded), "a root that was freed");
                self.lives[*space] = Life::Over;
            }
            Of::Kernel => {}
            Of::KernelTables(reads) => machine.device.state().assert_forgot_kernel_tables(*reads),
        }
    }

    /// Everybody answers: pressed once more, so that interrupts that were lost are sent again, each completes within a few turns.
    pub(super) fn end_tickets(&mut self) {
        for Open {
            of,
            items,
            mut ticket,
        } in std::mem::take(&mut self.open)
        {
            ticket.escalate();
            self.machine.ground.take_turns();
            assert!(ticket.wait().is_ok(), "everybody answers");
            assert!(
                self.machine.ground.take_turns() < 8,
                "who answers is not seen"
            );
            self.ended(&of, &items);
        }
    }
}
