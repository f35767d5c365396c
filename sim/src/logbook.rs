//! The logs of a world's nodes: written to a file while it runs, so that they can be searched for values afterwards, and
//! to stderr too if somebody wants to read along. Knows nothing of what they say.

use std::{
    fs::{self, File},
    io,
    path::Path,
    sync::Mutex,
};

use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self as lines, format::Writer, time::FormatTime},
    layer::SubscriberExt,
    util::SubscriberInitExt,
};

use crate::journal;

/// All that the product itself may say, and what its libraries say as it is shipped.
const KEPT: &str = "info,turmoil=off,covault=trace,covault_model=trace,covault_net=trace,covault_seal=trace,covault_store=trace";
/// What somebody reads who names no level.
const READ: &str = "info,turmoil=warn";

/// Has this process's logs written to a file in `folder`, which is made; and to stderr, as `RUST_LOG` says, if somebody
/// reads along.
pub fn open(folder: &Path, read_along: bool) -> io::Result<()> {
    fs::create_dir(folder)?;
    let file = File::create_new(folder.join("nodes.log"))?;
    let kept = lines::layer()
        .with_timer(SimulatedTime)
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .with_filter(EnvFilter::new(KEPT))
        .boxed();
    let read = || {
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(READ));
        let lines = lines::layer().with_timer(SimulatedTime).with_ansi(false).with_writer(io::stderr);
        lines.with_filter(filter).boxed()
    };
    // A list, since a layer that may be absent has all spans and events made, whatever the filter of the other says.
    let layers = if read_along { vec![kept, read()] } else { vec![kept] };
    tracing_subscriber::registry().with(layers).try_init().map_err(io::Error::other)
}

/// The clock of the world, in the form of the journal.
struct SimulatedTime;

impl FormatTime for SimulatedTime {
    fn format_time(&self, to: &mut Writer<'_>) -> std::fmt::Result {
        write!(to, "{:>10.3} ms", journal::now().as_secs_f64() * 1e3)
    }
}
