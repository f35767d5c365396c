//! The files of the audit log: `000001.jsonl`, `000002.jsonl` and so on, readable by the owner only.
//! Keeps U1: space for lines is taken ahead of them.
//! Knows nothing of what a line says.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    num::NonZeroU64,
    ops::Range,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Advice, FallocateFlags, fadvise, fallocate},
    io::{Errno, retry_on_intr},
};

use crate::audit::line::LINE_BYTES_MAX;

/// Largest segment, in bytes (64 MiB).
pub const SEGMENT_BYTES_MAX: u64 = 64 << 20;
/// Bytes read at once.
const READ_BYTES: usize = 1 << 18;

/// The name of a segment's file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:06}.jsonl")
}

/// The path of a segment's file.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(file_name(number))
}

/// The numbers of the segments in `dir`, rising. Other files are none of ours.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".jsonl")?.parse().ok());
        numbers.extend(number.filter(|number| *name == *file_name(*number)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes of all segments in `dir`, for whoever shows the progress of [`verify`](fn@super::verify).
pub fn total_bytes(dir: &Path) -> io::Result<u64> {
    list(dir)?.into_iter().map(|number| Ok(fs::metadata(path(dir, number))?.len())).sum()
}

/// Makes the directory of the log in one that is there, for the owner only, unless it exists.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => File::open(dir.join(".."))?.sync_all(),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Opens a segment for writing; makes it if it is not there.
pub(super) fn open(dir: &Path, number: u64) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path(dir, number))
}

/// Has the file system set aside the bytes of `range`, without making the file longer. Where it knows no
/// such thing nothing is held, and a full disk shows when a line is written.
pub(super) fn allocate(file: &File, range: Range<u64>) -> io::Result<()> {
    let len = range.end - range.start;
    match retry_on_intr(|| fallocate(file, FallocateFlags::KEEP_SIZE, range.start, len)) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        outcome => Ok(outcome?),
    }
}

/// Has the system begin to bring the bytes of `range` to the disk, and forget them once they are there. Advice only: whoever
/// needs them there syncs.
pub(super) fn send_off(file: &File, range: Range<u64>) {
    if let Some(len) = NonZeroU64::new(range.end - range.start) {
        let _ = fadvise(file, range.start, Some(len), Advice::DontNeed);
    }
}

/// Writes bytes of a segment once more over themselves. If a sync of them failed they are in memory alone, and the
/// system, which takes them for written, would not write them at another sync.
pub(super) fn write_again(file: &File, mut range: Range<u64>) -> io::Result<()> {
    let mut bytes = vec![0; READ_BYTES];
    while !range.is_empty() {
        let part = &mut bytes[..(range.end - range.start).min(READ_BYTES as u64) as usize];
        file.read_exact_at(part, range.start)?;
        file.write_all_at(part, range.start)?;
        range.start += part.len() as u64;
    }
    Ok(())
}

/// What a reader comes upon.
#[derive(Debug)]
pub(super) enum Piece<'a> {
    /// A line, without its end.
    Line(&'a [u8]),
    /// So many bytes without an end of line: the last ones of the file, or more than a line may have.
    Unended(u64),
    /// The end of the file.
    End,
}

/// Reads a segment line by line, with bounded memory.
#[derive(Debug)]
pub(super) struct LineReader {
    file: BufReader<File>,
    line: Vec<u8>,
    /// The offset at which the last whole line ended.
    pub(super) end: u64,
}

impl LineReader {
    /// Reads a segment from an offset on.
    pub(super) fn open(dir: &Path, number: u64, from: u64) -> io::Result<Self> {
        let mut file = File::open(path(dir, number))?;
        file.seek(SeekFrom::Start(from))?;
        Ok(Self { file: BufReader::with_capacity(READ_BYTES, file), line: Vec::new(), end: from })
    }

    /// The next line.
    pub(super) fn next(&mut self) -> io::Result<Piece<'_>> {
        self.line.clear();
        let read = self.file.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut self.line)? as u64;
        match self.line.as_slice() {
            [] => Ok(Piece::End),
            [line @ .., b'\n'] => {
                self.end += read;
                Ok(Piece::Line(line))
            }
            _ => Ok(Piece::Unended(read)),
        }
    }
}

/// Whether the bytes of a segment from `from` on are what a power loss leaves: blocks that never reached
/// the disk read as zeros, and a line whose end did not has none.
pub(super) fn is_torn(dir: &Path, number: u64, from: u64) -> io::Result<bool> {
    let mut file = File::open(path(dir, number))?;
    file.seek(SeekFrom::Start(from))?;
    let mut file = BufReader::with_capacity(READ_BYTES, file);
    let mut has_line_end = false;
    loop {
        let bytes = file.fill_buf()?;
        if bytes.is_empty() {
            return Ok(!has_line_end);
        }
        if bytes.contains(&0) {
            return Ok(true);
        }
        has_line_end |= bytes.contains(&b'\n');
        let len = bytes.len();
        file.consume(len);
    }
}
