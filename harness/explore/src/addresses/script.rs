//! A walk through address spaces as a case.

use std::fmt::{self, Write};

use model::{
    Hwpt, Ioas,
    address::{
        Answer, Buffer, Errno, Mapping, Move, Place, Query, Range, Rights, Setting, Space, Span,
    },
};

use crate::script::Script;

/// Time limit of a walk. A busy host makes a long one slow.
const TIMEOUT_MS: u32 = 60_000;
/// The most bytes that a driver reads or writes at once.
pub const MOST_MOVED: u64 = 0x1_0000;
/// What stands for everything in an unmap.
const ALL: Range = Range {
    iova: 0,
    length: u64::MAX,
};
/// Ranges that the process has room for.
const RANGES: usize = 8;

/// Writes a walk as a case. Moves that cannot be made are left out.
pub fn script_of(begin: &Space, moves: &[Move]) -> Script {
    let mut writer = Writer::begin(begin.setting());
    let mut space = begin.clone();
    for (position, one) in moves.iter().enumerate() {
        let Some((answer, next)) = space.play(one) else {
            continue;
        };
        writer.now = Some(position);
        writer.play(one, &answer);
        space = next;
        if !one.looks() {
            writer.locked(&space);
        }
    }
    writer.end(&space)
}

struct Writer {
    text: String,
    transition_of: Vec<Option<usize>>,
    now: Option<usize>,
    /// Bytes that are pinned before the next step.
    pinned: u64,
}

/// `, errno: NAME` of a call that fails.
struct Ends<'a>(&'a Answer);

impl fmt::Display for Ends<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Answer::Refused(errno) => write!(to, ", errno: {errno}"),
            _ => Ok(()),
        }
    }
}

/// A flag list.
struct Flags(Option<u64>, Rights);

impl fmt::Display for Flags {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fixed = self.0.map(|_| "FIXED_IOVA");
        let read = self.1.allow(false).then_some("READABLE");
        let write = self.1.allow(true).then_some("WRITEABLE");
        let all: Vec<_> = [fixed, read, write].into_iter().flatten().collect();
        match all.is_empty() {
            true => write!(to, "0"),
            false => write!(to, "[{}]", all.join(", ")),
        }
    }
}

impl Writer {
    fn begin(setting: &Setting) -> Self {
        let mut writer = Self {
            text: String::new(),
            transition_of: Vec::new(),
            now: None,
            pinned: 0,
        };
        writer.head(setting);
        writer.set_up(setting);
        writer
    }

    fn line(&mut self, line: fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{line}");
    }

    fn step(&mut self, step: fmt::Arguments<'_>) {
        self.line(format_args!("  - {step}"));
        self.transition_of.push(self.now);
    }

    fn test(&mut self, step: fmt::Arguments<'_>) {
        self.step(format_args!("IOMMU_TEST_CMD: {{on: iommu, {step}}}"));
    }

    fn head(&mut self, setting: &Setting) {
        self.line(format_args!(
            "summary: A walk through the address spaces of an iommufd"
        ));
        self.line(format_args!("snapshot: none"));
        self.line(format_args!("timeout_ms: {TIMEOUT_MS}"));
        self.line(format_args!("fail_fast: true"));
        let features = match setting.buffers.contains(&Buffer::Huge) {
            true => ", features: [hugepages]",
            false => "",
        };
        // The largest alignment that the kernel chooses is that of a huge page.
        self.line(format_args!(
            "needs: {{config: [CONFIG_IOMMUFD_TEST, CONFIG_TRANSPARENT_HUGEPAGE]{features}}}"
        ));
        if setting.vfio {
            self.line(format_args!("shapes: [singleton]"));
        }
        self.line(format_args!("steps:"));
    }

