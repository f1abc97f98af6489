//! Reads a contract and turns each of its rows into the steps of a test.

use crate::{
    contract::{
        errno_rules::{Defect, Family},
        rows::{Change, MalformedCall, OBJECTS, OTHER, Row, Setup, rows},
    },
    expand::Preludes,
    expect::WantEnd,
    fields::Fields,
    findings::{Findings, Known},
    input::Input,
    node::{Name, Node, Tree},
    problem::Problem,
    steps::Step,
    value,
    xfail::FailingStep,
};

/// The contract of one ioctl.
#[derive(Debug, Clone)]
pub struct Contract {
    name: Name,
    body: Node,
    ioctl: &'static uapi::Ioctl,
    /// How the call ends if its argument is not malformed.
    end: WantEnd,
    undo: Vec<Node>,
    exceptions: Vec<(Name, Exception)>,
    omitted: Vec<Name>,
}

/// A row in which a handler differs from its family, or from what it should do.
#[derive(Debug, Clone)]
struct Exception {
    end: Option<WantEnd>,
    /// Whether the handler does its work despite the errno, so that the steps that undo it succeed.
    done: bool,
    finding: Option<Known>,
    /// How the call is known to end instead.
    fails: Option<String>,
}

/// Whether a row of a contract shows a finding.
#[derive(Debug, Clone)]
pub enum Deviates {
    /// It does not.
    Nowhere,
    /// It passes, because it expects what the handler does.
    AsExpected(Known),
    /// It is known to fail in these steps.
    Fails(Known, Vec<FailingStep>),
}

/// One generated test.
#[derive(Debug, Clone)]
pub struct ContractCase {
    /// Name of the row, with its location if the contract names it.
    pub name: Name,
    /// Its steps after the set-up of the case.
    pub steps: Vec<Step>,
    /// Whether it shows a finding.
    pub deviates: Deviates,
}

/// Keys of a call that only apply if it succeeds.
const OUTCOME: [&str; 4] = ["expect", "save", "returns", "save_return"];

