//! How CPUs and devices use what the kernel has mapped, and how that must go.

use super::Machine;
use super::kernel::{CPUS, Does, Kernel, SPACES};
use super::pages::Half;
use tlb_shootdown::platform::Platform as _;

impl<M: Machine> Kernel<M> {
    /// The CPU reads everything there is, so that there is something to be stale.
    pub(super) fn touch(&mut self, cpu: usize) {
        self.touch_half(cpu, Half::Kernel);
        if let Does::Runs(space) = self.cpus[cpu] {
            self.touch_half(cpu, Half::User(space));
        }
    }

    pub(crate) fn touch_half(&mut self, cpu: usize, half: Half) {
        for page in 0..self.layout.pages() {
            self.access(cpu, half, page, false);
        }
    }

    /// Everybody tries to write to every page of what it runs or serves.
    pub(super) fn write_everywhere(&mut self) {
        for space in 0..SPACES {
            for page in 0..self.layout.pages() {
                self.access_by_all(space, page, true);
            }
        }
    }

    /// Everybody who runs or serves the space uses a page of it.
    pub(super) fn access_by_all(&mut self, space: usize, page: u64, write: bool) {
        for cpu in 0..CPUS {
            self.access(cpu, Half::User(space), page, write);
        }
        for context in 0..self.served.len() {
            let serves = self.served[context].as_ref();
            if serves.is_some_and(|served| served.space == space) {
                self.device_access(context, page, write);
            }
        }
    }

    /// The address of a page, and a word that nobody has written yet.
    pub(crate) fn place(&mut self, half: Half, page: u64) -> (u64, u64) {
        self.stamp += 1;
        (self.layout.address(half, page), self.stamp)
    }

    /// An access must go as the table says, wherever no change is pending.
    pub(crate) fn access(&mut self, cpu: usize, half: Half, page: u64, write: bool) {
        let port = self.rig.cpu(cpu);
        match half {
            Half::User(space) if self.cpus[cpu] != Does::Runs(space) => return,
            Half::User(_) => {}
            Half::Kernel => self.rig.enter_kernel(cpu),
        }
        let (va, stamp) = self.place(half, page);
        let done = self.tries(cpu, half, page, write, || {
            if write {
                port.write(va, stamp).is_ok()
            } else {
                port.read(va).is_ok()
            }
        });
        self.check(half, page, write, done);
        self.check_written(half, page, write && done);
    }

    /// Whether the access is made, with the handler's help where it repairs spurious faults.
    pub(crate) fn tries(
        &mut self,
        cpu: usize,
        half: Half,
        page: u64,
        write: bool,
        attempt: impl Fn() -> bool,
    ) -> bool {
        let mut done = attempt();
        // The handler goes on under the kernel's own identifier, where there is one, and may fault there once more.
        for _ in 0..2 {
            if !done && self.repairs && self.book(half).allows(page, write) {
                self.repair(cpu, half, page);
                done = attempt();
            }
        }
        done
    }

    fn repair(&self, cpu: usize, half: Half, page: u64) {
        let Half::User(space) = half else { return };
        let me = self.me();
        self.rig.enter_kernel(cpu);
        self.rig.platform().set_current(cpu);
        let (at, size) = (self.at(half, page), self.layout.size(page));
        let space = self.processes[space].space;
        let repaired = self.rig.engine().fix_spurious_fault(space, at, size);
        repaired.unwrap();
        self.rig.platform().set_current(me);
    }

    pub(crate) fn check(&mut self, half: Half, page: u64, write: bool, done: bool) {
        let is_deferred = self.is_deferred(half, page);
        let book = self.book(half);
        if !book.is_open(page) && !is_deferred {
            let allowed = book.allows(page, write);
            assert_eq!(done, allowed, "{half:?}, page {page}");
        }
    }

    /// What was written is where the page is.
    fn check_written(&mut self, half: Half, page: u64, written: bool) {
        let frame = self.book(half).pages.get(&page).map(|page| page.frame);
        if let (true, Some(frame)) = (written, frame) {
            assert_eq!(self.rig.model().peek(frame), self.stamp);
        }
    }

    /// As by a CPU; but nobody repairs what a device faults on, and a context that serves nobody reaches nothing.
    pub(super) fn device_access(&mut self, context: usize, page: u64, write: bool) {
        let Some(served) = self.served.get(context) else {
            return;
        };
        let serves = served.as_ref().map(|served| served.space);
        let half = Half::User(serves.unwrap_or(0));
        let (va, stamp) = self.place(half, page);
        let done = if write {
            self.devices.write(context, va, stamp)
        } else {
            self.devices.read(context, va)
        };
        if serves.is_none() {
            return assert!(!done, "context {context} serves nobody");
        }
        self.check_device(half, page, write, done);
        self.check_written(half, page, write && done);
    }

    /// Devices that are told at once have forgotten what is in a batch.
    fn check_device(&mut self, half: Half, page: u64, write: bool, done: bool) {
        if !self.devices.are_told_at_once() {
            return self.check(half, page, write, done);
        }
        let book = self.book(half);
        if !book.is_open(page) {
            let allowed = book.allows(page, write);
            assert_eq!(done, allowed, "{half:?}, page {page}, of a device");
        }
    }

    pub(super) fn device_touch(&mut self, context: usize) {
        for page in 0..self.layout.pages() {
            self.device_access(context, page, false);
        }
    }

    /// A device faults, and the kernel sees to it: a page that is read is mapped read-only, and becomes writable when it is written to.
    pub(super) fn device_fault(&mut self, context: usize, page: u64) {
        let Some(Some(served)) = self.served.get(context) else {
            return;
        };
        let space = served.space;
        let half = Half::User(space);
        self.device_access(context, page, false);
        if !self.book(half).pages.contains_key(&page) {
            self.map(half, page, false);
            self.device_access(context, page, false);
        }
        self.device_access(context, page, true);
        if !self.book(half).allows(page, true) {
            self.upgrade(space, page);
            self.device_access(context, page, true);
        }
    }
}
