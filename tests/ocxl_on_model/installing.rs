//! A device that looks at its element at every moment at which it could: it finds none, or one that makes sense.

use crate::linked::{BASE, Linked};
use crate::rig::Platform;
use std::sync::{Arc, OnceLock};
use tlb_shootdown::address::PageSize;
use tlb_shootdown::dma::DmaBarriers;
use tlb_shootdown::iommu::ocxl::{Config, Context, FunctionId, Link, Mode, Pasid, Pid, Process};
use tlb_shootdown::lock::IrqTicketLock;
use tlb_shootdown_model::Temper;
use tlb_shootdown_model::cpu::powerpc::CpuFeatures;
use tlb_shootdown_model::memory::descriptor::Rights;
use tlb_shootdown_model::ocxl::{DevicePort, LinkOptions};
use tlb_shootdown_model::platform::ModelBarriers;

const PASID: u32 = 6;
const VALID: u64 = 0x8000_0000;

/// Where the element's last word lies, and the device.
type Watch = Arc<OnceLock<(u64, DevicePort)>>;

/// Barriers before which a device has a look, where what was stored last says that there is an element.
struct Watched {
    barriers: ModelBarriers,
    linked: Arc<Linked>,
    watch: Watch,
}

// SAFETY: nothing but tests relies on it.
unsafe impl DmaBarriers for Watched {
    fn publish_tables(&self) {
        if let Some((state, device)) = self.watch.get()
            && u64::from_be(self.linked.rig.model.peek(*state)) == VALID
        {
            device.read(BASE).unwrap();
        }
        self.barriers.publish_tables();
    }

    fn before_doorbell(&self) {
        self.barriers.before_doorbell();
    }

    fn after_completion(&self) {}

    fn clean_lines(&self, start: *const u8, len: usize) {
        self.barriers.clean_lines(start, len);
    }
}

#[test]
fn promise_01_an_element_is_valid_after_all_else_in_it() {
    let linked = Linked::new(CpuFeatures::POWER10, LinkOptions::POWER10, Temper::Late);
    let linked = Arc::new(linked);
    let shared = linked.share(3);
    linked.map(&shared, BASE, PageSize::KIB_4, Rights::ReadWrite);
    let watch = Watch::default();
    let watched = Watched {
        barriers: ModelBarriers::new(linked.rig.model.clone()),
        linked: linked.clone(),
        watch: watch.clone(),
    };
    let area = linked.rig.model.share(0x1000, 0x1000);
    let (port, host) = linked.another_link();
    let platform: &'static Platform = Box::leak(Box::new(linked.rig.platform.clone()));
    let driver = Link::<_, _, _, _>::new(
        Mode::Atsd(port.clone()),
        watched,
        IrqTicketLock::new(platform),
        area,
        host.clone(),
        Config::power10(),
    );
    let driver = driver.unwrap();
    port.set_process_area(driver.spa().raw(), 0x1000);
    let context = Context {
        pasid: Pasid::new(PASID).unwrap(),
        function: FunctionId(2),
        thread: 0,
        amr: 0,
    };
    let process = Process {
        pid: Pid::new(linked.rig.pid(&shared.process).unwrap()).unwrap(),
        lpid: 0,
        wide: true,
        tag_checks: false,
    };
    let key = driver.reserve(&[context], &process).unwrap();
    let state = driver.spa().raw() + u64::from(PASID) * 128 + 120;
    let device = host.start(2, PASID);
    watch.set((state, device.clone())).unwrap();
    driver.install(key).unwrap();
    assert!(device.read(BASE).is_ok());
    linked.assert_clean();
}