    fn set_up(&mut self, setting: &Setting) {
        self.step(format_args!("open: {{iommu: /dev/iommu}}"));
        if setting.vfio {
            self.step(format_args!("open: {{device: group.0}}"));
            self.step(format_args!(
                "VFIO_DEVICE_BIND_IOMMUFD: {{on: device, iommufd: $iommu}}"
            ));
        }
        self.limit(setting.batch);
        for buffer in Buffer::ALL {
            if setting.buffers.contains(&buffer) {
                self.buffer(buffer);
            }
        }
        self.step(format_args!(
            "memory: {{moved: {MOST_MOVED:#x}, ranges: {{fill: 0}}}}"
        ));
        for ioas in (0..2).map(Ioas) {
            self.step(format_args!(
                "IOMMU_IOAS_ALLOC: {{on: iommu, save: {{out_ioas_id: {ioas}}}}}"
            ));
            if setting.small_pages {
                self.step(format_args!(
                    "IOMMU_OPTION: {{on: iommu, option_id: HUGE_PAGES, op: SET, object_id: ${ioas}, val64: 0}}"
                ));
            }
        }
        if setting.small_pages {
            self.step(format_args!(
                "memory: {{bits: {{fill: 0}}, ones: {{fill: 0xff}}}}"
            ));
        }
        if setting.crowd > 0 {
            self.step(format_args!(
                "repeat: {{times: {}, step: {{IOMMU_TEST_CMD: {{on: iommu, op: CREATE_ACCESS, id: $ioas0, \
                 create_access.flags: [NEEDS_PIN_PAGES]}}}}}}",
                setting.crowd
            ));
        }
    }

    fn limit(&mut self, batch: u32) {
        self.test(format_args!(
            "op: SET_TEMP_MEMORY_LIMIT, memory_limit.limit: {batch}"
        ));
    }

    fn buffer(&mut self, buffer: Buffer) {
        let (name, size) = (buffer.name(), buffer.size());
        match buffer {
            Buffer::Private => self.step(format_args!("memory: {{{name}: {size:#x}}}")),
            Buffer::Shared => self.step(format_args!(
                "memory: {{{name}: {{size: {size:#x}, kind: shared}}}}"
            )),
            Buffer::Pieces => self.step(format_args!(
                "memory: {{{name}: {{size: {size:#x}, kind: pieces}}}}"
            )),
            Buffer::Huge => self.step(format_args!(
                "memory: {{{name}: {{size: 0x200000, kind: huge}}}}"
            )),
            Buffer::File => {
                self.step(format_args!("memfd: {{file: {size:#x}}}"));
                self.step(format_args!(
                    "mmap: {{on: file, length: {size:#x}, save: {name}}}"
                ));
            }
        }
    }

    fn locked(&mut self, space: &Space) {
        let bytes = space.pinned().bytes();
        self.pinned = bytes;
        self.step(format_args!("locked_vm: {{VmPin: {bytes:#x}}}"));
    }

