//! Helper functions of programs. Each is only written if it is used.

use std::collections::BTreeSet;

use crate::text::names;

/// A piece of C.
#[derive(Debug)]
struct Helper {
    /// The names that it defines for others.
    defines: &'static [&'static str],
    /// Its includes and its code.
    source: &'static str,
}

macro_rules! helper {
    ($file:literal, $($name:literal),+) => {
        Helper {
            defines: &[$($name),+],
            source: include_str!(concat!("../c/", $file, ".c")),
        }
    };
}

/// Helpers, each after those that it uses.
const HELPERS: &[Helper] = &[
    helper!("tap", "step", "pass", "fail"),
    helper!("skip", "skip"),
    helper!("sides", "keep_sides", "kernel_side"),
    helper!("text", "text"),
    helper!("want_success", "want_success"),
    helper!("want_errno", "WANT_ERRNO"),
    helper!("want_refused", "want_refused"),
    helper!("want_signal", "want_signal"),
    helper!("want_equal", "want_equal"),
    helper!("want_other", "want_other"),
    helper!("want_bits", "want_bits"),
    helper!("want_no_bits", "want_no_bits"),
    helper!("want_all", "want_all"),
    helper!("want_changed", "want_changed"),
    helper!("want_bytes", "want_bytes"),
    helper!("want_text", "want_text"),
    helper!("want_word", "want_word"),
    helper!("want_one_of", "want_one_of"),
    helper!("little_endian", "little_endian"),
    helper!("unknown_address", "unknown_address"),
    helper!("entry", "entry"),
    helper!("device_node", "device_node"),
    helper!("link_target", "link_target"),
    helper!("read_file", "read_file"),
    helper!("write_file", "write_file"),
    helper!("await_file", "await_file"),
    helper!("await_path", "await_path"),
    helper!("list_folder", "list_folder"),
    helper!("driver", "driver"),
    helper!("wait_hotplug", "wait_hotplug"),
    helper!("at_edge", "at_edge"),
    helper!("read_only", "read_only"),
    helper!("memory", "memory"),
    helper!("pieces", "pieces"),
    helper!("ioctl_ia32", "ioctl_ia32", "ia32_call"),
    helper!("fault", "catch_faults", "before_fault"),
    helper!("load", "load"),
    helper!("store", "store"),
    helper!("count_faults", "count_faults"),
    helper!("peek", "peek"),
    helper!("wait_for", "wait_for"),
    helper!("take_events", "take_events"),
    helper!("signal_event", "signal_event"),
    helper!("pci_capability", "pci_capability"),
    helper!("phys", "phys"),
    helper!("read_device", "read_device"),
    helper!("memory_file", "memory_file"),
    helper!("udmabuf", "udmabuf"),
    helper!("capability", "capability"),
    helper!("soft_limit", "soft_limit"),
    helper!("become_user", "become_user"),
    helper!("locked_vm", "locked_vm"),
    helper!("nvme", "nvme_bar", "nvme_run", "nvme_sign"),
    helper!("dma", "dma"),
    helper!("dma_read", "dma_read"),
    helper!("dma_text", "dma_text"),
    helper!("landed", "landed"),
    helper!("blocked", "blocked"),
    helper!("process", "fork_process"),
    helper!("begin_in", "begin_in"),
    helper!("finish_in", "finish_in"),
    helper!("in", "in"),
    helper!("end_process", "end_process"),
    helper!("uffd_block", "uffd_block"),
    helper!("of_process", "of_process"),
    helper!("wait_fault", "wait_fault"),
    helper!("wait_blocked", "wait_blocked"),
    helper!("interrupt", "interrupt"),
    helper!(
        "at_once",
        "at_once",
        "racer",
        "ended",
        "ends_of",
        "way_of_race"
    ),
    helper!("uffd_resume", "uffd_resume"),
    helper!(
        "fail_nth",
        "prepare_failures",
        "fail_point",
        "point_failed",
        "failure"
    ),
    helper!("need_file", "need_file"),
    helper!("need_release", "need_release"),
    helper!("need_config", "need_config"),
    helper!("need_device", "need_device"),
    helper!("serial_of", "serial_of"),
    helper!("number_of_group", "number_of_group"),
    helper!("first_line", "first_line"),
    helper!("ask", "ask"),
    helper!("restored", "restored"),
];

