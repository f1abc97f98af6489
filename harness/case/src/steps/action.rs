//! What every kind of step can do.

use crate::{
    build::Builder,
    steps::{Step, ioctl::Ioctl, registers::Registers},
};

/// What every kind of step can do. Only the first two have no answer that most of them share.
pub trait Action {
    /// What it does, in a few words: transcripts and failures show it.
    fn label(&self) -> String;

    /// Adds its ops and what is expected of them; an error names the need that the guest does not
    /// meet.
    fn compile(&self, to: &mut Builder<'_>) -> Result<(), String>;

    /// The steps that it is made of.
    fn inner(&self) -> Vec<&Step> {
        Vec::new()
    }

    /// The steps of which it is made, if each ends as it says itself.
    fn determined(&self) -> &[Step] {
        &[]
    }

    /// Whether it makes one system call, into which failures can be injected.
    fn is_one_call(&self) -> bool {
        false
    }

    /// What it has to do with registers of a device.
    fn registers(&self) -> Registers<'_> {
        Registers::Untouched
    }

    /// The ioctl that it makes.
    fn ioctl(&self) -> Option<&Ioctl> {
        None
    }

    /// The errno that each injected failure gives, where that is a single one.
    fn injected(&self) -> Option<i32> {
        None
    }

    /// The process that begins a call here.
    fn begins(&self) -> Option<&str> {
        None
    }

    /// The process whose call is waited for here.
    fn finishes(&self) -> Option<&str> {
        None
    }

    /// Whether it makes a default domain an identity domain.
    fn uses_identity(&self) -> bool {
        self.inner().into_iter().any(Step::uses_identity)
    }

    /// Whether it can fail for a reason that lies in the kernel under test.
    fn asserts(&self) -> bool {
        true
    }
}