    fn play(&mut self, one: &Move, answer: &Answer) {
        let ends = Ends(answer);
        match one {
            Move::Make(mapping) => {
                let call = mapping_call(mapping, answer);
                self.step(format_args!("{call}"));
            }
            Move::Starved(mapping) => self.starved(mapping, answer),
            Move::Unmap(ioas, range) => {
                let unmap = unmap(*ioas, *range, answer);
                self.step(format_args!("{unmap}"));
            }
            Move::UnmapAll(ioas) => self.unmap_all(*ioas, answer),
            Move::RaceOfUnmaps(ioas, range) => {
                self.race(&unmap(*ioas, *range, &Answer::Done), answer);
            }
            Move::RaceOfMaps(ioas, from, Range { iova, length }) => {
                let map = map(
                    *ioas,
                    (*from, *length),
                    Some(*iova),
                    Rights::Both,
                    &Answer::Done,
                );
                self.race(&map, answer);
            }
            Move::Allow(ioas, spans) => self.allow(*ioas, spans, answer),
            Move::Attach(..) | Move::Replace(..) | Move::Leave(..) => self.device(one, answer),
            Move::AllocateHwpt {
                hwpt,
                mock,
                ioas,
                tracks,
            } => {
                let flags = if *tracks {
                    ", flags: [DIRTY_TRACKING]"
                } else {
                    ""
                };
                let save = save(format_args!("out_hwpt_id: {hwpt}"), answer);
                self.step(format_args!(
                    "IOMMU_HWPT_ALLOC: {{on: iommu, dev_id: ${mock}_device, pt_id: ${ioas}{flags}{save}{ends}}}"
                ));
            }
            Move::Track(hwpt, enable) => {
                let flags = if *enable { "ENABLE" } else { "" };
                self.step(format_args!(
                    "IOMMU_HWPT_SET_DIRTY_TRACKING: {{on: iommu, hwpt_id: ${hwpt}, flags: [{flags}]{ends}}}"
                ));
            }
            Move::Write(hwpt, Range { iova, length }) => self.test(format_args!(
                "op: DIRTY, id: ${hwpt}, dirty.iova: {iova:#x}, dirty.length: {length:#x}, \
                 dirty.page_size: 0x1000, dirty.uptr: $ones{ends}"
            )),
            Move::GetDirty(hwpt, query) => self.dirty(*hwpt, *query, answer),
            Move::DestroyHwpt(hwpt) => {
                self.step(format_args!(
                    "IOMMU_DESTROY: {{on: iommu, id: ${hwpt}{ends}}}"
                ));
            }
            Move::AttachVfio(_) | Move::DetachVfio | Move::Dma(_) => self.vfio(one, answer),
            _ => self.driver_or_look(one, answer),
        }
    }

    fn vfio(&mut self, one: &Move, answer: &Answer) {
        match (one, answer) {
            (Move::AttachVfio(ioas), _) => self.step(format_args!(
                "VFIO_DEVICE_ATTACH_IOMMUFD_PT: {{on: device, pt_id: ${ioas}{}}}",
                Ends(answer)
            )),
            (Move::DetachVfio, _) => {
                self.step(format_args!(
                    "VFIO_DEVICE_DETACH_IOMMUFD_PT: {{on: device}}"
                ));
            }
            (Move::Dma(iova), Answer::Lands(place)) => self.step(format_args!(
                "dma: {{from: group.0, iova: {iova:#x}, lands: {}}}",
                At(*place)
            )),
            (Move::Dma(iova), _) => self.step(format_args!(
                "dma: {{from: group.0, iova: {iova:#x}, blocked: $private}}"
            )),
            _ => {}
        }
    }

    /// A call that is made again and again until no allocation of it fails. Whenever it fails,
    /// nothing is mapped or pinned more than before.
    fn starved(&mut self, one: &Mapping, answer: &Answer) {
        let call = mapping_call(one, answer);
        let (Mapping::Map { ioas, .. } | Mapping::Copy { to: ioas, .. }) = one;
        let undo = format!("[{{{}}}]", unmap(*ioas, ALL, &Answer::Done));
        let pinned = self.pinned;
        self.step(format_args!(
            "fail_nth: {{step: {{{call}}}, allowed: ENOMEM, unchanged: [{{locked_vm: {{VmPin: {pinned:#x}}}}}], \
             after_copy: {undo}, undo: {undo}}}"
        ));
    }

    /// A query of dirty bits into memory that is zero. The kernel adds bits.
    fn dirty(&mut self, hwpt: Hwpt, query: Query, answer: &Answer) {
        let words: &[u64] = match answer {
            Answer::Dirty(words) => words,
            _ => &[],
        };
        for number in 0..words.len() {
            self.step(format_args!(
                "store: {{at: $bits+{:#x}, width: 8, value: 0}}",
                8 * number
            ));
        }
        let flags = if query.clears { "" } else { "NO_CLEAR" };
        self.step(format_args!(
            "IOMMU_HWPT_GET_DIRTY_BITMAP: {{on: iommu, hwpt_id: ${hwpt}, flags: [{flags}], iova: {:#x}, \
             length: {:#x}, page_size: {:#x}, data: $bits{}}}",
            query.range.iova,
            query.range.length,
            query.page_size,
            Ends(answer)
        ));
        for (number, word) in words.iter().enumerate() {
            self.step(format_args!(
                "load: {{at: $bits+{:#x}, width: 8, expect: {word:#x}}}",
                8 * number
            ));
        }
    }

