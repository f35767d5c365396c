//! A terminal with somebody at it: a shell that has the binary run on it, what is typed and what is seen.
//! Knows nothing of what is asked for.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::fd::OwnedFd,
    path::PathBuf,
    process::{Child, Command},
    sync::{Arc, Mutex},
    thread,
};

use rustix::{
    process::{Pid, Signal, kill_process_group},
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

use super::{
    eventually,
    process::{bare_command, binary},
};

/// Runs the binary, says how it ended and stays: the terminal would be made anew when its shell ends.
const SCRIPT: &str = r#"trap : TERM; "$0" "$@"; echo "ended $?"; read -r _"#;

/// A terminal.
pub struct Terminal {
    shell: Child,
    keys: File,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Runs the binary on one of its own, with these arguments and variables.
    pub fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&screen).unwrap();
        unlockpt(&screen).unwrap();
        let line = PathBuf::from(ptsname(&screen, Vec::new()).unwrap().into_string().unwrap());
        let line = OpenOptions::new().read(true).write(true).open(line).unwrap();
        let mut command = Command::new("setsid");
        command.args(["--ctty", "sh", "-c", SCRIPT]).arg(binary()).args(arguments);
        for (name, value) in bare_command().get_envs() {
            assert!(value.is_none(), "it is bare");
            command.env_remove(name);
        }
        command.envs(variables.iter().copied());
        command.stdin(line.try_clone().unwrap()).stdout(line.try_clone().unwrap()).stderr(line);
        let shell = command.spawn().expect("setsid and sh are there");
        let seen = Arc::default();
        watch(screen.try_clone().unwrap(), Arc::clone(&seen));
        Self { shell, keys: File::from(screen), seen }
    }

    /// Waits until this is seen.
    pub fn until(&self, text: &str) {
        eventually(text, || self.seen().contains(text).then_some(()));
    }

    /// Waits until this is asked, and what is typed is not shown any more.
    pub fn until_asked(&self, question: &str) {
        self.until(question);
        eventually(question, || (!self.is_as_usual()).then_some(()));
    }

    /// All that was seen so far.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Types these keys.
    pub fn types(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    /// Sends SIGTERM to what runs on it.
    pub fn ask_to_stop(&self) {
        kill_process_group(Pid::from_child(&self.shell), Signal::TERM).expect("it runs");
    }

    /// Whether it shows what is typed, takes Enter for the end of a line and Ctrl-C for a signal.
    pub fn is_as_usual(&self) -> bool {
        let usual = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcgetattr(&self.keys).unwrap().local_modes.contains(usual)
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // The shell and what it runs, if that is there still.
        let _ = kill_process_group(Pid::from_child(&self.shell), Signal::KILL);
        let _ = self.shell.wait();
    }
}

/// Keeps what is written to the screen, until nobody can write there any more.
fn watch(screen: OwnedFd, seen: Arc<Mutex<Vec<u8>>>) {
    let mut screen = File::from(screen);
    thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(length @ 1..) = screen.read(&mut bytes) {
            seen.lock().unwrap().extend_from_slice(&bytes[..length]);
        }
    });
}
