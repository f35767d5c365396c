//! What a power cut, a full disk and a broken one leave of files that are written as programs write them: with the
//! standard library, by the calls that LMDB makes, and by name. Knows nothing of stores.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice, Seek, SeekFrom, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rand::{SeedableRng, rngs::StdRng};
use rustix::{
    fs::{FallocateFlags, OFlags, fallocate, statvfs},
    io::Errno,
};
use sim::disk::{Disk, SECTOR};
use tempfile::TempDir;

const SEEDS: u64 = 200;

fn chance(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

fn new_disk() -> (TempDir, Disk) {
    let dir = TempDir::new().unwrap();
    let disk = Disk::at(dir.path()).unwrap();
    (dir, disk)
}

/// A file with these bytes, and its name, on the disk for good.
fn saved(dir: &Path, bytes: &[u8]) -> (PathBuf, File) {
    let path = dir.join("file");
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
    file.write_all_at(bytes, 0).unwrap();
    file.sync_all().unwrap();
    File::open(dir).unwrap().sync_all().unwrap();
    (path, file)
}

/// What `before` is after `change` and a power cut, over many seeds.
fn outcomes(before: &[u8], change: impl Fn(&Path, File)) -> BTreeSet<Vec<u8>> {
    let outcome = |seed| {
        let (dir, disk) = new_disk();
        let (path, file) = saved(dir.path(), before);
        change(&path, file);
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        fs::read(path).unwrap()
    };
    (0..SEEDS).map(outcome).collect()
}

fn refused<T: std::fmt::Debug>(outcome: io::Result<T>, errno: Errno) {
    assert_eq!(outcome.unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
}

#[test]
fn a_write_that_was_not_synced_may_be_gone_or_there() {
    let found = outcomes(b"old", |_, file| file.write_all_at(b"new", 0).unwrap());
    assert_eq!(found, BTreeSet::from([b"old".to_vec(), b"new".to_vec()]));
}

#[test]
fn a_synced_write_survives_by_either_sync() {
    for sync in [File::sync_all, File::sync_data] {
        let found = outcomes(b"old", |_, file| {
            file.write_all_at(b"new and longer", 0).unwrap();
            sync(&file).unwrap();
        });
        assert_eq!(found, BTreeSet::from([b"new and longer".to_vec()]));
    }
}

#[test]
fn every_way_to_write_can_be_lost() {
    let ways: [fn(&Path, File); 7] = [
        |_, mut file| file.write_all(b"new").unwrap(),
        |_, mut file| assert_eq!(file.write_vectored(&[IoSlice::new(b"n"), IoSlice::new(b"ew")]).unwrap(), 3),
        |_, file| assert_eq!(rustix::io::pwritev(&file, &[IoSlice::new(b"new")], 0).unwrap(), 3),
        |_, file| file.set_len(1).unwrap(),
        |path, _| fs::write(path, b"new").unwrap(),
        |path, _| OpenOptions::new().append(true).open(path).unwrap().write_all(b"new").unwrap(),
        |path, mut file| {
            let from = path.with_file_name("from");
            fs::write(&from, b"new").unwrap();
            io::copy(&mut File::open(from).unwrap(), &mut file).unwrap();
        },
    ];
    for (nth, way) in ways.into_iter().enumerate() {
        let found = outcomes(b"old", way);
        assert!(found.contains(b"old".as_slice()) && 1 < found.len(), "way {nth}: {found:?}");
    }
}

#[test]
fn a_write_to_a_file_that_syncs_each_survives_and_takes_no_other_along() {
    let found = outcomes(&[1; 2048], |path, file| {
        file.write_all_at(&[2; 1024], 0).unwrap();
        let at_once = OpenOptions::new().write(true).custom_flags(OFlags::DSYNC.bits() as i32).open(path);
        at_once.unwrap().write_all_at(&[3; 512], 512).unwrap();
    });
    assert!(found.iter().all(|bytes| bytes[512..1024] == [3; 512] && bytes[1024..] == [1; 1024]));
    let firsts: BTreeSet<_> = found.iter().map(|bytes| bytes[..512].to_vec()).collect();
    assert_eq!(firsts, BTreeSet::from([vec![1; 512], vec![2; 512]]));
}

#[test]
fn a_torn_write_is_torn_between_sectors() {
    let (begin, len) = (300, 2000);
    let found = outcomes(&[1; 4096], |_, file| file.write_all_at(&vec![2; len], begin as u64).unwrap());
    assert!(8 < found.len(), "{} ways to be torn", found.len());
    for bytes in found {
        assert!(bytes[..begin].iter().chain(&bytes[begin + len..]).all(|byte| *byte == 1));
        let tears = (begin + 1..begin + len).filter(|at| bytes[at - 1] != bytes[*at]);
        assert!(
            tears.clone().all(|at| (at as u64).is_multiple_of(SECTOR)),
            "{:?}",
            tears.collect::<Vec<_>>()
        );
    }
}

#[test]
fn writes_of_a_file_reach_the_disk_in_order_or_in_any() {
    let found = outcomes(b"", |_, file| {
        for nth in 0..3 {
            file.write_all_at(&[nth as u8 + 1; 512], nth * 512).unwrap();
        }
    });
    let blocks = |bytes: &Vec<u8>| bytes.chunks(512).map(|block| block[0]).collect::<Vec<_>>();
    let found: BTreeSet<_> = found.iter().map(blocks).collect();
    for in_order in [vec![], vec![1], vec![1, 2], vec![1, 2, 3]] {
        assert!(found.contains(&in_order), "{found:?}");
    }
    assert!(found.contains(&vec![0, 2]) && found.contains(&vec![0, 0, 3]), "{found:?}");
    assert!(found.contains(&vec![0, 0, 0]), "a length may come before the bytes: {found:?}");
}

#[test]
fn a_length_that_was_cut_comes_back_with_its_bytes() {
    let found = outcomes(&[1; 1000], |_, file| {
        file.set_len(10).unwrap();
        file.write_all_at(&[2; 5], 20).unwrap();
    });
    assert!(found.contains([1; 1000].as_slice()));
    let both = [&[1; 10][..], &[0; 10], &[2; 5]].concat();
    assert!(found.contains(&both), "{:?}", found.iter().map(Vec::len).collect::<Vec<_>>());
}

#[test]
fn a_name_is_on_the_disk_once_its_directory_is_synced() {
    let survives = |sync: bool| -> BTreeSet<bool> {
        let life = |seed| {
            let (dir, disk) = new_disk();
            fs::create_dir(dir.path().join("folder")).unwrap();
            File::open(dir.path()).unwrap().sync_all().unwrap();
            let path = dir.path().join("folder/file");
            File::create(&path).unwrap().sync_all().unwrap();
            if sync {
                File::open(dir.path().join("folder")).unwrap().sync_all().unwrap();
            }
            disk.crash();
            disk.restart(&mut chance(seed)).unwrap();
            path.exists()
        };
        (0..20).map(life).collect()
    };
    assert_eq!((survives(true), survives(false)), (BTreeSet::from([true]), BTreeSet::from([false, true])));
}

#[test]
fn what_is_in_a_directory_is_lost_with_its_name() {
    let life = |seed| {
        let (dir, disk) = new_disk();
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        File::create(folder.join("file")).unwrap().sync_all().unwrap();
        File::open(&folder).unwrap().sync_all().unwrap();
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        (folder.exists(), folder.join("file").exists())
    };
    let found: BTreeSet<_> = (0..20).map(life).collect();
    assert_eq!(found, BTreeSet::from([(false, false), (true, true)]));
}

#[test]
fn a_file_that_was_moved_is_there_once_either_directory_is_synced() {
    for synced in ["from", "to"] {
        for seed in 0..20 {
            let (dir, disk) = new_disk();
            let at = |path: &str| dir.path().join(path);
            for folder in ["from", "to"] {
                fs::create_dir(at(folder)).unwrap();
            }
            File::open(dir.path()).unwrap().sync_all().unwrap();
            File::create(at("from/file")).unwrap();
            fs::rename(at("from/file"), at("to/file")).unwrap();
            File::open(at(synced)).unwrap().sync_all().unwrap();
            disk.crash();
            disk.restart(&mut chance(seed)).unwrap();
            assert!(at("to/file").exists() && !at("from/file").exists(), "{synced} was synced");
        }
    }
}

#[test]
fn what_was_renamed_linked_or_removed_may_be_as_before() {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let (dir, disk) = new_disk();
        let at = |name: &str| dir.path().join(name);
        for name in ["a", "b", "c"] {
            let mut file = File::create(at(name)).unwrap();
            file.write_all(name.as_bytes()).unwrap();
            file.sync_all().unwrap();
        }
        fs::create_dir(at("folder")).unwrap();
        File::open(dir.path()).unwrap().sync_all().unwrap();
        fs::rename(at("a"), at("b")).unwrap();
        fs::hard_link(at("c"), at("d")).unwrap();
        fs::remove_file(at("c")).unwrap();
        fs::remove_dir(at("folder")).unwrap();
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        let names = disk.files().unwrap().into_iter().map(|(path, bytes)| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            format!("{name}={}", String::from_utf8(bytes).unwrap())
        });
        found.insert((names.collect::<Vec<_>>().join(" "), at("folder").exists()));
    }
    let one = |names: &str, folder| (names.to_owned(), folder);
    let all = [
        one("a=a b=b c=c", true),
        one("b=a c=c", true),
        one("b=a c=c d=c", true),
        one("b=a d=c", true),
        one("b=a d=c", false),
    ];
    assert_eq!(found, BTreeSet::from(all));
}

