//! PID 1 of the guest.
//!
//! Mounts file systems, finds its virtio-serial ports, says hello with the facts of the guest, and
//! executes the plans that it receives. It reports outcomes and never judges them.

mod binary;
mod case;
mod checks;
mod config;
mod counters;
mod dma_engine;
mod exec;
mod facts;
mod fault;
mod file;
mod guard;
mod guest;
mod ia32;
mod injection;
mod kmsg;
mod leak;
mod memory;
mod memory_file;
mod new_slabs;
mod op;
mod op_error;
mod page_faults;
mod pidfd;
mod pieces;
mod process;
mod rights;
mod serve;
mod stopwatch;
mod survey;
mod sysfs;
mod uffd;

fn main() {
    if let Err(why) = serve::run() {
        // The host sees the ports close; the console keeps the reason.
        eprintln!("conformance agent: {why}");
    }
    guest::power_off();
}
