//! One run of the binary from its start to its end.

use std::{
    fs::File,
    io::Write,
    process::{Command, Output, Stdio},
};

use super::process::bare_command;

/// What a run left behind.
#[derive(Debug)]
pub struct Done {
    /// The exit code; -1 when a signal ended it.
    pub code: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Done {
    /// The run itself, if it ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("not JSON ({error}): {}", self.stdout))
    }

    /// Both streams.
    pub fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

/// Runs the binary with these arguments, this standard input and these variables.
pub fn run(arguments: &[&str], input: &[u8], variables: &[(&str, &str)]) -> Done {
    let mut command = bare_command();
    command.args(arguments).envs(variables.iter().copied());
    run_command(command, input)
}

/// Runs the binary with these arguments and variables on a full disk: whatever it prints cannot be written.
pub fn run_into_full_disk(arguments: &[&str], variables: &[(&str, &str)]) -> Done {
    let mut command = bare_command();
    command.args(arguments).envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(File::create("/dev/full").expect("it is there"));
    done(&command.output().expect("the binary starts"))
}

/// Runs the binary with these arguments and nothing to read.
pub fn covault(arguments: &[&str]) -> Done {
    run(arguments, b"", &[])
}

fn run_command(mut command: Command, input: &[u8]) -> Done {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary starts");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // A command that needs no input may be gone before it is written.
    let _ = stdin.write_all(input);
    drop(stdin);
    done(&child.wait_with_output().expect("the binary ends"))
}

fn done(output: &Output) -> Done {
    Done {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
