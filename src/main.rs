//! The program `covault`: what must hold before the first command runs, and the exit code after it.
//! Keeps S1 as far as the process goes: freed memory is wiped, and no core file is written.
//! Knows nothing of the commands; `cli` does.

use std::{alloc::System, process::ExitCode};

use zeroizing_alloc::ZeroAlloc;

/// Wipes every block it frees, so that a value does not outlive its use in memory.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    forbid_core_dumps();
    // Refused only when a provider is installed already, and nothing has run before this line.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    ExitCode::from(covault::cli::main() as u8)
}

/// A core file would hold values in plain. Where the machine refuses the setting there is nothing better
/// to do, so the program runs on.
#[cfg(target_os = "linux")]
fn forbid_core_dumps() {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};

    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

#[cfg(not(target_os = "linux"))]
fn forbid_core_dumps() {}
