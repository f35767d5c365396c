//! One file of the Raft log. Bytes are set aside ahead of the frames, as zeros that are written: a sync then
//! waits for the frame alone, and not for the file system to note that the file has grown.
//! Knows nothing of which frames follow on which.

use std::{
    fs::{File, OpenOptions},
    io, mem,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use super::frame::Rest;

/// Bytes after which a file takes no further frame (8 MiB).
const FULL_AT: u64 = 8 << 20;
/// Bytes set aside at once (256 KiB). The next sync has them to write too: that took 0.4 ms more, and 1.1 with a megabyte.
pub(crate) const SET_ASIDE: u64 = 1 << 18;
const SUFFIX: &str = ".raft";

/// One file, open for reading and writing.
#[derive(Debug)]
pub(super) struct Segment {
    /// Its number; later files have higher ones.
    pub number: u64,
    /// The last index it holds that still counts; absent when it holds none.
    pub last: Option<u64>,
    file: File,
    path: PathBuf,
    /// Where the last frame begins of those that were there when the file was opened.
    last_frame: u64,
    /// Where the next frame begins.
    end: u64,
    /// Bytes that are there, as frames or as zeros.
    len: u64,
    /// Whether something that is no frame follows the last one.
    torn: bool,
}

/// A file that was taken away. Its room is free at the latest when this is dropped.
#[derive(Debug)]
pub(super) struct Removed {
    file: File,
    len: u64,
}

impl Removed {
    /// Frees its room a megabyte at a time, with a pause after each.
    pub fn give_back(mut self, pause: Duration) {
        while self.len != 0 {
            self.len = self.len.saturating_sub(1 << 20);
            if self.file.set_len(self.len).is_err() {
                return;
            }
            thread::sleep(pause);
        }
    }
}

/// The numbers of the files in `dir`, rising. Other files are none of ours.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(SUFFIX)?.parse().ok());
        numbers.extend(number.filter(|number| *name == *file_name(*number)));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// The name of a file.
pub(super) fn file_name(number: u64) -> String {
    format!("{number:06}{SUFFIX}")
}

impl Segment {
    /// Makes an empty file.
    pub fn create(dir: &Path, number: u64) -> io::Result<Self> {
        let segment = Self::open_file(dir, number, OpenOptions::new().create_new(true))?;
        match File::open(dir).and_then(|dir| dir.sync_all()) {
            Ok(()) => Ok(segment),
            Err(error) => {
                // The next try makes it anew, under the same name.
                segment.remove()?;
                Err(error)
            }
        }
    }

    /// Opens a file that is there, and gives its bytes.
    pub fn open(dir: &Path, number: u64) -> io::Result<(Self, Vec<u8>)> {
        let mut segment = Self::open_file(dir, number, &mut OpenOptions::new())?;
        let bytes = std::fs::read(&segment.path)?;
        segment.len = bytes.len() as u64;
        Ok((segment, bytes))
    }

    fn open_file(dir: &Path, number: u64, options: &mut OpenOptions) -> io::Result<Self> {
        let path = dir.join(file_name(number));
        let file = options.read(true).write(true).mode(0o600).open(&path)?;
        Ok(Self { number, last: None, file, path, last_frame: 0, end: 0, len: 0, torn: false })
    }

    /// Goes on after the last frame, which lies at `frame` and which `rest` follows.
    pub fn resume_after(&mut self, frame: Range<u64>, rest: Rest) {
        (self.end, self.torn) = (frame.end, rest == Rest::Torn);
        self.last_frame = frame.start;
    }

    /// Writes the last frame once more over itself. If a sync of it failed, it is in memory alone, and the system, which
    /// takes it for written, would not write it at another sync.
    pub fn write_last_again(&mut self) -> io::Result<()> {
        let mut frame = vec![0; (self.end - self.last_frame) as usize];
        self.file.read_exact_at(&mut frame, self.last_frame)?;
        self.file.write_all_at(&frame, self.last_frame)
    }

    /// Takes away what is left of an append that was never finished.
    pub fn cut_what_is_torn(&mut self) -> io::Result<()> {
        if mem::take(&mut self.torn) {
            self.file.set_len(self.end)?;
            self.len = self.end;
        }
        Ok(())
    }

    /// Has all of the file on the disk.
    pub fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Whether the next frame belongs into another file.
    pub fn is_full(&self) -> bool {
        FULL_AT <= self.end
    }

    /// Bytes that it takes on the disk.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Sees to it that a frame of so many bytes fits into what is set aside. When there is no room for that,
    /// nothing has been written that counts.
    pub fn make_room(&mut self, bytes: usize) -> io::Result<()> {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let wanted = self.end + bytes as u64;
        if wanted <= self.len {
            return Ok(());
        }
        let len = wanted.next_multiple_of(SET_ASIDE);
        while self.len < len {
            let some = usize::try_from(len - self.len).map_or(ZEROS.len(), |left| left.min(ZEROS.len()));
            self.file.write_all_at(&ZEROS[..some], self.len)?;
            self.len += some as u64;
        }
        Ok(())
    }

    /// Writes a frame for which there is room; gives the offset at which it begins. It is on the disk after the
    /// next [`Self::sync`].
    pub fn append(&mut self, frame: &[u8]) -> io::Result<u64> {
        let begin = self.end;
        self.file.write_all_at(frame, begin)?;
        self.end += frame.len() as u64;
        Ok(begin)
    }

    /// Has every frame on the disk.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Fills `bytes` from an offset on.
    pub fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// Takes the file away. What was in it cannot be read through the file system any more.
    pub fn remove(self) -> io::Result<Removed> {
        std::fs::remove_file(&self.path)?;
        Ok(Removed { file: self.file, len: self.len })
    }
}
