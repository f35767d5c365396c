//! No room left: writes are refused cleanly, reads go on, what was acknowledged survives, and with
//! room made writes go on (D3, U1). The small file system is a tmpfs of the test's own, where it may
//! mount one; the full map needs no rights.

use std::{
    fs::{self, File},
    io::Write,
    path::PathBuf,
    process::Command,
    thread,
};

use serde_json::json;

use crate::support::{Client, Place, Vault, eventually};

/// A small file system, taken away again when it goes out of scope.
struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts a tmpfs of so many MiB; says why not when that is not possible here.
    fn mount(at: PathBuf, mebibytes: u32) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let size = format!("size={mebibytes}m,mode=0700");
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&at);
        match command.output() {
            Ok(output) if output.status.success() => Some(Self(at)),
            Ok(output) => {
                println!(
                    "skipped: no tmpfs can be mounted here: {}",
                    String::from_utf8_lossy(&output.stderr)
                );
                None
            }
            Err(error) => {
                println!("skipped: there is no mount command: {error}");
                None
            }
        }
    }

    /// Fills what is left but so many bytes.
    fn fill_but(&self, left: usize) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = File::create(&path).unwrap();
        while file.write_all(&[7; 4096]).is_ok() {}
        let size = file.metadata().unwrap().len();
        file.set_len(size.saturating_sub(left as u64)).unwrap();
        path
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the node that held it may be a moment from its end.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Creates until the node refuses; gives the names that were acknowledged and the refusal's code.
fn create_until_refused(client: &Client, prefix: &str, bytes: usize) -> (Vec<String>, String) {
    let mut kept = Vec::new();
    for number in 0..100_000 {
        let name = format!("{prefix}/{number}");
        let answer = client.post("/v1/secrets", &json!({"name": name, "value": "v".repeat(bytes)}));
        if answer.status == 201 {
            kept.push(name);
            continue;
        }
        let code = answer.code();
        assert!(matches!(code.as_str(), "storage_full" | "audit_unavailable"), "{}", answer.shown());
        answer.expect_problem(503, &code);
        return (kept, code);
    }
    panic!("the disk never became full");
}

#[test]
fn a_full_file_system_refuses_writes_and_keeps_what_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("vault"), 48) else { return };
    let mut vault = Vault::start_in(folder);
    let member = vault.member();
    member.create("first", "before");
    let filler = disk.fill_but(3 << 20);
    let (kept, code) = create_until_refused(&member, "fill", 50_000);
    assert!(!kept.is_empty());
    let read = member.get("/v1/secrets/first");
    assert!(read.status == 200 || code == "audit_unavailable", "reads go on: {}", read.shown());
    vault.stranger().get("/health").expect(200);

    fs::remove_file(&filler).unwrap();
    member.create("with/room/again", "after");
    for name in &kept {
        assert_eq!(member.value(name).len(), 50_000);
    }
    vault.crash_and_restart();
    let member = vault.member();
    assert_eq!(
        (member.value("first"), member.value("with/room/again")),
        ("before".to_owned(), "after".to_owned())
    );
    kept.iter().for_each(|name| assert_eq!(member.value(name).len(), 50_000));
    drop(vault);
}

#[test]
fn several_writers_who_fill_the_disk_lose_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path().join("vault"), 48) else { return };
    let mut vault = Vault::start_in(folder);
    let filler = disk.fill_but(6 << 20);
    let writers = ["one", "two", "three", "four"];
    let kept: Vec<String> = thread::scope(|scope| {
        let fill = |prefix| {
            let member = vault.member();
            scope.spawn(move || create_until_refused(&member, prefix, 20_000).0)
        };
        let running: Vec<_> = writers.into_iter().map(fill).collect();
        running.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
    });
    assert!(10 < kept.len(), "{}", kept.len());
    vault.kill_hard();
    fs::remove_file(&filler).unwrap();
    vault.start_again();
    let member = vault.member();
    kept.iter().for_each(|name| assert_eq!(member.value(name).len(), 20_000));
    member.create("with/room/again", "after");
    drop(vault);
}

#[test]
fn a_full_map_refuses_writes_and_reads_go_on() {
    let place = Place::initialised();
    let mut node = place.serve("[limits]\nmap_bytes = 8388608\n", &[]);
    let admin = place.admin();
    let (kept, code) = create_until_refused(&admin, "fill", 50_000);
    assert_eq!(code, "storage_full");
    assert!(kept.len() > 10, "{}", kept.len());
    kept.iter().for_each(|name| assert_eq!(admin.value(name).len(), 50_000));
    // A large write is refused while there is room for small ones; then those are refused too, for good once what was
    // under way has found its place.
    let mut rounds = 0;
    eventually("the node to be full", || {
        create_until_refused(&admin, &format!("small-{rounds}"), 10);
        rounds += 1;
        let status = admin.get("/v1/status").expect(200);
        status.shown().contains("storage_full").then_some(())
    });
    place.stranger().get("/health").expect(200);
    node.kill_hard();
    let _node = place.serve("[limits]\nmap_bytes = 268435456\n", &[]);
    admin.create("with/room/again", "after");
    kept.iter().for_each(|name| assert_eq!(admin.value(name).len(), 50_000));
}
