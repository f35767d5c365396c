//! `covault completions`: made from the same list as the commands themselves.
//! Knows nothing of single commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, failure::Failure, output::Output};

/// Print the completions for a shell.
///
/// Put the text where your shell looks for it, or load it when the shell starts.
#[derive(Args)]
#[command(after_help = "Examples:\n  source <(covault completions bash)\n  \
    covault completions zsh > ~/.zfunc/_covault\n  \
    covault completions fish > ~/.config/fish/completions/covault.fish")]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

impl CompletionsArgs {
    /// Prints them.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn run(self, output: &Output) -> Result<(), Failure> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "covault", &mut text);
        output.text(&String::from_utf8_lossy(&text))
    }
}
