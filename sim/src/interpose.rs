//! Stands between this program and the C library: functions of the same names, which the linker takes in place of
//! the C library's wherever the program or one of its libraries, Rust or C, calls them. A thread that has
//! [entered](enter) a simulation gets bytes of its seed and the time of the simulation; every other thread gets the
//! machine's. What is written below the directory of a [`disk`](crate::disk) is the disk's, whichever thread does
//! it, and all else goes to the kernel.
//!
//! Not seen: a program that calls the kernel without the C library, what is written through a memory map (LMDB
//! writes its pages by calls, and only its table of readers through a map), and `io_uring`.
//!
//! Kept in one file so that it is one object: whoever refers to [`enter`] or to a disk gets all of it.

// What a C library gives cannot be given without it. The only file of the simulator that may.
#![allow(unsafe_code)]

use std::{
    cell::{Cell, RefCell},
    ffi::CStr,
    mem,
    os::fd::BorrowedFd,
    path::Path,
    ptr, slice,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use libc::{c_char, c_int, c_long, c_uint, c_void, iovec, mode_t, off_t, size_t, ssize_t};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::disk::{
    PAGE,
    calls::{self, Answer},
};

/// When a simulation begins, by the wall clock: seconds since 1970.
pub const EPOCH_SECONDS: i64 = 1_800_000_000;
/// What the other clocks say throughout: seconds. Who measures how long something takes asks tokio's clock, which
/// the simulation moves.
const MONOTONIC_SECONDS: i64 = 100_000;

thread_local! {
    static CHANCE: RefCell<Option<StdRng>> = const { RefCell::new(None) };
    static ELAPSED: Cell<Option<Duration>> = const { Cell::new(None) };
}

/// Has this thread in a simulation from now on: what it draws from the system is a function of `seed`, and its
/// clocks stand at the beginning. To be called first thing in a thread: what was drawn before, such as the keys of
/// hash maps or the state of `rand::rng()`, stays as it is. Threads that it starts are not in the simulation.
#[inline(never)]
pub fn enter(seed: u64) {
    CHANCE.set(Some(StdRng::seed_from_u64(seed)));
    ELAPSED.set(Some(Duration::ZERO));
}

/// Sets how long the simulation has been running by its own time.
///
/// # Panics
/// When this thread has not entered one.
pub fn set_elapsed(elapsed: Duration) {
    assert!(ELAPSED.get().is_some(), "a thread has the time of a simulation once it has entered it");
    ELAPSED.set(Some(elapsed));
}

// ---- chance --------------------------------------------------------------------------------------

/// Bytes of the simulation this thread is in.
fn drawn(len: usize) -> Option<Vec<u8>> {
    // A thread that is being taken down is in no simulation any more.
    let draw = |chance: &RefCell<Option<StdRng>>| {
        let mut chance = chance.try_borrow_mut().ok()?;
        let mut bytes = vec![0; len];
        chance.as_mut()?.fill_bytes(&mut bytes);
        Some(bytes)
    };
    CHANCE.try_with(draw).ok()?
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getrandom(to: *mut c_void, len: size_t, flags: c_uint) -> ssize_t {
    match drawn(len) {
        Some(bytes) => {
            // SAFETY: the caller of getrandom(2) gives `len` bytes to write to.
            unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.cast(), len) };
            len as ssize_t
        }
        // SAFETY: passed on as it came.
        None => unsafe {
            kernel(libc::SYS_getrandom, [to as c_long, len as c_long, flags.into(), 0, 0, 0]) as ssize_t
        },
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn getentropy(to: *mut c_void, len: size_t) -> c_int {
    // SAFETY: the caller of getentropy(3) gives `len` bytes to write to; so few come in one piece.
    let got = unsafe { getrandom(to, len, 0) };
    if got == len as ssize_t { 0 } else { -1 }
}

/// Variadic in C; on the machines this is for, arguments of a variadic function are passed as others are.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    // SAFETY: passed on as it came; the arguments of `SYS_getrandom` are those of getrandom(2).
    unsafe {
        match number {
            libc::SYS_getrandom => getrandom(a as *mut c_void, b as size_t, c as c_uint) as c_long,
            _ => kernel(number, [a, b, c, d, e, f]),
        }
    }
}

// ---- clocks --------------------------------------------------------------------------------------

#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, to: *mut libc::timespec) -> c_int {
    let elapsed = ELAPSED.get().unwrap_or_default();
    let (seconds, nanos) = match (ELAPSED.get(), clock) {
        (Some(_), libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE) => {
            (EPOCH_SECONDS + elapsed.as_secs() as i64, elapsed.subsec_nanos().into())
        }
        (Some(_), libc::CLOCK_MONOTONIC | libc::CLOCK_MONOTONIC_COARSE | libc::CLOCK_BOOTTIME) => {
            (MONOTONIC_SECONDS, 0)
        }
        // SAFETY: passed on as it came.
        _ => unsafe {
            return kernel(libc::SYS_clock_gettime, [clock.into(), to as c_long, 0, 0, 0, 0]) as c_int;
        },
    };
    // SAFETY: the caller of clock_gettime(2) gives a place for the time.
    unsafe { to.write(libc::timespec { tv_sec: seconds, tv_nsec: nanos }) };
    0
}