impl Contract {
    /// Reads `{call: .., undo: [..], except: {ROW: ..}, omit: {ROW: reason}}`.
    pub fn read(node: &Node, findings: &Findings) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "contract")?;
        let (name, body) = fields.need("call")?.single()?;
        let ioctl = uapi::ioctl(&name.text).ok_or_else(|| {
            let known = uapi::ioctls().iter().map(|ioctl| ioctl.name);
            Problem::unknown_name(name.at, "ioctl", &name.text, known)
        })?;
        let undo = fields.take("undo").map_or(&[][..], Node::items).to_vec();
        let read = |node| read_exceptions(node, findings);
        let exceptions = fields.take("except").map_or(Ok(Vec::new()), read)?;
        let omitted = fields.take("omit").map_or(Ok(Vec::new()), read_omitted)?;
        fields.finish()?;
        let (body, end) = split_end(body)?;
        Ok(Self {
            name: name.clone(),
            body,
            ioctl,
            end,
            undo,
            exceptions,
            omitted,
        })
    }

    /// Returns every test, without the set-up of the case.
    pub fn cases(&self, preludes: &Preludes) -> Result<Vec<ContractCase>, Problem> {
        let mut rows = rows(self.ioctl, &self.body)?;
        self.check_names(&rows)?;
        rows.retain(|row| !row.names().any(|name| self.omits(name)));
        for row in &mut rows {
            row.calls.retain(|call| !self.omits(&call.what));
        }
        let cases = rows.iter().map(|row| self.case(row, preludes));
        cases.collect()
    }

    fn check_names(&self, rows: &[Row]) -> Result<(), Problem> {
        let named = || rows.iter().flat_map(Row::names);
        let calls = || rows.iter().flat_map(|row| &row.calls);
        let excepted = self.exceptions.iter().map(|(name, _)| name);
        for name in excepted.chain(&self.omitted) {
            let is_call = calls().any(|call| call.what == name.text);
            if !is_call && !named().any(|known| known == name.text) {
                let what = format!("row of the contract of {}", self.ioctl.name);
                return Err(Problem::unknown_name(name.at, &what, &name.text, named()));
            }
        }
        Ok(())
    }

    fn omits(&self, name: &str) -> bool {
        self.omitted.iter().any(|omitted| omitted.text == name)
    }

    fn exception(&self, name: &str) -> Option<&(Name, Exception)> {
        self.exceptions.iter().find(|(known, _)| known.text == name)
    }

    fn case(&self, row: &Row, preludes: &Preludes) -> Result<ContractCase, Problem> {
        let exception = row.names().find_map(|name| self.exception(name));
        let mut steps = read_all(&self.setup(row.setup), preludes)?;
        let mut unknown = Vec::new();
        let mut failing = Vec::new();
        for malformed in &row.calls {
            let own = self.exception(&malformed.what).or(exception);
            let own = own.map(|(_, exception)| exception);
            let end = self.end(row, own);
            let done = end == self.end || own.is_some_and(|exception| exception.done);
            let mut step = self.malformed(row, malformed, &end)?;
            if let Some(unnamed) = malformed.unnamed {
                step = step.where_unnamed(unnamed);
            }
            match &malformed.unknown {
                None => {
                    failing.extend(own.and_then(|it| it.failing(&step)));
                    steps.push(step);
                }
                // Only some kernels get this call, and none of them would need the undoing.
                Some(part) if !done => unknown.push(step.where_unknown(part)),
                Some(_) => continue,
            }
            if done {
                steps.extend(read_all(&self.undo, preludes)?);
            }
        }
        if row.defect != Defect::None || !self.undo.is_empty() {
            steps.push(self.plain()?);
        }
        // Last, so that the other steps have the same numbers on every kernel.
        steps.extend(unknown);
        Ok(ContractCase {
            name: Name {
                at: exception.map_or(self.name.at, |(name, _)| name.at),
                text: row.name.clone(),
            },
            steps,
            deviates: self.deviates(row, failing),
        })
    }

    /// Returns what a row shows: the finding of a call that is known to fail, or else of the row.
    fn deviates(&self, row: &Row, failing: Vec<FailingStep>) -> Deviates {
        let calls = row.calls.iter().map(|call| call.what.as_str());
        let named = calls.chain(row.names());
        let exceptions: Vec<_> = named.filter_map(|name| self.exception(name)).collect();
        let finding = |fails: bool| {
            let mut exceptions = exceptions.iter().map(|(_, exception)| exception);
            let found = exceptions.find(|it| it.finding.is_some() && it.fails.is_some() == fails);
            found.and_then(|exception| exception.finding.clone())
        };
        match (finding(true), finding(false)) {
            (Some(known), _) if !failing.is_empty() => Deviates::Fails(known, failing),
            (_, Some(known)) => Deviates::AsExpected(known),
            _ => Deviates::Nowhere,
        }
    }

    /// Returns how a malformed call ends: as the case says, or else as its family does.
    fn end(&self, row: &Row, exception: Option<&Exception>) -> WantEnd {
        let family = || match Family::of(self.ioctl.on).answer(row.defect) {
            WantEnd::Success => self.end.clone(),
            refused => refused,
        };
        exception
            .and_then(|it| it.end.clone())
            .unwrap_or_else(family)
    }

    /// Returns the steps that the row needs besides the set-up of the case.
    fn setup(&self, setup: Setup) -> Vec<Node> {
        match setup {
            Setup::Nothing => Vec::new(),
            Setup::Object(object) => {
                let name = OBJECTS.iter().find(|(known, _)| *known == object);
                let name = name.map_or("", |(_, name)| name);
                vec![self.step("use", self.text(name))]
            }
            Setup::ReadOnlyMemory => {
                let kind = [
                    ("size", self.node(Tree::Int(0x1000))),
                    ("kind", self.text("read_only")),
                ];
                let area = self.map(kind);
                vec![self.step("memory", self.map([(OTHER, area)]))]
            }
            Setup::File => vec![self.step("open", self.map([(OTHER, self.text("/dev/null"))]))],
        }
    }

    fn malformed(
        &self,
        row: &Row,
        malformed: &MalformedCall,
        end: &WantEnd,
    ) -> Result<Step, Problem> {
        let mut body = self.body.entries()?.to_vec();
        match &malformed.change {
            Change::Nothing => {}
            Change::Keys(keys) => {
                for (key, tree) in keys {
                    self.put(&mut body, key, tree.clone());
                }
            }
            Change::Data(tail, key, tree) => self.put_data(&mut body, tail.name, key, tree)?,
            Change::Pointer(pointer) => {
                body.retain(|(key, _)| key.text == "on");
                self.put(&mut body, "pointer", Tree::Text((*pointer).to_owned()));
            }
        }
        let what = match malformed.what.as_str() {
            "" => row.name.clone(),
            what => what.to_owned(),
        };
        let what = match &malformed.unknown {
            None => what,
            Some(part) => format!("{what}, which is {} of {}", part.name, part.since),
        };
        self.call(body, end, &what)
    }

    fn put(&self, body: &mut Vec<(Name, Node)>, key: &str, tree: Tree) {
        let node = self.node(tree);
        match body.iter_mut().find(|(known, _)| known.text == key) {
            Some((_, value)) => *value = node,
            None => body.push((self.key(key), node)),
        }
    }

    fn put_data(
        &self,
        body: &mut [(Name, Node)],
        tail: &str,
        key: &str,
        tree: &Tree,
    ) -> Result<(), Problem> {
        let Some((_, data)) = body.iter_mut().find(|(known, _)| known.text == tail) else {
            return Ok(());
        };
        let mut items = data.items().to_vec();
        if let Some(first) = items.first_mut() {
            let mut entries = first.entries()?.to_vec();
            self.put(&mut entries, key, tree.clone());
            first.tree = Tree::Map(entries);
        }
        data.tree = Tree::List(items);
        Ok(())
    }

    /// Returns the call as given, which follows the malformed ones.
    fn plain(&self) -> Result<Step, Problem> {
        let body = self.body.entries()?.to_vec();
        self.call(body, &self.end, "as given")
    }

    fn call(
        &self,
        mut body: Vec<(Name, Node)>,
        end: &WantEnd,
        what: &str,
    ) -> Result<Step, Problem> {
        if *end != self.end {
            body.retain(|(key, _)| !OUTCOME.contains(&key.text.as_str()));
        }
        let entry = (self.name.clone(), self.node(Tree::Map(body)));
        let mut step = Step::read(&self.node(Tree::Map(vec![entry])))?;
        step.want(end.clone());
        step.label = format!("{}: {what}", step.label);
        Ok(step)
    }

    fn node(&self, tree: Tree) -> Node {
        let at = self.body.at;
        Node { at, tree }
    }

    fn text(&self, text: &str) -> Node {
        self.node(Tree::Text(text.to_owned()))
    }

    fn key(&self, key: &str) -> Name {
        let (at, text) = (self.name.at, key.to_owned());
        Name { at, text }
    }

    fn map<const N: usize>(&self, entries: [(&str, Node); N]) -> Node {
        let entries = entries.map(|(key, node)| (self.key(key), node));
        self.node(Tree::Map(entries.to_vec()))
    }

    fn step(&self, key: &str, body: Node) -> Node {
        self.map([(key, body)])
    }
}

