//! The library on the model: its architecture, its platform, its engine.

use tlb_shootdown::arch::aarch64::Aarch64;
use tlb_shootdown::shootdown::Shootdown;
use tlb_shootdown_model::cpu::ModelInstructions;
use tlb_shootdown_model::platform::ModelPlatform;

pub(crate) type Arch = Aarch64<ModelInstructions, 1>;
pub(crate) type Platform = ModelPlatform<Arch>;
pub(crate) type Engine = Shootdown<Platform, 1>;
