//! Parses the command line, runs what it asks for, tells how it ended.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use omni_relay::cli;

/// A task of some kilobytes comes and goes with each request; the C library's allocator is slow at that size.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // Before anything could make a TLS connection; there is no other provider that could have come first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    match cli::run() {
        Ok(code) => code,
        Err(error) => cli::failed(&error),
    }
}