/// Names of the C library that programs use outside of the helpers, with their headers.
const LIBRARY: &[(&str, &str)] = &[
    ("EFD_CLOEXEC", "sys/eventfd.h"),
    ("MAP_SHARED", "sys/mman.h"),
    ("MAP_PRIVATE", "sys/mman.h"),
    ("MAP_ANONYMOUS", "sys/mman.h"),
    ("MFD_HUGETLB", "sys/mman.h"),
    ("NULL", "stddef.h"),
    ("O_CLOEXEC", "fcntl.h"),
    ("PROT_READ", "sys/mman.h"),
    ("RLIMIT_MEMLOCK", "sys/resource.h"),
    ("RLIMIT_NOFILE", "sys/resource.h"),
    ("SIGBUS", "signal.h"),
    ("SIGSEGV", "signal.h"),
    ("__u64", "linux/types.h"),
    ("access", "unistd.h"),
    ("alarm", "unistd.h"),
    ("close", "unistd.h"),
    ("errno", "errno.h"),
    ("exit", "stdlib.h"),
    ("fflush", "stdio.h"),
    ("fork", "unistd.h"),
    ("ioctl", "sys/ioctl.h"),
    ("memcpy", "string.h"),
    ("memset", "string.h"),
    ("mmap", "sys/mman.h"),
    ("munmap", "sys/mman.h"),
    ("pread", "unistd.h"),
    ("printf", "stdio.h"),
    ("pwrite", "unistd.h"),
    ("read", "unistd.h"),
    ("strlen", "string.h"),
    ("waitpid", "sys/wait.h"),
    ("write", "unistd.h"),
];

/// Returns all names that helpers define for others.
pub fn defined() -> impl Iterator<Item = &'static str> {
    HELPERS
        .iter()
        .flat_map(|helper| helper.defines.iter().copied())
}

/// Returns the includes and the helpers of a program, given its own code.
pub fn around(code: &str) -> (String, String) {
    let mut used: BTreeSet<&str> = names(code);
    let mut chosen = Vec::new();
    for helper in HELPERS.iter().rev() {
        if helper.defines.iter().any(|name| used.contains(name)) {
            used.extend(names(helper.source));
            chosen.push(helper);
        }
    }
    let mut headers = BTreeSet::new();
    let mut functions = String::new();
    for helper in chosen.iter().rev() {
        functions.push('\n');
        for line in helper.source.lines() {
            match line
                .strip_prefix("#include <")
                .and_then(|it| it.strip_suffix('>'))
            {
                Some(header) => {
                    headers.insert(header.to_owned());
                }
                None => {
                    functions.push_str(line);
                    functions.push('\n');
                }
            }
        }
    }
    let library = LIBRARY.iter().filter(|(name, _)| used.contains(name));
    headers.extend(library.map(|(_, header)| (*header).to_owned()));
    let own = own_headers(&used);
    (includes(headers, &own), trimmed(&functions))
}

/// Returns the headers of the uAPI that define one of the names.
fn own_headers(used: &BTreeSet<&str>) -> BTreeSet<&'static str> {
    let constants = uapi::constants().map(|it| (it.name, it.source));
    let ioctls = uapi::ioctls().iter().map(|it| (it.name, it.source));
    let structs = uapi::structs().iter().map(|it| (it.name, it.source));
    let all = constants.chain(ioctls).chain(structs);
    all.filter(|(name, _)| used.contains(name))
        .map(|(_, source)| source)
        .collect()
}

fn includes(mut headers: BTreeSet<String>, own: &BTreeSet<&str>) -> String {
    let mock = own.contains(uapi::MOCK_H);
    let installed = own.iter().filter(|name| **name != uapi::MOCK_H);
    headers.extend(installed.map(|name| (*name).to_owned()));
    // The mock's header needs this one.
    if mock {
        headers.insert(uapi::IOMMUFD_H.to_owned());
    }
    let (kernel, library): (Vec<_>, Vec<_>) = headers
        .into_iter()
        .partition(|name| name.starts_with("linux/"));
    let mut text = String::new();
    for group in [library, kernel] {
        for header in &group {
            text.push_str(&format!("#include <{header}>\n"));
        }
        if !group.is_empty() {
            text.push('\n');
        }
    }
    if mock {
        text.push_str(&format!("#include \"{}\"\n\n", uapi::MOCK_H));
    }
    text
}

/// Removes empty lines at the start, and repeated ones.
fn trimmed(code: &str) -> String {
    let mut text = String::new();
    let mut empty = true;
    for line in code.lines() {
        if !(empty && line.is_empty()) {
            text.push_str(line);
            text.push('\n');
        }
        empty = line.is_empty();
    }
    text.trim_end().to_owned() + "\n\n"
}