#[test]
fn after_a_crash_nothing_changes_until_it_is_started_again() {
    let (dir, disk) = new_disk();
    let (path, mut file) = saved(dir.path(), b"old");
    disk.crash();
    assert!(disk.is_crashed());
    refused(file.write_all(b"new"), Errno::IO);
    refused(file.set_len(0), Errno::IO);
    refused(file.sync_all(), Errno::IO);
    refused(File::create(&path), Errno::IO);
    refused(File::create(dir.path().join("other")), Errno::IO);
    refused(fs::create_dir(dir.path().join("folder")), Errno::IO);
    refused(fs::rename(&path, dir.path().join("other")), Errno::IO);
    refused(fs::remove_file(&path), Errno::IO);
    drop(file);
    disk.restart(&mut chance(1)).unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"old");
    fs::write(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn a_crash_of_the_process_alone_loses_nothing_that_was_written() {
    let (dir, disk) = new_disk();
    let (path, file) = saved(dir.path(), b"old");
    file.write_all_at(b"new", 0).unwrap();
    disk.crash();
    refused(file.write_all_at(b"not", 0), Errno::IO);
    disk.restart_with_all();
    assert_eq!(fs::read(path).unwrap(), b"new");
}

#[test]
fn a_crash_at_a_change_lets_those_before_it_through() {
    let (dir, disk) = new_disk();
    let (_, file) = saved(dir.path(), b"");
    let before = disk.changes();
    disk.crash_at(3);
    file.write_all_at(b"a", 0).unwrap();
    file.sync_all().unwrap();
    refused(file.write_all_at(b"b", 1), Errno::IO);
    refused(file.write_all_at(b"c", 2), Errno::IO);
    assert_eq!((disk.is_crashed(), disk.changes() - before), (true, 3));
}

#[test]
fn a_full_disk_takes_what_fits_and_goes_on_after_it_is_freed() {
    let (dir, disk) = new_disk();
    let (path, mut file) = saved(dir.path(), &[1; 4096]);
    disk.fill(8192).unwrap();
    let free = |path: &Path| statvfs(path).unwrap().f_bavail * statvfs(path).unwrap().f_frsize;
    assert_eq!(free(&path), 8192);
    file.write_all_at(&[2; 4096], 0).unwrap();
    fallocate(&file, FallocateFlags::KEEP_SIZE, 4096, 4096).unwrap();
    assert_eq!(free(&path), 4096);
    refused(fallocate(&file, FallocateFlags::KEEP_SIZE, 4096, 12288).map_err(io::Error::from), Errno::NOSPC);
    file.seek(SeekFrom::End(0)).unwrap();
    assert_eq!(file.write(&[3; 10_000]).unwrap(), 8192, "as many whole pages as there are");
    refused(file.write(&[4; 1]), Errno::NOSPC);
    disk.free();
    file.write_all(&[5; 10_000]).unwrap();
    assert_eq!(fs::read(path).unwrap().len(), 4096 + 8192 + 10_000);
    assert!(1 << 38 < free(dir.path()));
}

#[test]
fn what_a_failed_sync_was_to_save_is_lost_though_a_later_one_succeeds() {
    let found = outcomes(&[1; 1024], |path, file| {
        let disk = Disk::at(path.parent().unwrap());
        assert_eq!(disk.unwrap_err().kind(), io::ErrorKind::AlreadyExists, "it is of one disk at a time");
        file.write_all_at(&[2; 512], 0).unwrap();
    });
    assert!(1 < found.len());
    for seed in 0..20 {
        let (dir, disk) = new_disk();
        let (path, file) = saved(dir.path(), &[1; 1024]);
        file.write_all_at(&[2; 512], 0).unwrap();
        disk.break_syncs();
        refused(file.sync_data(), Errno::IO);
        disk.mend_syncs();
        file.write_all_at(&[3; 512], 512).unwrap();
        file.sync_data().unwrap();
        drop(file);
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        assert_eq!(fs::read(path).unwrap(), [[1; 512], [3; 512]].concat());
    }
}

#[test]
fn a_wiped_disk_is_empty_and_takes_files() {
    let (dir, disk) = new_disk();
    let (path, file) = saved(dir.path(), b"old");
    fs::create_dir(dir.path().join("folder")).unwrap();
    drop(file);
    disk.crash();
    disk.wipe().unwrap();
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    fs::write(&path, b"new").unwrap();
    assert_eq!(disk.files().unwrap(), [(path.canonicalize().unwrap(), b"new".to_vec())]);
}

#[test]
fn what_is_not_below_a_disk_is_left_alone() {
    let (_dir, disk) = new_disk();
    let elsewhere = TempDir::new().unwrap();
    let changes = disk.changes();
    let (path, file) = saved(elsewhere.path(), b"old");
    disk.crash();
    file.write_all_at(b"new", 0).unwrap();
    assert_eq!((fs::read(path).unwrap(), disk.changes()), (b"new".to_vec(), changes));
}

#[test]
fn the_same_chance_leaves_the_same_files() {
    let life = |seed| {
        let (dir, disk) = new_disk();
        for name in ["c", "a", "b"] {
            let file = File::create(dir.path().join(name)).unwrap();
            file.write_all_at(&[7; 3000], 100).unwrap();
            file.write_all_at(&[8; 3000], 2000).unwrap();
        }
        disk.crash();
        disk.restart(&mut chance(seed)).unwrap();
        let files = disk.files().unwrap().into_iter();
        files.map(|(path, bytes)| (path.file_name().unwrap().to_owned(), bytes)).collect::<Vec<_>>()
    };
    for seed in 0..20 {
        assert_eq!(life(seed), life(seed));
    }
    assert!((1..20).any(|seed| life(seed) != life(0)));
}
