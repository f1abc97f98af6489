//! Names that depend on the guests' architecture. Start here to add another architecture.
//!
//! Elsewhere stand, because crates that know no image need them: the machine and IOMMU of a
//! platform in its file in `vm-images/platforms`, the numbers of errnos in `uapi::errno`, the loads
//! and stores that may fault in the agent's `guard`. The header of an image stands in `bzimage`.

/// kbuild's name of the architecture.
pub(crate) const KBUILD: &str = "x86_64";
/// kbuild's target for a bootable image, and the name of that file.
pub(crate) const IMAGE: &str = "bzImage";
/// Path of the image after a build.
pub(crate) const BUILT_IMAGE: &str = "arch/x86/boot/bzImage";
/// A file in every source tree that can be built for the architecture.
pub(crate) const KCONFIG: &str = "arch/x86/Kconfig";
/// A folder that a build in the source tree creates.
pub(crate) const GENERATED: &str = "arch/x86/include/generated";
/// Parts of the source for the architecture that are kept with an image.
pub(crate) const KEPT: [&str; 2] = ["arch/x86/include", "tools/arch/x86"];
/// The parts of the source that are for other architectures, as tar patterns. Their Kconfig files
/// stay: drivers and crypto read them in some series.
pub(crate) const OTHERS: [&str; 2] = ["linux-*/arch/[!x]*/*.[chS]", "linux-*/arch/[!x]*/*.dts*"];
/// The distribution's package of [`QEMU`].
pub(crate) const QEMU_PACKAGE: &str = "qemu-system-x86";
/// The distribution's kernel for the emulated host.
pub(crate) const HOST_KERNEL: &str = "linux-image-cloud-amd64";

/// The target that the agent is compiled for where Rust has its library. It is static by itself.
pub const RUST_TARGET_MUSL: &str = "x86_64-unknown-linux-musl";
/// The same where Rust is Alpine's own package.
pub const RUST_TARGET_ALPINE: &str = "x86_64-alpine-linux-musl";
/// The target that the agent is compiled for otherwise, against glibc's static library.
pub const RUST_TARGET_GNU: &str = "x86_64-unknown-linux-gnu";
/// The QEMU that emulates it.
pub const QEMU: &str = "qemu-system-x86_64";
/// Where a distribution has it that does not put it into PATH (RHEL).
pub const QEMU_ELSEWHERE: &str = "/usr/libexec/qemu-kvm";
/// Selects the serial console, on a kernel's command line.
pub const CONSOLE: &str = "console=ttyS0";
/// Makes the kernel print all messages on that console, from its start.
pub const EARLY_CONSOLE: &str = "ignore_loglevel earlyprintk=ttyS0,115200";
/// The processor where QEMU interprets: all that it can.
pub const TCG_PROCESSOR: &str = "max";
/// The host's own processor, without what lets a case see the host: asynchronous page faults, which
/// put a process to sleep in the kernel because the *host* pages, and more physical address bits
/// than TCG's processor has, by which firmware and kernel lay out their windows.
///
/// What is left differs from host to host and is not to be seen in a transcript: five-level page
/// tables of the processor (user space gets addresses above 47 bits only where it asks for them),
/// split lock detection (a line at boot), the clock (kvm-clock instead of the TSC).
pub const KVM_PROCESSOR: &str =
    "host,host-phys-bits-limit=40,kvm-asyncpf=off,kvm-asyncpf-int=off,kvm-asyncpf-vmexit=off";
/// The machine that emulates a host with KVM.
pub const HOST_MACHINE: &str = "q35";
