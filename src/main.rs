//! Parses the command line, runs what it asks for, tells how it ended.

use std::process::ExitCode;

use omni_relay::cli;

fn main() -> ExitCode {
    // Before anything could make a TLS connection; there is no other provider that could have come first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::run() {
        Ok(code) => code,
        Err(error) => cli::failed(&error),
    }
}