    fn unmap_all(&mut self, ioas: Ioas, answer: &Answer) {
        let unmap = unmap(ioas, ALL, answer);
        self.step(format_args!("{unmap}"));
    }

    fn race(&mut self, step: &str, answer: &Answer) {
        let ends: Vec<_> = match answer {
            Answer::OneOfTwo(errnos) => {
                let both = |errno: &Errno| [format!("[none, {errno}]"), format!("[{errno}, none]")];
                errnos.iter().flat_map(both).collect()
            }
            Answer::Neither(errno) => vec![format!("[{errno}, {errno}]")],
            _ => Vec::new(),
        };
        self.step(format_args!(
            "together: {{steps: [{{{step}}}, {{{step}}}], ends: [{}]}}",
            ends.join(", ")
        ));
    }

    fn allow(&mut self, ioas: Ioas, spans: &[Span], answer: &Answer) {
        for (number, span) in spans.iter().enumerate() {
            for (offset, value) in [(0, span.first()), (8, span.last())] {
                let at = 16 * number + offset;
                self.step(format_args!(
                    "store: {{at: $ranges+{at:#x}, width: 8, value: {value:#x}}}"
                ));
            }
        }
        self.step(format_args!(
            "IOMMU_IOAS_ALLOW_IOVAS: {{on: iommu, ioas_id: ${ioas}, num_iovas: {}, allowed_iovas: $ranges{}}}",
            spans.len(),
            Ends(answer)
        ));
    }

    fn device(&mut self, one: &Move, answer: &Answer) {
        let ends = Ends(answer);
        match one {
            Move::Attach(mock, ioas) => {
                let save = save(
                    format_args!(
                        "mock_domain.out_stdev_id: {mock}, mock_domain.out_hwpt_id: {mock}_hwpt, \
                         mock_domain.out_idev_id: {mock}_device"
                    ),
                    answer,
                );
                self.test(format_args!("op: MOCK_DOMAIN, id: ${ioas}{save}{ends}"));
            }
            Move::Replace(mock, pt) => {
                let save = save(
                    format_args!("mock_domain_replace.pt_id: {mock}_hwpt"),
                    answer,
                );
                self.test(format_args!(
                    "op: MOCK_DOMAIN_REPLACE, id: ${mock}, mock_domain_replace.pt_id: ${pt}{save}{ends}"
                ));
            }
            Move::Leave(mock) => {
                self.step(format_args!(
                    "IOMMU_DESTROY: {{on: iommu, id: ${mock}{ends}}}"
                ));
            }
            _ => {}
        }
    }

    fn driver_or_look(&mut self, one: &Move, answer: &Answer) {
        let ends = Ends(answer);
        match one {
            Move::OpenAccess { access, ioas, pins } => {
                let flags = if *pins { "[NEEDS_PIN_PAGES]" } else { "0" };
                let save = save(
                    format_args!("create_access.out_access_fd: {access}"),
                    answer,
                );
                self.test(format_args!(
                    "op: CREATE_ACCESS, id: ${ioas}, create_access.flags: {flags}{save}{ends}"
                ));
            }
            Move::MoveAccess(access, ioas) => self.test(format_args!(
                "op: ACCESS_REPLACE_IOAS, id: ${access}, access_replace_ioas.ioas_id: ${ioas}{ends}"
            )),
            Move::CloseAccess(access) => self.step(format_args!("close: {access}")),
            Move::Pin {
                access,
                range: Range { iova, length },
                write,
            } => {
                let flags = if *write { "[WRITE]" } else { "0" };
                let found = match answer {
                    Answer::Pinned(number, place) => {
                        let uptr = place.map(|it| format!(", access_pages.uptr: {}", At(it)));
                        format!(
                            "{}, expect: {{access_pages.out_access_pages_id: {number}}}",
                            uptr.unwrap_or_default()
                        )
                    }
                    _ => String::new(),
                };
                self.test(format_args!(
                    "op: ACCESS_PAGES, id: ${access}, access_pages.iova: {iova:#x}, \
                     access_pages.length: {length:#x}, access_pages.flags: {flags}{found}{ends}"
                ));
            }
            Move::Unpin(access, item) => self.test(format_args!(
                "op: DESTROY_ACCESS_PAGES, id: ${access}, destroy_access_pages.access_pages_id: {item}{ends}"
            )),
            Move::Transfer { .. } => self.transfer(one, answer),
            _ => self.look(one, answer),
        }
    }

