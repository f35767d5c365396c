//! `sim`: runs worlds from seeds, and says whether the rules held.

fn main() -> std::process::ExitCode {
    sim::cli::main()
}
