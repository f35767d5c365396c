//! One process of the real binary: started with its output in files, killed when it goes out of scope.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use rustix::process::{Pid, Signal, kill_process};

use super::eventually;

/// The binary under test: `COVAULT_BIN` if set (a release build, say), else the one cargo has built.
pub fn binary() -> PathBuf {
    std::env::var_os("COVAULT_BIN")
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_covault")), PathBuf::from)
}

/// A command of the binary, free of what the surroundings may have set.
pub fn bare_command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("COVAULT_") || text == "CREDENTIALS_DIRECTORY" || text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
}

/// A running process of the binary.
pub struct Process {
    child: Child,
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    /// Starts `command` with its output in files of `logs`.
    pub fn start(mut command: Command, logs: &Path) -> io::Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(logs)?;
        let (stdout, stderr) = (logs.join(format!("{number}.out")), logs.join(format!("{number}.err")));
        command.stdin(Stdio::null()).stdout(File::create(&stdout)?).stderr(File::create(&stderr)?);
        Ok(Self { child: command.spawn()?, stdout, stderr })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Ends it as a power cut would, and waits until it is gone.
    pub fn kill_hard(&mut self) {
        // It may have ended by itself: then there is nothing to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM).expect("the process is there");
    }

    /// How it ended, if it did.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> ExitStatus {
        eventually("the process to end", || self.ended())
    }

    /// Everything it wrote so far, both streams.
    pub fn output(&self) -> String {
        format!("{}{}", text_of(&self.stdout), self.errors())
    }

    /// What it wrote to stderr so far, which is its log.
    pub fn errors(&self) -> String {
        text_of(&self.stderr)
    }
}

fn text_of(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill_hard();
        if std::thread::panicking() {
            eprintln!("--- output of process {} ---\n{}", self.pid(), self.output());
        }
    }
}
