//! Runs the selected cases. Workers, each with its own guest, take them from one queue.

use std::{
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Sender, channel},
    },
    time::{Duration, Instant},
};

use case::Case;
use vm_images::Blame;
use wire::{CheckState, KernelCheck};

use crate::{
    boards::Place,
    checks::{self, Checks},
    complaints::{Complaints, When},
    event::{Event, Sink},
    guest::{BootError, Guest},
    judge::Judgement,
    lab::{Lab, LabError, Ran, folders},
    plan_witness,
    promise::Broken,
    promises::Promises,
    queue::Queue,
    record::{BOOT, InGuest, Record, RunFacts},
    summary::Summary,
};

/// Set by Ctrl-C: no further case begins, and running guests are killed.
#[derive(Debug, Default)]
pub struct Cancel {
    asked: AtomicBool,
    watched: AtomicBool,
}

impl Cancel {
    /// Asks the run to stop.
    pub fn cancel(&self) {
        self.asked.store(true, Ordering::SeqCst);
        crate::qemu::kill_all();
    }

    /// Whether the run was asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.asked.load(Ordering::SeqCst)
    }

    /// Says that something looks at this flag from now on.
    pub fn watch(&self) {
        self.watched.store(true, Ordering::SeqCst);
    }

    /// Whether something looks at this flag. Before, while a kernel is built or a lock is waited
    /// for, nothing would end.
    pub fn is_watched(&self) -> bool {
        self.watched.load(Ordering::SeqCst)
    }
}

/// Runs `cases` with `jobs` guests at a time and returns the summary.
pub fn run(
    lab: &Lab,
    cases: &[&Case],
    jobs: usize,
    sinks: &mut [Box<dyn Sink>],
    cancel: &Cancel,
) -> Result<Summary, LabError> {
    cancel.watch();
    let start = Instant::now();
    let mut facts = lab.facts(jobs);
    tell(
        sinks,
        &Event::Started {
            facts: Box::new(facts.clone()),
            folders: folders(cases.iter().copied()),
        },
    )?;
    let places = lab.places(cases).into_iter();
    let queue = Mutex::new(Queue::new(places.zip(cases.iter().copied())));
    let (to, from) = channel();
    let mut records = Vec::new();
    let mut outcome = Ok(());
    let mut unbootable = false;
    let mut checks = Checks::new(lab.checks());
    let mut promises = Promises::default();
    let mut complaints = Complaints::default();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(cases.len()) {
            let worker = Worker {
                lab,
                queue: &queue,
                events: to.clone(),
                cancel,
                guest: None,
                place: None,
                last: None,
            };
            scope.spawn(move || worker.work());
        }
        drop(to);
        for message in from {
            match message {
                Message::Event(event) => {
                    note_counters(&mut facts, &event);
                    if let Err(error) = keep(lab, sinks, event, &mut records) {
                        // An error such as a full disk ends the run; the records written so far
                        // stay.
                        outcome = Err(error);
                        cancel.cancel();
                    }
                }
                Message::Checks(boot, states) => checks.add(boot, states),
                Message::Broken(broken) => promises.add(&broken),
                Message::Complaint(when, text) => complaints.add(&when, &text),
                // Guests that boot at the same time fail alike.
                Message::NoGuest(_) if unbootable => {}
                Message::NoGuest(error) if error.blame() == Blame::Kernel => {
                    unbootable = true;
                    let reason = error.to_string();
                    let record = Record::of_kernel(BOOT, &lab.platform.name, reason);
                    let event = Event::CaseEnded(Box::new(record));
                    outcome = keep(lab, sinks, event, &mut records);
                    cancel.cancel();
                }
                Message::NoGuest(error) => {
                    outcome = Err(LabError::Boot(error));
                    cancel.cancel();
                }
            }
        }
    });
    let mut of_machine = promises.records(&lab.platform.name, &records);
    of_machine.extend(complaints.records(&lab.platform.name));
    of_machine.extend(checks.records(&lab.platform.name, &lab.corpus.findings));
    of_machine.extend(plan_witness::record(lab, &records, cases));
    for record in of_machine {
        let event = Event::CaseEnded(Box::new(record));
        outcome = outcome.and_then(|()| keep(lab, sinks, event, &mut records));
    }
    facts.interrupted = cancel.is_cancelled() && !unbootable;
    facts.allowed = lab.allowed();
    facts.ms = start.elapsed().as_millis() as u64;
    let baseline = lab.baseline(&records);
    let summary = Summary::new(facts, records, &lab.corpus).with_baseline(baseline);
    let report = serde_json::to_string_pretty(&summary).unwrap_or_default();
    let written = lab.with_run_dir(|dir| dir.write("report.json", &report));
    outcome?;
    written?;
    tell(sinks, &Event::Ended(Box::new(summary.clone())))?;
    Ok(summary)
}

