//! Questions on the terminal whose answers are not shown. Whatever ends the program meanwhile, the terminal is left as it
//! was: who types there next sees it. Keeps S1: an answer is wiped.
//! Knows nothing of what is asked for.

use std::{fs::File, future::Future, io, path::Path, process, thread};

use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};
use zeroize::Zeroizing;

use super::{failure::Failure, output::Output};

/// The terminal that the program runs on.
pub struct Terminal(());

impl Terminal {
    /// Opens it. From then on a signal that ends the program puts it back as it is now, and the program ends with 1.
    ///
    /// # Errors
    /// When there is none.
    pub fn open() -> Result<Self, Failure> {
        watch_over(File::open("/dev/tty").map_err(failed)?).map_err(failed)?;
        Ok(Self(()))
    }

    /// Asks, and reads up to Enter.
    ///
    /// # Errors
    /// When it cannot be asked, or the terminal is gone.
    pub fn ask(&self, question: &str) -> Result<Zeroizing<String>, Failure> {
        match rpassword::prompt_password(question) {
            // It has sent the signal for Ctrl-C, which ends the program.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => loop {
                thread::park();
            },
            answer => answer.map(Zeroizing::new).map_err(failed),
        }
    }
}

fn failed(error: io::Error) -> Failure {
    Failure::file("ask on", Path::new("the terminal"), &error)
}

/// Has a thread of its own wait for signals: the one that asks is held up by the terminal.
fn watch_over(terminal: File) -> io::Result<()> {
    let before = tcgetattr(&terminal)?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = {
        let _inside = runtime.enter();
        ended()?
    };
    thread::spawn(move || {
        runtime.block_on(ended);
        // A terminal that is gone needs no putting back.
        let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
        let output = Output::new(false);
        // The question stands on the line still.
        output.note("");
        process::exit(output.failure(&Failure::new("interrupted", "ended by a signal")) as i32);
    });
    Ok(())
}

/// Ready once a signal comes that would end the program.
fn ended() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    })
}
