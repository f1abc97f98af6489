//! Which pages are pinned, and how often.

use std::collections::BTreeMap;

use super::{
    areas::Part,
    flaw::Flaw,
    memory::{Buffer, PAGE},
    space::Space,
};
use crate::Ioas;

/// Pages in a row with the same number of pins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRun {
    /// The number of the first page in its buffer.
    pub first: u64,
    /// How many pages.
    pub pages: u64,
    /// How often each of them is pinned.
    pub pins: u64,
}

/// The pages that are pinned: by the mapping that the kernel was given them with, whose copies
/// share the pin, and by their place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinned(BTreeMap<(u32, Buffer, u64), u64>);

impl Pinned {
    /// What the kernel counts as pinned for the process, in bytes: each page once for each mapping
    /// that was made of it.
    pub fn bytes(&self) -> u64 {
        self.0.values().sum::<u64>() * PAGE
    }

    /// How often each page of a buffer is pinned, in runs.
    pub fn runs(&self, buffer: Buffer) -> Vec<PageRun> {
        let mut of_page = vec![0; (buffer.size() / PAGE) as usize];
        for ((_, of, page), pins) in &self.0 {
            match of_page.get_mut(*page as usize) {
                Some(all) if *of == buffer => *all += pins,
                _ => {}
            }
        }
        let mut runs: Vec<PageRun> = Vec::new();
        for (page, pins) in of_page.into_iter().enumerate() {
            match runs.last_mut() {
                Some(run) if run.pins == pins => run.pages += 1,
                _ => runs.push(PageRun {
                    first: page as u64,
                    pages: 1,
                    pins,
                }),
            }
        }
        runs
    }

    fn add(&mut self, part: &Part, each: bool) {
        let first = part.place.offset;
        let last = first + (part.span.last() - part.span.first());
        for page in first / PAGE..=last / PAGE {
            let pins = self
                .0
                .entry((part.area.pages.number, part.place.buffer, page));
            let pins = pins.or_default();
            *pins = if each { *pins + 1 } else { 1 };
        }
    }
}

impl Space {
    /// The pages that devices and drivers hold.
    pub fn pinned(&self) -> Pinned {
        let mut pinned = Pinned::default();
        let each = self.has(Flaw::PinForEachHolder);
        for (number, space) in self.ioases.iter().enumerate() {
            if self.has_domain(Ioas(number)) && !self.has(Flaw::PinsOfDevicesFree) {
                space.areas.all().for_each(|part| pinned.add(&part, each));
            }
        }
        for driver in self.drivers.iter().flatten() {
            for item in &driver.items {
                let areas = &self.ioases[driver.ioas.0].areas;
                areas.parts(item.span).for_each(|it| pinned.add(&it, each));
            }
        }
        pinned
    }
}
