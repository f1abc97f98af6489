//! Runs of the same cases on several kernels and platforms, side by side.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::Serialize;

use crate::{
    report::folder_of,
    summary::{ClauseVerdict, Summary},
    verdict::Verdict,
};

/// What several runs saw: the contents of `matrix.json`.
#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    /// The runs, in their order.
    pub columns: Vec<Column>,
    /// The folders of cases.
    pub folders: Vec<Row>,
    /// The clauses of the protocol.
    pub clauses: Vec<Row>,
}

/// One run.
#[derive(Debug, Clone, Serialize)]
pub struct Column {
    /// What it differs in from the others, such as `amd, 6.12`.
    pub name: String,
    /// Folder of its record.
    pub record: String,
    /// The kernel; none if it was not built.
    pub kernel: Option<String>,
    /// The number of its exit code.
    pub exit: u8,
    /// Number of cases for each verdict that one has.
    pub totals: BTreeMap<String, usize>,
}

/// A folder or a clause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub name: String,
    /// What each run says of it.
    pub cells: Vec<String>,
}

/// A run that has ended.
#[derive(Debug)]
pub struct Cell {
    pub name: String,
    pub record: String,
    pub exit: u8,
    /// None if no case was run.
    pub summary: Option<Summary>,
}

impl Matrix {
    /// Puts runs side by side.
    pub fn new(runs: &[Cell]) -> Self {
        let summaries: Vec<Option<&Summary>> = runs.iter().map(|it| it.summary.as_ref()).collect();
        Self {
            columns: runs.iter().map(column).collect(),
            folders: folders(&summaries),
            clauses: clauses(&summaries),
        }
    }
}

fn column(run: &Cell) -> Column {
    let totals = run.summary.iter().flat_map(|it| it.totals.clone());
    Column {
        name: run.name.clone(),
        record: run.record.clone(),
        kernel: run.summary.as_ref().map(|it| it.run.linux()),
        exit: run.exit,
        totals: totals.filter(|(_, count)| *count > 0).collect(),
    }
}

fn folders(summaries: &[Option<&Summary>]) -> Vec<Row> {
    let all = summaries.iter().flatten().flat_map(|it| &it.cases);
    let names: BTreeSet<&str> = all.map(|record| folder_of(&record.id)).collect();
    let row = |name: &str| Row {
        name: name.to_owned(),
        cells: summaries.iter().map(|it| of_folder(*it, name)).collect(),
    };
    names.into_iter().map(row).collect()
}

/// The verdicts of a folder: `300 PASS 1 FAIL 19 SKIP`.
fn of_folder(summary: Option<&Summary>, folder: &str) -> String {
    let Some(summary) = summary else {
        return "-".to_owned();
    };
    let mut counts: BTreeMap<Verdict, usize> = BTreeMap::new();
    for record in &summary.cases {
        if folder_of(&record.id) == folder {
            *counts.entry(record.verdict).or_default() += 1;
        }
    }
    let count = |(verdict, count): (&Verdict, &usize)| format!("{count} {verdict}");
    let counts: Vec<_> = counts.iter().map(count).collect();
    match counts.is_empty() {
        true => "-".to_owned(),
        false => counts.join(" "),
    }
}

fn clauses(summaries: &[Option<&Summary>]) -> Vec<Row> {
    let Some(first) = summaries.iter().flatten().next() else {
        return Vec::new();
    };
    let verdict = |summary: Option<&Summary>, id: &str| {
        let clauses = summary.into_iter().flat_map(|it| &it.clauses);
        let found = clauses.into_iter().find(|clause| clause.id == id);
        found.map_or(ClauseVerdict::Untested, |clause| clause.verdict)
    };
    let row = |id: &String| Row {
        name: id.clone(),
        cells: summaries
            .iter()
            .map(|it| verdict(*it, id).to_string())
            .collect(),
    };
    let rows = first.clauses.iter().map(|clause| row(&clause.id));
    rows.filter(|row| {
        row.cells
            .iter()
            .any(|cell| *cell != ClauseVerdict::Untested.to_string())
    })
    .collect()
}

