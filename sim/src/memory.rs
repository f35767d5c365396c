//! How much memory this process has to itself: what it allocated, without the pages of files. Knows nothing of whose it
//! is; the simulator's own part, such as the events of the story, is in it.

use std::{fs, io};

/// Bytes of anonymous memory that are resident (`RssAnon` of `proc_pid_status(5)`).
pub fn own_bytes() -> io::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kibibytes.map(|kibibytes| kibibytes << 10).ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(test)]
mod tests {
    use super::own_bytes;

    #[test]
    fn what_is_allocated_and_written_to_is_counted() {
        const BYTES: usize = 64 << 20;
        let before = own_bytes().expect("it is told");
        let more = vec![1_u8; BYTES];
        let after = own_bytes().expect("it is told");
        assert_eq!(more.len(), BYTES);
        assert!((BYTES as u64) / 2 < after.saturating_sub(before), "{before} and {after}");
    }
}
