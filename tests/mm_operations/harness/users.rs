//! Those who use what is mapped: CPUs and the device.

use super::format::Format;
use super::iommu;
use super::judge::Who;
use super::kernel::{KERNEL, Kernel, P, Q};
use super::machine::Machine;
use super::page::Page;

/// The CPU that is lazy while tables change.
pub(super) const LAZY: usize = 2;

impl<M: Machine> Kernel<M> {
    pub(super) fn cpus_of(&self, owner: usize) -> &'static [usize] {
        match owner {
            P if self.run.is_alone => &[0],
            P => &[0, 1, LAZY],
            Q => &[3],
            _ => &[0, 1, LAZY, 3],
        }
    }

    /// A CPU that uses it: another than this one, where there is one.
    pub(crate) fn other_cpu(&self, owner: usize) -> usize {
        let cpus = self.cpus_of(owner);
        cpus.get(1).copied().unwrap_or(cpus[0])
    }

    /// All of them but this one.
    pub(crate) fn other_cpus(&self, owner: usize) -> impl Iterator<Item = usize> + use<M> {
        let cpus = self.cpus_of(owner);
        cpus.iter().copied().filter(|cpu| *cpu != 0)
    }

    /// The device's context, where it acts for the owner.
    pub(super) fn context_of(owner: usize) -> Option<u32> {
        match owner {
            KERNEL => None,
            process => Some(process as u32 + 1),
        }
    }

    /// The formats of the trees of a process.
    pub(super) fn formats(&self) -> Vec<Format> {
        let mirror = iommu::format(self.run.beside).filter(|format| *format != M::FORMAT);
        [M::FORMAT].into_iter().chain(mirror).collect()
    }

    /// Everybody reads these pages, so that CPUs, IOMMU and device have them and what leads to them in their TLBs.
    pub(crate) fn warm(&mut self, owner: usize, pages: &[Page]) {
        self.settle(owner);
        for page in pages {
            self.maps(owner, page);
        }
    }

    /// The operation begins: one CPU is lazy, and what is spent is counted from here.
    pub(crate) fn begin(&mut self) {
        if !self.run.is_alone {
            self.enter_lazy(LAZY);
            self.is_lazy = true;
        }
        self.model.take_counts();
        self.meter.reset();
    }

    /// The lazy CPU runs its process again.
    pub(crate) fn end_lazy(&mut self) {
        if self.is_lazy {
            self.is_lazy = false;
            self.meter.take(&self.model);
            self.switch(LAZY, P);
            self.model.take_counts();
        }
    }

    /// No task of P runs any more: two CPUs borrow its root, one has the kernel's.
    pub(crate) fn stop_running_p(&mut self) {
        self.enter_lazy(0);
        self.switch_to_kernel(1);
        self.model.take_counts();
    }

    /// Everybody reads this page, and finds its word.
    pub(crate) fn maps(&mut self, owner: usize, page: &Page) {
        self.everybody_reads(owner, page.va, Some(page.word));
    }

    /// Nobody finds anything there.
    pub(crate) fn maps_nothing(&mut self, owner: usize, pages: &[Page]) {
        for page in pages {
            self.everybody_reads(owner, page.va, None);
        }
    }

    fn everybody_reads(&mut self, owner: usize, va: u64, word: Option<u64>) {
        if owner == P {
            self.end_lazy();
        }
        for &cpu in self.cpus_of(owner) {
            self.cpu_reads(cpu, va, word);
        }
        self.device_reads(owner, va, word);
        self.judge();
    }

    pub(crate) fn cpu_reads(&mut self, cpu: usize, va: u64, word: Option<u64>) {
        let read = self.model.cpu(cpu).read(va);
        if read.ok() != word {
            let wanted = format!("CPU {cpu} reads {read:x?} at {va:#x}, not {word:x?}");
            self.odd(Who::Cpu, wanted);
        }
    }

    pub(crate) fn device_reads(&mut self, owner: usize, va: u64, word: Option<u64>) {
        let Some(read) = self.device_read(owner, va) else {
            return;
        };
        if read.clone().ok() != word {
            let wanted = format!("the device reads {read:x?} at {va:#x}, not {word:x?}");
            self.odd(Who::Device, wanted);
        }
    }

    /// What the device reads; nothing where there is no device.
    pub(crate) fn device_read(&self, owner: usize, va: u64) -> Option<Result<u64, String>> {
        let (iommu, context) = (self.iommu.as_ref()?, Self::context_of(owner)?);
        Some(iommu.read(context, va))
    }

    /// Everybody may write the page, at the first attempt; or nobody may.
    pub(crate) fn is_writable(&mut self, owner: usize, page: &Page, allowed: bool) {
        if owner == P {
            self.end_lazy();
        }
        for &cpu in self.cpus_of(owner) {
            self.cpu_writes(cpu, page, allowed);
        }
        self.device_writes(owner, page, allowed);
        self.judge();
    }

    pub(crate) fn cpu_writes(&mut self, cpu: usize, page: &Page, allowed: bool) {
        let written = self.model.cpu(cpu).write(page.va, page.word);
        if written.is_ok() != allowed {
            let va = page.va;
            self.odd(Who::Cpu, format!("CPU {cpu} writes {va:#x}: {written:?}"));
        }
    }

    pub(crate) fn device_writes(&mut self, owner: usize, page: &Page, allowed: bool) {
        let Some(written) = self.device_write(owner, page.va, page.word) else {
            return;
        };
        if written.is_ok() != allowed {
            let va = page.va;
            self.odd(
                Who::Device,
                format!("the device writes {va:#x}: {written:?}"),
            );
        }
    }

    /// The device's write, or how it was refused; nothing where there is no device.
    pub(crate) fn device_write(
        &self,
        owner: usize,
        va: u64,
        word: u64,
    ) -> Option<Result<(), String>> {
        let (iommu, context) = (self.iommu.as_ref()?, Self::context_of(owner)?);
        Some(iommu.write(context, va, word))
    }

    /// How many entries another CPU of P and the device hold.
    pub(crate) fn held(&self) -> (usize, usize) {
        let by_cpu = self.model.cpu(self.other_cpu(P)).held();
        (by_cpu, self.iommu.as_ref().map_or(0, |iommu| iommu.held()))
    }

    /// They hold fewer than before the last call. Where caches evict at will, a CPU may have had nothing to let go of.
    pub(crate) fn has_let_go(&mut self, before: (usize, usize)) {
        let (by_cpu, by_device) = self.held();
        if by_cpu >= before.0 && !self.is_restless() {
            self.odd(Who::Cpu, "the CPU has let go of nothing".into());
        }
        // A device may ask again at once for what it has let go of.
        let hears = self.run.beside.hears_everything() && by_device < before.1;
        let is_told = self.last_call.commands > 0 || hears;
        if !is_told && self.iommu.is_some() {
            self.odd(Who::Device, "the device has let go of nothing".into());
        }
    }
}
