//! Makes one image and prints where it is: `build [SERIES | TREE]`.

use std::process::ExitCode;

use vm_images::{Source, Terminal, obtain};

fn main() -> ExitCode {
    let source = match std::env::args().nth(1) {
        Some(text) if text.contains('/') => Source::Tree(text.into()),
        series => Source::Release(series),
    };
    match obtain(&source, &Terminal::new()) {
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
