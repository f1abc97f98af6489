//! Makes one image and prints where it is: `build [SERIES | TREE] [coverage]`.

use std::process::ExitCode;

use vm_images::{Flavour, Source, Terminal, obtain};

fn main() -> ExitCode {
    let source = match std::env::args().nth(1) {
        Some(text) if text.contains('/') => Source::Tree(text.into()),
        series => Source::Release(series),
    };
    let flavour = match std::env::args().nth(2).as_deref() {
        Some("coverage") => Flavour::Coverage,
        _ => Flavour::Plain,
    };
    match obtain(&source, flavour, &Terminal::new()) {
        Ok(image) => {
            println!("{image:#?}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