// ---- files ---------------------------------------------------------------------------------------

#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn open64(path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { openat(libc::AT_FDCWD, path, flags, mode) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn openat64(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { openat(dir, path, flags, mode) }
}

/// Variadic in C, as [`syscall`]; `mode` is none where nothing is made, and not looked at then.
#[unsafe(no_mangle)]
unsafe extern "C" fn openat(dir: c_int, path: *const c_char, flags: c_int, mode: mode_t) -> c_int {
    // SAFETY: the caller keeps to openat(2).
    unsafe {
        let answer = place(dir, path).and_then(|(dir, path)| calls::open(dir, path, flags, mode));
        let args = [dir.into(), path as c_long, flags.into(), mode.into(), 0, 0];
        or_kernel(answer, libc::SYS_openat, args) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn write(fd: c_int, from: *const c_void, len: size_t) -> ssize_t {
    // SAFETY: the caller keeps to write(2).
    unsafe {
        let answer = file(fd).and_then(|file| calls::write(file, None, &[bytes(from, len)]));
        or_kernel(answer, libc::SYS_write, [fd.into(), from as c_long, len as c_long, 0, 0, 0]) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn writev(fd: c_int, parts: *const iovec, count: c_int) -> ssize_t {
    // SAFETY: the caller keeps to writev(2).
    unsafe {
        let answer = file(fd).and_then(|file| calls::write(file, None, &all_bytes(parts, count)));
        or_kernel(answer, libc::SYS_writev, [fd.into(), parts as c_long, count.into(), 0, 0, 0]) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite(fd: c_int, from: *const c_void, len: size_t, offset: off_t) -> ssize_t {
    // SAFETY: the caller keeps to pwrite(2).
    unsafe {
        let at = u64::try_from(offset).ok();
        let answer =
            file(fd).zip(at).and_then(|(file, at)| calls::write(file, Some(at), &[bytes(from, len)]));
        let args = [fd.into(), from as c_long, len as c_long, offset, 0, 0];
        or_kernel(answer, libc::SYS_pwrite64, args) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwrite64(fd: c_int, from: *const c_void, len: size_t, offset: off_t) -> ssize_t {
    // SAFETY: passed on as it came.
    unsafe { pwrite(fd, from, len, offset) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev(fd: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: the caller keeps to pwritev(2).
    unsafe {
        let at = u64::try_from(offset).ok();
        let to = file(fd).zip(at);
        let answer = to.and_then(|(file, at)| calls::write(file, Some(at), &all_bytes(parts, count)));
        let args = [fd.into(), parts as c_long, count.into(), offset, 0, 0];
        or_kernel(answer, libc::SYS_pwritev, args) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn pwritev64(fd: c_int, parts: *const iovec, count: c_int, offset: off_t) -> ssize_t {
    // SAFETY: passed on as it came.
    unsafe { pwritev(fd, parts, count, offset) }
}

/// What copies within the kernel is not there on a disk, and the caller writes for itself.
#[unsafe(no_mangle)]
unsafe extern "C" fn copy_file_range(
    from: c_int,
    from_at: *mut off_t,
    to: c_int,
    to_at: *mut off_t,
    len: size_t,
    flags: c_uint,
) -> ssize_t {
    // SAFETY: passed on as it came.
    unsafe {
        let args = [from.into(), from_at as c_long, to.into(), to_at as c_long, len as c_long, flags.into()];
        or_kernel(file(to).and_then(calls::refuse_copy), libc::SYS_copy_file_range, args) as ssize_t
    }
}

/// As [`copy_file_range`].
#[unsafe(no_mangle)]
unsafe extern "C" fn sendfile64(to: c_int, from: c_int, from_at: *mut off_t, len: size_t) -> ssize_t {
    // SAFETY: passed on as it came.
    unsafe {
        let args = [to.into(), from.into(), from_at as c_long, len as c_long, 0, 0];
        or_kernel(file(to).and_then(calls::refuse_copy), libc::SYS_sendfile, args) as ssize_t
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate(fd: c_int, len: off_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe {
        let to = file(fd).zip(u64::try_from(len).ok());
        let answer = to.and_then(|(file, len)| calls::set_len(file, len));
        or_kernel(answer, libc::SYS_ftruncate, [fd.into(), len, 0, 0, 0, 0]) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn ftruncate64(fd: c_int, len: off_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { ftruncate(fd, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate(fd: c_int, mode: c_int, offset: off_t, len: off_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe {
        let end = offset.checked_add(len).and_then(|end| u64::try_from(end).ok());
        let answer = file(fd).zip(end).and_then(|(file, end)| calls::set_aside(file, mode, end));
        or_kernel(answer, libc::SYS_fallocate, [fd.into(), mode.into(), offset, len, 0, 0]) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fallocate64(fd: c_int, mode: c_int, offset: off_t, len: off_t) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { fallocate(fd, mode, offset, len) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fsync(fd: c_int) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { or_kernel(file(fd).and_then(calls::sync), libc::SYS_fsync, [fd.into(), 0, 0, 0, 0, 0]) as c_int }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn fdatasync(fd: c_int) -> c_int {
    // SAFETY: passed on as it came.
    unsafe {
        or_kernel(file(fd).and_then(calls::sync), libc::SYS_fdatasync, [fd.into(), 0, 0, 0, 0, 0]) as c_int
    }
}

// ---- names ---------------------------------------------------------------------------------------

#[unsafe(no_mangle)]
unsafe extern "C" fn mkdir(path: *const c_char, mode: mode_t) -> c_int {
    // SAFETY: the caller keeps to mkdir(2).
    unsafe {
        let answer = place(libc::AT_FDCWD, path).and_then(|(_, path)| calls::make_dir(path, mode));
        let args = [libc::AT_FDCWD.into(), path as c_long, mode.into(), 0, 0, 0];
        or_kernel(answer, libc::SYS_mkdirat, args) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlink(path: *const c_char) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { unlinkat(libc::AT_FDCWD, path, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rmdir(path: *const c_char) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { unlinkat(libc::AT_FDCWD, path, libc::AT_REMOVEDIR) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn unlinkat(dir: c_int, path: *const c_char, flags: c_int) -> c_int {
    // SAFETY: the caller keeps to unlinkat(2).
    unsafe {
        let is_dir = flags & libc::AT_REMOVEDIR != 0;
        let answer = place(dir, path).and_then(|(dir, path)| calls::remove(dir, path, is_dir));
        or_kernel(answer, libc::SYS_unlinkat, [dir.into(), path as c_long, flags.into(), 0, 0, 0]) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn rename(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: the caller keeps to rename(2).
    unsafe {
        let cwd = libc::AT_FDCWD;
        let places = place(cwd, from).zip(place(cwd, to));
        let answer = places.and_then(|((_, from), (_, to))| calls::rename(from, to));
        let args = [cwd.into(), from as c_long, cwd.into(), to as c_long, 0, 0];
        or_kernel(answer, libc::SYS_renameat2, args) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn link(from: *const c_char, to: *const c_char) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { linkat(libc::AT_FDCWD, from, libc::AT_FDCWD, to, 0) }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn linkat(
    from_dir: c_int,
    from: *const c_char,
    to_dir: c_int,
    to: *const c_char,
    flags: c_int,
) -> c_int {
    // SAFETY: the caller keeps to linkat(2).
    unsafe {
        let places = place(from_dir, from).zip(place(to_dir, to));
        let answer = places.and_then(|(from, to)| calls::link(from, to));
        let args = [from_dir.into(), from as c_long, to_dir.into(), to as c_long, flags.into(), 0];
        or_kernel(answer, libc::SYS_linkat, args) as c_int
    }
}

#[unsafe(no_mangle)]
unsafe extern "C" fn statvfs(path: *const c_char, to: *mut libc::statvfs) -> c_int {
    type Statvfs = unsafe extern "C" fn(*const c_char, *mut libc::statvfs) -> c_int;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: the caller keeps to statvfs(3): a path and a place, of plain numbers that may all be zero. The
    // function that follows under this name has this type.
    unsafe {
        let Some(space) = place(libc::AT_FDCWD, path).and_then(|(_, path)| calls::space(path)) else {
            return mem::transmute::<usize, Statvfs>(next(&NEXT, c"statvfs"))(path, to);
        };
        let mut all: libc::statvfs = mem::zeroed();
        (all.f_bsize, all.f_frsize) = (PAGE, PAGE);
        all.f_blocks = space.capacity / PAGE;
        all.f_bfree = space.free / PAGE;
        all.f_bavail = all.f_bfree;
        (all.f_files, all.f_ffree, all.f_favail, all.f_namemax) = (1 << 20, 1 << 20, 1 << 20, 255);
        to.write(all);
        0
    }
}

/// The same function on 64-bit machines, and the same structure.
#[unsafe(no_mangle)]
unsafe extern "C" fn statvfs64(path: *const c_char, to: *mut libc::statvfs) -> c_int {
    // SAFETY: passed on as it came.
    unsafe { statvfs(path, to) }
}

// ---- what the calls above are made of ------------------------------------------------------------

/// What a disk answered, or else the kernel's answer.
///
/// # Safety
/// As for the call of this number.
unsafe fn or_kernel(answer: Answer, number: c_long, args: [c_long; 6]) -> c_long {
    match answer {
        Some(Ok(value)) => value as c_long,
        Some(Err(error)) => {
            // SAFETY: this thread's own number.
            unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EIO) };
            -1
        }
        // SAFETY: promised by the caller.
        None => unsafe { kernel(number, args) },
    }
}

/// Asks the kernel, by the C library's own `syscall`.
///
/// # Safety
/// As for the call of this number.
unsafe fn kernel(number: c_long, [a, b, c, d, e, f]: [c_long; 6]) -> c_long {
    type Syscall = unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    // SAFETY: the function that follows under this name takes these; the rest is promised by the caller.
    unsafe { mem::transmute::<usize, Syscall>(next(&NEXT, c"syscall"))(number, a, b, c, d, e, f) }
}

/// The function of this name behind the one of this file, looked up once.
fn next(known: &AtomicUsize, name: &CStr) -> usize {
    match known.load(Ordering::Relaxed) {
        0 => {
            // SAFETY: a name that ends; what is found is only compared with zero here.
            let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) } as usize;
            assert!(found != 0, "the C library has the functions that this file takes over");
            known.store(found, Ordering::Relaxed);
            found
        }
        found => found,
    }
}

/// # Safety
/// The descriptor, if it is one, stays open as long as this is used.
unsafe fn file<'a>(fd: c_int) -> Option<BorrowedFd<'a>> {
    // SAFETY: promised by the caller; one that is not open is only asked about, and the kernel says so.
    (0 <= fd).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
}

/// A path, and the directory it begins in where that is not the process's own.
///
/// # Safety
/// `path` is a text that ends, and `dir`, if it is open, stays so, as long as this is used.
unsafe fn place<'a>(dir: c_int, path: *const c_char) -> Option<calls::Place<'a>> {
    if path.is_null() {
        return None;
    }
    // SAFETY: promised by the caller.
    let (dir, path) = unsafe { (file(dir), CStr::from_ptr(path)) };
    Some((dir, Path::new(path.to_str().ok()?)))
}

/// # Safety
/// There are `len` bytes at `from` as long as this is used.
unsafe fn bytes<'a>(from: *const c_void, len: usize) -> &'a [u8] {
    // SAFETY: promised by the caller; no bytes may be nowhere.
    if len == 0 { &[] } else { unsafe { slice::from_raw_parts(from.cast(), len) } }
}

/// # Safety
/// There are `count` such parts, and the bytes of each, as long as this is used.
unsafe fn all_bytes<'a>(parts: *const iovec, count: c_int) -> Vec<&'a [u8]> {
    let count = usize::try_from(count).unwrap_or(0);
    // SAFETY: promised by the caller; no parts may be nowhere.
    unsafe {
        let parts = if count == 0 { &[] } else { slice::from_raw_parts(parts, count) };
        parts.iter().map(|part| bytes(part.iov_base, part.iov_len)).collect()
    }
}