impl fmt::Display for Matrix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let titles = self.columns.iter().map(|it| it.name.clone());
        let heading = Row {
            name: String::new(),
            cells: titles.collect(),
        };
        let totals = Row {
            name: "all".to_owned(),
            cells: self.columns.iter().map(total).collect(),
        };
        let rows: Vec<&Row> = [&heading]
            .into_iter()
            .chain(&self.folders)
            .chain([&totals])
            .chain(&self.clauses)
            .collect();
        let widths = widths(&rows);
        for row in rows {
            writeln!(f, "{}", line(row, &widths))?;
        }
        Ok(())
    }
}

fn total(column: &Column) -> String {
    let verdicts = Verdict::ALL.into_iter().filter_map(|verdict| {
        let count = column.totals.get(verdict.name())?;
        Some(format!("{count} {verdict}"))
    });
    let verdicts: Vec<_> = verdicts.collect();
    match (verdicts.is_empty(), &column.kernel) {
        (true, None) => "not built".to_owned(),
        _ => verdicts.join(" "),
    }
}

fn widths(rows: &[&Row]) -> Vec<usize> {
    let columns = rows.first().map_or(0, |row| row.cells.len());
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let names = rows.iter().map(|row| row.name.chars().count()).max();
    let names = names.unwrap_or(0);
    std::iter::once(names)
        .chain((0..columns).map(width))
        .collect()
}

fn line(row: &Row, widths: &[usize]) -> String {
    let texts = std::iter::once(&row.name).chain(&row.cells);
    let padded = texts
        .zip(widths)
        .map(|(text, width)| format!("{text:<width$}"));
    let line = padded.collect::<Vec<_>>().join("  ");
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use case::Corpus;

    use super::*;
    use crate::{
        lab::load_corpus,
        options::cases_folder,
        record::{Record, RunFacts},
    };

    fn facts() -> RunFacts {
        RunFacts {
            started: "2026-11-29T00-00-00Z".to_owned(),
            platform: "intel".to_owned(),
            kernel: "7.3.4".to_owned(),
            image: "0".to_owned(),
            configuration: None,
            qemu: "QEMU emulator version 10.0.2".to_owned(),
            build: String::new(),
            lacking: Vec::new(),
            unknown_names: Vec::new(),
            allowed: Vec::new(),
            accel: "tcg".to_owned(),
            why_not_kvm: None,
            jobs: 2,
            shuffle: None,
            interrupted: false,
            ms: 1000,
            counters: None,
        }
    }

    fn cell(name: &str, exit: u8, verdicts: &[(&str, Verdict)], corpus: &Corpus) -> Cell {
        let record = |(id, verdict): &(&str, Verdict)| Record {
            verdict: *verdict,
            ..Record::of_machine(id, "intel", "a rule")
        };
        let records = verdicts.iter().map(record).collect();
        let judged = !verdicts.is_empty();
        Cell {
            name: name.to_owned(),
            record: format!("runs/{name}"),
            exit,
            summary: judged.then(|| Summary::new(facts(), records, corpus)),
        }
    }

    #[test]
    fn runs_stand_side_by_side() {
        let corpus = load_corpus(&cases_folder()).unwrap();
        let one = [
            ("stage1/a", Verdict::Pass),
            ("stage1/b", Verdict::Fail),
            ("mock/a", Verdict::Pass),
        ];
        let two = [("stage1/a", Verdict::Skip), ("stage1/b", Verdict::Pass)];
        let cells = [
            cell("intel", 1, &one, &corpus),
            cell("amd", 0, &two, &corpus),
            cell("virtio", 1, &[], &corpus),
        ];
        insta::assert_snapshot!(Matrix::new(&cells));
    }
}
