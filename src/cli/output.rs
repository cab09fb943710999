//! In which form a command tells what it found.

use clap::{Args, ValueEnum};

/// For people or for programs.
#[derive(Args, Clone, Copy)]
pub(super) struct Output {
    /// For people, or JSON for programs
    #[arg(short = 'o', long = "output", value_name = "FORMAT", default_value = "human")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Human,
    Json,
}

impl Output {
    pub(super) fn json(self) -> bool {
        self.format == Format::Json
    }
}