    /// What is read has to come from where the oracle says, and what is written has to go there:
    /// the first and the last byte get values that no other byte is likely to have.
    fn transfer(&mut self, one: &Move, answer: &Answer) {
        let Move::Transfer {
            access,
            range: Range { iova, length },
            write,
            slow,
        } = one
        else {
            return;
        };
        let fresh = self.transition_of.len() as u64 % 120;
        let moved = |offset: u64| format!("$moved+{offset:#x}");
        let ends: Vec<(String, String, u64)> = match answer {
            // A part that comes later may lie over the first byte.
            Answer::Moved(first, last) if *write && first.plus(length - 1) != *last => {
                vec![(At(*last).to_string(), moved(length - 1), 2 * fresh + 1)]
            }
            Answer::Moved(first, last) if first == last => {
                vec![(At(*last).to_string(), moved(length - 1), 2 * fresh + 1)]
            }
            Answer::Moved(first, last) => vec![
                (At(*first).to_string(), moved(0), 2 * fresh),
                (At(*last).to_string(), moved(length - 1), 2 * fresh + 1),
            ],
            _ => Vec::new(),
        };
        for (memory, moved, value) in &ends {
            let at = if *write { moved } else { memory };
            self.step(format_args!(
                "store: {{at: {at}, width: 1, value: {value:#x}}}"
            ));
        }
        let mut flags = Vec::new();
        flags.extend(write.then_some("WRITE"));
        flags.extend(slow.then_some("SLOW_PATH"));
        self.test(format_args!(
            "op: ACCESS_RW, id: ${access}, access_rw.iova: {iova:#x}, access_rw.length: {length:#x}, \
             access_rw.uptr: $moved, access_rw.flags: [{}]{}",
            flags.join(", "),
            Ends(answer)
        ));
        for (memory, moved, value) in &ends {
            let at = if *write { memory } else { moved };
            self.step(format_args!(
                "load: {{at: {at}, width: 1, expect: {value:#x}}}"
            ));
        }
    }

    fn look(&mut self, one: &Move, answer: &Answer) {
        match (one, answer) {
            (Move::Ranges(ioas), Answer::Ranges(spans, alignment)) => {
                self.ranges(*ioas, spans, *alignment);
            }
            (Move::Translate(mock, range), Answer::Translated(place)) => {
                let (at, ends) = match place {
                    Some(place) => (At(*place).to_string(), ""),
                    None => ("$private".to_owned(), ", errno: EINVAL"),
                };
                self.test(format_args!(
                    "op: MD_CHECK_MAP, id: ${mock}_hwpt, check_map.iova: {:#x}, check_map.length: {:#x}, \
                     check_map.uptr: {at}{ends}",
                    range.iova, range.length
                ));
            }
            (Move::Pins(buffer), Answer::Pins(runs)) => {
                for run in runs {
                    self.test(format_args!(
                        "op: MD_CHECK_REFS, check_refs.uptr: ${}+{:#x}, check_refs.length: {:#x}, check_refs.refs: {}",
                        buffer.name(),
                        run.first * 0x1000,
                        run.pages * 0x1000,
                        run.pins
                    ));
                }
            }
            _ => {}
        }
    }