fn keep(
    lab: &Lab,
    sinks: &mut [Box<dyn Sink>],
    mut event: Event,
    records: &mut Vec<Record>,
) -> Result<(), LabError> {
    if let Event::CaseEnded(record) = &mut event {
        lab.note_known(record);
        lab.with_run_dir(|dir| dir.add(record))?;
        records.push((**record).clone());
    }
    tell(sinks, &event)
}

/// Counts the guests whose counters were stored.
fn note_counters(facts: &mut RunFacts, event: &Event) {
    if let (Some(all), Event::Counters { boot, kept }) = (&mut facts.counters, event) {
        match kept {
            Ok(_) => all.guests += 1,
            Err(why) => all.lost.push(format!("guest {boot}: {why}")),
        }
    }
}

fn tell(sinks: &mut [Box<dyn Sink>], event: &Event) -> Result<(), LabError> {
    for sink in sinks {
        sink.take(event)?;
    }
    Ok(())
}

enum Message {
    Event(Event),
    /// The state of the kernel's checks at the end of this guest.
    Checks(usize, Vec<CheckState>),
    /// The kernel complained outside of a case.
    Complaint(When, String),
    /// What a guest should have had.
    Broken(Vec<Broken>),
    NoGuest(BootError),
}

struct Worker<'a> {
    lab: &'a Lab,
    queue: &'a Mutex<Queue<'a>>,
    events: Sender<Message>,
    cancel: &'a Cancel,
    /// With its number in this run.
    guest: Option<(usize, Guest)>,
    /// What its guest is, or gets. None before the first case.
    place: Option<Place>,
    /// The case that the guest ran last.
    last: Option<String>,
}

impl<'a> Worker<'a> {
    fn work(mut self) {
        let mut instead = None;
        while let Some((place, case)) = self.next() {
            self.need_place(place);
            self.need_order(case);
            if let Err(error) = self.need_guest(place, &mut instead) {
                self.no_guest(case, error);
                return;
            }
            instead = self.run(place, case);
        }
        self.end_guest();
    }

    /// Ends a guest that is not spoiled.
    fn end_guest(&mut self) {
        if let Some(mut guest) = self.guest.take() {
            self.fetch_counters(&mut guest);
            self.ask_checks(&mut guest);
            let complaint = guest.1.end();
            let last = self.last.take();
            self.complain(When::After(last), complaint);
        }
    }

    fn need_place(&mut self, place: Place) {
        if self.place.replace(place) != Some(place) {
            self.end_guest();
        }
    }

    fn need_order(&mut self, case: &Case) {
        let suits = |(_, guest): &(usize, Guest)| guest.suits(case);
        if !self.guest.as_ref().is_none_or(suits) {
            self.end_guest();
        }
    }

    fn complain(&self, when: When, complaint: Option<String>) {
        // A guest that is killed breaks off anywhere.
        if let Some(complaint) = complaint
            && !self.cancel.is_cancelled()
        {
            let _ = self.events.send(Message::Complaint(when, complaint));
        }
    }

    fn next(&self) -> Option<(Place, &'a Case)> {
        if self.cancel.is_cancelled() {
            return None;
        }
        let queue = self.queue.lock();
        let mut queue = queue.unwrap_or_else(std::sync::PoisonError::into_inner);
        queue.next(self.place)
    }

    fn need_guest(&mut self, place: Place, instead: &mut Option<String>) -> Result<(), BootError> {
        if self.guest.is_none() {
            let (boot, guest) = self.lab.boot_at(place)?;
            let (took, instead) = (guest.boot, instead.take());
            self.last = None;
            self.complain(When::Boot, guest.complaint());
            let broken = guest.promise.broken().to_vec();
            let _ = self.events.send(Message::Broken(broken));
            self.guest = Some((boot, guest));
            self.tell(Event::GuestUp {
                boot,
                took,
                instead,
            });
        }
        Ok(())
    }

