//! Variables of the program, for values that later ops use.

use std::collections::{BTreeMap, BTreeSet};

use case::{Check, Parts, Want, WantData};
use wire::{ControlOp, Op, ProcessOp, Target, Use, Value, Width};

use crate::helper;

/// Names that a variable may not have: those of the language, of the C library as far as its
/// headers are included, and of the helpers.
const TAKEN: &str = "
    auto break case char const continue default do double else enum extern float for goto if inline
    int long register restrict return short signed sizeof static struct switch typedef union
    unsigned void volatile while linux unix asm typeof bool true false errno stdin stdout stderr
    access alarm brk chdir chmod chown chroot close confstr crypt ctermid daemon dup dup2 dup3
    execl execv faccessat fchown fork fsync ftruncate getcwd getpid link lockf lseek nice pathconf
    pause pipe pipe2 pread profil pwrite read readlink rmdir sbrk setsid sleep swab symlink sync
    syscall sysconf truncate ttyname ualarm unlink usleep vfork vhangup write open creat fcntl
    openat fallocate poll ppoll ioctl mmap munmap mprotect madvise mlock msync mremap shm_open
    memfd_create raise kill signal sigaction psignal strsignal abort abs atexit atof atoi atol
    bsearch calloc div drand48 ecvt exit free getenv labs malloc mktemp qsort rand random realloc
    realpath select setenv srand strtol system remove rename tmpfile tmpnam printf puts putchar
    perror getc getchar gets scanf fopen fclose fread fwrite memchr memcmp memcpy memset strcat
    strchr strcmp strcpy strlen strdup index rindex ffs basename clock time ctime gmtime difftime
    mktime nanosleep timer bind listen accept connect send recv shutdown socket socketpair wait
    waitpid opendir readdir closedir dirfd isalnum isalpha isspace tolower toupper uname step pass
    fail skip keep_sides kernel_side sides what number text entry memory load store peek dma dma_read landed blocked hold held
    driver arrive ask in capability main test restore ret error failure nth usage argument before
    accounted udmabuf restored bytes file fd seen shared failed length arg argc argv status pid";

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Its name in C.
    pub name: String,
    /// Its type.
    pub of: &'static str,
}

/// The variables of a program.
#[derive(Debug, Default)]
pub struct Variables {
    variables: BTreeMap<String, Variable>,
    /// Whether they are in memory that all processes and threads of the program share.
    pub shared: bool,
}

/// Facts about a slot.
#[derive(Debug, Default)]
struct Known {
    saved: Option<&'static str>,
    several: bool,
    read: bool,
    descriptor: bool,
}

impl Variables {
    /// Collects the variables of ops and checks. `used` are other names of the program.
    pub fn of(ops: &[Op], checks: &[Check], used: &BTreeSet<String>) -> Self {
        let mut survey = Survey::default();
        ops.iter().for_each(|op| survey.op(op));
        checks.iter().for_each(|check| survey.check(check));
        let taken = TAKEN.split_whitespace().chain(helper::defined());
        let taken: BTreeSet<&str> = taken.collect();
        let mut variables = Self {
            shared: survey.shared,
            ..Self::default()
        };
        let mut names = used.clone();
        for (slot, known) in survey.variables {
            let (Some(of), true) = (known.saved, known.read) else {
                continue;
            };
            let mut name = slot.clone();
            while taken.contains(name.as_str()) || names.contains(&name) {
                name.push('_');
            }
            names.insert(name.clone());
            let of = match of {
                _ if known.descriptor => "int",
                _ if known.several => "__u64",
                of => of,
            };
            variables.variables.insert(slot, Variable { name, of });
        }
        variables
    }

    /// All of them.
    pub fn variables(&self) -> impl Iterator<Item = &Variable> {
        self.variables.values()
    }

    /// Returns the variable as an expression, or `None` if no op saves it.
    pub fn name(&self, slot: &str) -> Option<String> {
        let variable = self.variables.get(slot)?;
        Some(if self.shared {
            format!("shared->{}", variable.name)
        } else {
            variable.name.clone()
        })
    }

    /// Returns a name for a local variable that does not hide another variable.
    pub fn fresh(&self, wish: &str) -> String {
        let taken = |name: &str| {
            let mut variables = self.variables.values();
            variables.any(|known| known.name == name)
                || helper::defined().any(|known| known == name)
        };
        let mut name = wish.to_owned();
        while taken(&name) || TAKEN_LOCALS.contains(&name.as_str()) {
            name.push('_');
        }
        name
    }
}

/// Keywords, and functions that a block calls.
const TAKEN_LOCALS: [&str; 8] = [
    "default", "register", "static", "union", "ioctl", "text", "entry", "step",
];

#[derive(Debug, Default)]
struct Survey {
    variables: BTreeMap<String, Known>,
    shared: bool,
}

impl Survey {
    fn saved(&mut self, slot: &str, of: &'static str) {
        let known = self.variables.entry(slot.to_owned()).or_default();
        known.several |= known.saved.is_some_and(|other| other != of);
        known.saved = Some(of);
    }

    fn read(&mut self, value: &Value) {
        if let Value::Slot { name, .. } = value {
            self.variables.entry(name.clone()).or_default().read = true;
        }
    }

    fn descriptor(&mut self, value: &Value) {
        self.read(value);
        if let Value::Slot { name, .. } = value {
            self.variables.entry(name.clone()).or_default().descriptor = true;
        }
    }

    fn op(&mut self, op: &Op) {
        self.shared |= shares_memory(op);
        for one in op.uses() {
            match one {
                Use::Reads(value) => self.read(value),
                Use::ReadsFd(value) => self.descriptor(value),
                Use::Leaves(target) => self.saved(target.slot(), type_of(target)),
            }
        }
    }

    fn check(&mut self, check: &Check) {
        if let Some(want) = &check.expect.returns {
            self.want(want);
        }
        for field in &check.expect.fields {
            self.want(&field.want);
        }
        if let WantData::Number(want) = &check.expect.data {
            self.want(want);
        }
        match &check.parts {
            Parts::Whole => {}
            Parts::Injected(injection) => {
                let after = injection.failed.iter().chain(&injection.failed_copy);
                after
                    .chain(&injection.survived)
                    .for_each(|check| self.check(check));
            }
            Parts::Together(race) => race.checks.iter().for_each(|check| self.check(check)),
            Parts::ByRace(checks) => checks.iter().for_each(|check| self.check(check)),
        }
    }

    fn want(&mut self, want: &Want) {
        if let Want::Is(value) | Want::Not(value) = want {
            self.read(value);
        }
    }
}

/// Whether it creates a process or a thread, which needs access to the variables.
fn shares_memory(op: &Op) -> bool {
    match op {
        Op::Process(ProcessOp::Fork { .. }) | Op::Control(ControlOp::Together { .. }) => true,
        Op::Control(op) => op.inner().into_iter().any(shares_memory),
        _ => false,
    }
}

fn type_of(target: Target<'_>) -> &'static str {
    match target {
        Target::Fd(_) => "int",
        Target::Field(save) => match save.width {
            Width::W1 => "__u8",
            Width::W2 => "__u16",
            Width::W4 => "__u32",
            Width::W8 => "__u64",
        },
        Target::Mapping { .. } | Target::Returned(_) | Target::Number(_) | Target::Counter(_) => {
            "__u64"
        }
    }
}