    fn ranges(&mut self, ioas: Ioas, spans: &[Span], alignment: u64) {
        self.step(format_args!(
            "IOMMU_IOAS_IOVA_RANGES: {{on: iommu, ioas_id: ${ioas}, num_iovas: {RANGES}, allowed_iovas: $ranges, \
             expect: {{num_iovas: {}, out_iova_alignment: {alignment:#x}}}}}",
            spans.len()
        ));
        for (number, span) in spans.iter().take(RANGES).enumerate() {
            self.step(format_args!(
                "peek: {{at: $ranges+{:#x}, struct: iommu_iova_range, expect: {{start: {:#x}, last: {:#x}}}}}",
                16 * number,
                span.first(),
                span.last()
            ));
        }
    }

    /// Everything is given back, and nothing stays pinned.
    fn end(mut self, space: &Space) -> Script {
        let unmaps = (0..2).map(|ioas| Move::UnmapAll(Ioas(ioas)));
        let pins = space.setting().buffers.iter().map(|it| Move::Pins(*it));
        let endings = space.endings().into_iter();
        let all: Vec<_> = endings.chain(unmaps).chain(pins).collect();
        let mut at = space.clone();
        for one in &all {
            if let Some((answer, next)) = at.play(one) {
                self.play(one, &answer);
                at = next;
            }
        }
        self.locked(&at);
        self.limit(65536);
        Script {
            text: self.text,
            transition_of: self.transition_of,
            looks: Vec::new(),
            assumed: Vec::new(),
        }
    }
}

/// A place in the process's memory.
struct At(Place);

impl fmt::Display for At {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "${}+{:#x}", self.0.buffer.name(), self.0.offset)
    }
}

/// What a call that succeeds leaves under names.
fn save(what: fmt::Arguments<'_>, answer: &Answer) -> String {
    match answer {
        Answer::Refused(_) => String::new(),
        _ => format!(", save: {{{what}}}"),
    }
}

fn mapped(field: &str, answer: &Answer) -> String {
    match answer {
        Answer::Mapped(iova) => format!(", expect: {{{field}: {iova:#x}}}"),
        _ => String::new(),
    }
}

/// A mapping or a copy.
fn mapping_call(one: &Mapping, answer: &Answer) -> String {
    match one {
        Mapping::Map {
            ioas,
            from,
            length,
            at,
            rights,
        } => map(*ioas, (*from, *length), *at, *rights, answer),
        Mapping::Copy {
            from,
            range: Range { iova, length },
            to,
            at,
            rights,
        } => format!(
            "IOMMU_IOAS_COPY: {{on: iommu, dst_ioas_id: ${to}, src_ioas_id: ${from}, src_iova: {iova:#x}, \
             length: {length:#x}, dst_iova: {:#x}, flags: {}{}{}}}",
            at.unwrap_or_default(),
            Flags(*at, *rights),
            mapped("dst_iova", answer),
            Ends(answer)
        ),
    }
}

fn map(
    ioas: Ioas,
    (from, length): (Place, u64),
    at: Option<u64>,
    rights: Rights,
    answer: &Answer,
) -> String {
    let memory = match from.buffer {
        Buffer::File => format!(
            "IOMMU_IOAS_MAP_FILE: {{fd: $file, start: {:#x}",
            from.offset
        ),
        _ => format!("IOMMU_IOAS_MAP: {{user_va: {}", At(from)),
    };
    format!(
        "{memory}, on: iommu, ioas_id: ${ioas}, length: {length:#x}, iova: {:#x}, flags: {}{}{}}}",
        at.unwrap_or_default(),
        Flags(at, rights),
        mapped("iova", answer),
        Ends(answer)
    )
}

fn unmap(ioas: Ioas, Range { iova, length }: Range, answer: &Answer) -> String {
    let unmapped = match answer {
        Answer::Unmapped(bytes) => format!(", expect: {{length: {bytes:#x}}}"),
        _ => String::new(),
    };
    format!(
        "IOMMU_IOAS_UNMAP: {{on: iommu, ioas_id: ${ioas}, iova: {iova:#x}, length: {length:#x}{unmapped}{}}}",
        Ends(answer)
    )
}
