//! Devices behind an SMMU, for random kernels.

use crate::iommu::{Iommu, context};
use crate::random_kernel::{Attached, Devices, Surplus};
use crate::rig::{Process, Rig};
use std::cell::RefCell;
use std::collections::BTreeSet;
use tlb_shootdown::iommu::smmuv3::{Asid, AsidSource, Completion};
use tlb_shootdown::platform::Platform as _;
use tlb_shootdown::secondary::AttachKey;
use tlb_shootdown_model::smmuv3::{DeviceOptions, DevicePort, SmmuOptions};

/// Two substreams of one device that may have a TLB of its own, and two of one without.
const STREAMS: [u32; 2] = [3, 4];
const SUBSTREAMS: [u32; 2] = [1, 2];

pub(crate) struct SmmuDevices {
    iommu: Iommu,
    ports: Vec<DevicePort>,
    /// Roots of the processes that share the CPUs' ASID; nothing where the SMMU has ASIDs of its own.
    sharing: Option<RefCell<BTreeSet<u64>>>,
}

impl SmmuDevices {
    pub(crate) fn new(
        rig: &Rig,
        options: SmmuOptions,
        device: DeviceOptions,
        completion: Completion,
    ) -> Self {
        let iommu = Iommu::new(rig, options, completion);
        let mut ports = Vec::new();
        for (stream, options) in STREAMS.into_iter().zip([device, DeviceOptions::default()]) {
            let port = iommu.add_device(stream, options);
            ports.extend(SUBSTREAMS.map(|substream| port.substream(substream)));
        }
        Self {
            iommu,
            ports,
            sharing: options.btm.then(RefCell::default),
        }
    }

    /// Of one process that shares its ASID one context alone may be attached to an SMMU.
    fn share(&self, rig: &Rig, process: &Process) -> Option<AsidSource> {
        let Some(sharing) = &self.sharing else {
            return Some(AsidSource::Private);
        };
        if !sharing.borrow_mut().insert(process.tables.root()) {
            return None;
        }
        let _irqs_off = rig.platform.irq_save();
        let id = rig.engine.arch().pin(process.space.hardware()).unwrap();
        Some(AsidSource::Shared(Asid(id.0 as u16)))
    }

    fn unshare(&self, rig: &Rig, process: &Process) {
        if let Some(sharing) = &self.sharing {
            sharing.borrow_mut().remove(&process.tables.root());
            let _irqs_off = rig.platform.irq_save();
            rig.engine.arch().unpin(process.space.hardware());
        }
    }
}

impl Devices<Rig> for SmmuDevices {
    fn contexts(&self) -> usize {
        self.ports.len()
    }

    fn attach(&self, rig: &Rig, index: usize, process: &Process) -> Option<Attached> {
        let asid = self.share(rig, process)?;
        let (stream, substream) = (STREAMS[index / 2], SUBSTREAMS[index % 2]);
        let context = context(stream, Some(substream));
        Some(self.iommu.attach_with(rig, process, context, asid))
    }

    fn detach(&self, rig: &Rig, _index: usize, process: &Process, attached: Attached) {
        self.iommu.detach(rig, process, attached);
        self.unshare(rig, process);
    }

    fn retired(&self, rig: &Rig, _index: usize, process: &Process, key: AttachKey) {
        self.iommu.end(key);
        self.unshare(rig, process);
    }

    /// A range command takes an even number of pages.
    fn surplus(&self) -> (Surplus, Surplus) {
        let smmu = match self.iommu.port.options().ril {
            true => Surplus::OnePage,
            false => Surplus::None,
        };
        (smmu, Surplus::AsMuch)
    }

    fn read(&self, index: usize, va: u64) -> bool {
        self.ports[index].read(va).is_ok()
    }

    fn write(&self, index: usize, va: u64, value: u64) -> bool {
        self.ports[index].write(va, value).is_ok()
    }

    fn set_silent(&self, context: usize, silent: bool) {
        self.ports[context].set_silent(silent);
    }
}