fn read_all(steps: &[Node], preludes: &Preludes) -> Result<Vec<Step>, Problem> {
    preludes.expand(steps)?.iter().map(Step::read).collect()
}

/// Splits the call and its `errno`. A call has an errno if it cannot succeed in the set-up although
/// its argument passes every check.
fn split_end(body: &Node) -> Result<(Node, WantEnd), Problem> {
    let entries = body.entries()?;
    let errno = entries.iter().find(|(key, _)| key.text == "errno");
    let end = errno.map(|(_, node)| value::end(node)).transpose()?;
    let rest = entries.iter().filter(|(key, _)| key.text != "errno");
    let body = Node {
        at: body.at,
        tree: Tree::Map(rest.cloned().collect()),
    };
    Ok((body, end.unwrap_or(WantEnd::Success)))
}

/// Reads `{ROW: {errno: NAME, done: true, xfail: OBSERVED, finding: NAME, reason: TEXT}}`.
fn read_exceptions(node: &Node, findings: &Findings) -> Result<Vec<(Name, Exception)>, Problem> {
    let entries = node.entries()?.iter();
    let read = |(name, node): &(Name, Node)| Ok((name.clone(), Exception::read(node, findings)?));
    entries.map(read).collect()
}

impl Exception {
    fn read(node: &Node, findings: &Findings) -> Result<Self, Problem> {
        let mut fields = Fields::of(node, "exception")?;
        let end = fields.take("errno").map(value::end).transpose()?;
        let done = fields.flag("done")?;
        let fails = fields.text("xfail")?.map(str::to_owned);
        let finding = fields.take("finding").map(|name| findings.read(name));
        let finding = finding.transpose()?;
        let reason = fields.text("reason")?.filter(|reason| !reason.is_empty());
        let missing = |what| Err(Problem::missing(node.at, what, "exception"));
        match (&finding, &fails, reason) {
            (None, Some(_), _) => return missing("finding"),
            (None, None, None) => return missing("reason` or `finding"),
            _ => {}
        }
        if end.is_none() && !done && fails.is_none() {
            return missing("errno`, `done` or `xfail");
        }
        fields.finish()?;
        Ok(Self {
            end,
            done,
            finding,
            fails,
        })
    }

    /// Returns the step of a call, if it is known to fail.
    fn failing(&self, step: &Step) -> Option<FailingStep> {
        let observed = vec![self.fails.clone()?];
        let (at, text) = (step.at, step.label.clone());
        let step = Name { at, text };
        Some(FailingStep { step, observed })
    }
}

/// Reads `{ROW: reason}`.
fn read_omitted(node: &Node) -> Result<Vec<Name>, Problem> {
    let entries = node.entries()?.iter();
    let read = |(name, reason): &(Name, Node)| reason.text().map(|_| name.clone());
    entries.map(read).collect()
}