    /// Boots another guest in place of one whose QEMU crashed, and returns whether it did. A kernel at which QEMU crashes each
    /// time is seen at the second try.
    fn boots_another(&mut self, place: Place, case: &Case) -> bool {
        eprintln!(
            "note: QEMU crashed in {}, which runs again in another guest",
            case.id
        );
        self.guest = None;
        self.need_guest(place, &mut None).is_ok()
    }

    /// Runs a case. Returns why its guest was given up, if it was.
    fn run(&mut self, place: Place, case: &Case) -> Option<String> {
        self.tell(Event::CaseStarted {
            id: case.id.clone(),
        });
        let mut ran = self.lab.run(case, &mut self.guest.as_mut()?.1);
        if ran.qemu_crashed && !self.cancel.is_cancelled() && self.boots_another(place, case) {
            ran = self.lab.run(case, &mut self.guest.as_mut()?.1);
        }
        let Ran {
            mut record,
            blessed,
            guest_spoiled,
            agent_answers,
            complaint_before,
            ..
        } = ran;
        let last = self.last.replace(case.id.clone());
        record.guest = self.guest.as_ref().map(|(number, _)| InGuest {
            number: *number,
            after: last.clone(),
        });
        self.complain(When::After(last), complaint_before);
        if self.cancel.is_cancelled() && record.verdict.spoils_guest() {
            // The guest was killed during the case, so the case has no verdict on the kernel.
            return None;
        }
        if let Some(what) = blessed {
            self.tell(Event::Blessed(what));
        }
        let why = guest_spoiled.then(|| format!("{} in {}", record.verdict, record.id));
        self.tell(Event::CaseEnded(Box::new(record)));
        if guest_spoiled && let Some(mut guest) = self.guest.take() {
            // A spoiled guest may still be alive, and can then send its counters, and say what it leaked.
            self.fetch_counters(&mut guest);
            if agent_answers {
                self.ask_leaks(&mut guest);
            }
        }
        why
    }

    /// Asks a guest that is not spoiled for the state of the kernel's checks.
    fn ask_checks(&self, guest: &mut (usize, Guest)) {
        self.ask(guest, self.lab.checks());
    }

    /// Asks a spoiled guest for leaks. Other checks may have switched themselves off at the complaint
    /// that spoiled it.
    fn ask_leaks(&self, guest: &mut (usize, Guest)) {
        let checks = self.lab.checks().iter().copied();
        let leaks: Vec<_> = checks
            .filter(|check| *check == KernelCheck::Kmemleak)
            .collect();
        self.ask(guest, &leaks);
    }

    fn ask(&self, (boot, guest): &mut (usize, Guest), asked: &[KernelCheck]) {
        if asked.is_empty() || self.cancel.is_cancelled() {
            return;
        }
        let states = guest.checks(asked);
        let states = states.unwrap_or_else(|lost| checks::lost(asked, &lost));
        let _ = self.events.send(Message::Checks(*boot, states));
    }

    fn fetch_counters(&self, (boot, guest): &mut (usize, Guest)) {
        if self.cancel.is_cancelled() {
            return;
        }
        if let Some(counters) = &self.lab.counters {
            let kept = guest.counters(&mut counters.of_guest(*boot));
            self.tell(Event::Counters {
                boot: *boot,
                kept: kept.map_err(|error| error.to_string()),
            });
        }
    }

    /// Ends the run, because a guest did not boot. If that is not the kernel's fault, its case is
    /// an ERROR.
    fn no_guest(&self, case: &Case, error: BootError) {
        if self.cancel.is_cancelled() {
            return;
        }
        if error.blame() != Blame::Kernel {
            let judgement = Judgement::error(&error.to_string());
            let record = self.lab.record(case, judgement, Duration::ZERO);
            self.tell(Event::CaseEnded(Box::new(record)));
        }
        let _ = self.events.send(Message::NoGuest(error));
    }

    fn tell(&self, event: Event) {
        let _ = self.events.send(Message::Event(event));
    }
}
