//! Reads every source file and manifest and fails where the code leaves the map of ARCHITECTURE.md:
//! an edge between rooms that is not drawn, a foreign library outside its room, plaintext opened in an
//! unlisted place, `unsafe` outside LMDB's door, a clock read outside the host, a file that does not
//! say what it is for, a page that names a file which is not there, a file that keeps a rule and does not
//! cite it.
//! Knows nothing of what the code does: it sees words and paths only.

#![allow(clippy::unwrap_used)]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// What each room may use of the others. A room that is missing here may not exist.
const EDGES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("seal", &["model"]),
    ("store", &["model"]),
    ("net", &["model"]),
    ("host", &["model", "net"]),
    ("consensus", &["model", "store", "net", "host"]),
    ("merge", &["model", "store", "net", "host"]),
    ("audit", &["model"]),
    // Pure: what the API computes of tokens, and proposes to the vault.
    ("tokens", &["model", "seal"]),
    ("vault", &["model", "seal", "store", "consensus", "merge", "audit", "tokens", "host"]),
    ("relay", &["model", "net", "host"]),
    ("envfile", &["model"]),
    ("api", &["model", "seal", "tokens", "vault", "relay", "envfile"]),
    ("node", &["model", "seal", "store", "net", "host", "consensus", "merge", "audit", "vault", "relay"]),
    // The commands that run a node put HTTP in front of it, or of the way to nodes; all others speak HTTP to one.
    ("cli", &["model", "seal", "host", "audit", "node", "api", "relay", "envfile"]),
    ("lib", &["model", "seal", "vault", "node", "host"]),
    ("main", &["cli"]),
];

/// Places that use the rooms but are none: they are programs about the project.
const OUTSIDE: &[&str] = &["tests", "benches", "examples", "fuzz", "sim"];

/// The client library, which stands alone: it may use none of the rooms.
const CLIENT: &str = "integrations/secrets-manager/";

/// Foreign libraries with one door, and where the door is.
const FOREIGN: &[(&str, &[&str])] = &[
    ("heed", &["store/"]),
    ("openraft", &["src/consensus/"]),
    ("automerge", &["src/merge/"]),
    ("negentropy", &["src/merge/"]),
    ("warp", &["src/api/"]),
    ("hyper", &["src/api/"]),
    ("hyper_util", &["src/api/"]),
    ("tokio_rustls", &["src/api/"]),
    ("quinn", &["net/"]),
    ("rustls", &["net/", "src/api/", "src/cli/", "src/main.rs"]),
    ("clap", &["src/cli/"]),
    ("clap_complete", &["src/cli/"]),
    ("ureq", &["src/cli/"]),
    ("aws_lc_rs", &["seal/", "model/"]),
    ("chacha20", &["seal/"]),
    ("aes", &["seal/"]),
    ("fpe", &["seal/"]),
    ("ed25519_dalek", &["model/"]),
    // A command of the moment may draw for itself; the node draws from its host alone.
    ("rand", &["src/host.rs", "src/cli/"]),
];

/// LMDB is opened here; the second damages its files on purpose, the third stands in for the C library.
const UNSAFE_ONLY_IN: &[&str] = &["store/src/open.rs", "store/tests/support/lmdb.rs", "sim/src/interpose.rs"];
const CLOCK_ONLY_IN: &[&str] = &["src/host.rs", "src/cli/"];
const CLOCKS: &[&str] = &["SystemTime", "Instant", "Timestamp", "Zoned", "Utc"];
/// Where the plaintext type itself is defined.
const PLAINTEXT_HOME: &str = "seal/src/plaintext.rs";

// ---- the checks on the project -------------------------------------------------------------------

#[test]
fn every_source_file_stays_on_the_map() {
    let openers = places_that_open_plaintext(&page("ARCHITECTURE.md"));
    assert!(!openers.is_empty(), "ARCHITECTURE.md lists where plaintext is opened");
    let mut wrong = Vec::new();
    for (file, source) in sources() {
        wrong.extend(violations(&file, &source, &openers));
    }
    assert!(wrong.is_empty(), "off the map:\n{}", wrong.join("\n"));
}

#[test]
fn every_manifest_stays_on_the_map() {
    let mut wrong = Vec::new();
    for folder in ["", "model/", "seal/", "store/", "net/"] {
        wrong.extend(manifest_violations(folder, &page(&format!("{folder}Cargo.toml"))));
    }
    assert!(wrong.is_empty(), "off the map:\n{}", wrong.join("\n"));
}

#[test]
fn the_client_library_stands_alone() {
    let manifest = page(&format!("{CLIENT}Cargo.toml"));
    let wrong = of_the_workspace(&manifest);
    assert!(wrong.is_empty(), "{CLIENT}Cargo.toml depends on {wrong:?}");
}

#[test]
fn the_table_here_and_the_map_name_the_same_rooms_and_doors() {
    let wrong = map_differences(&page("ARCHITECTURE.md"));
    assert!(wrong.is_empty(), "the map and this test differ:\n{}", wrong.join("\n"));
}

#[test]
fn every_path_that_the_pages_name_exists() {
    for name in ["ARCHITECTURE.md", "docs/invariants.md"] {
        let missing: Vec<_> =
            paths_named(&page(name)).into_iter().filter(|p| !root().join(p).exists()).collect();
        assert!(missing.is_empty(), "{name} names what is not there: {missing:?}");
    }
}

// ---- the rules -----------------------------------------------------------------------------------

#[test]
fn every_file_that_keeps_a_rule_cites_it() {
    let silent: Vec<_> = rules_kept(&page("docs/invariants.md"))
        .into_iter()
        .filter(|(rule, file)| !cites(&page(file), rule))
        .collect();
    assert!(
        silent.is_empty(),
        "files that do not cite a rule which docs/invariants.md says they keep: {silent:?}"
    );
}

fn violations(file: &str, source: &str, openers: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    if !source.starts_with("//!") {
        wrong.push(format!("{file}: does not open with a `//!` header"));
    }
    let words = tokens(source);
    if !UNSAFE_ONLY_IN.contains(&file) && words.contains(&Token::Word("unsafe")) {
        wrong.push(format!("{file}: `unsafe` outside {}", UNSAFE_ONLY_IN.join(" and ")));
    }
    if is_outside(file) {
        return wrong;
    }
    if file.starts_with(CLIENT) {
        let rooms =
            paths(&words).into_iter().filter(|path| path[0] == "covault" || path[0].starts_with("covault_"));
        wrong.extend(rooms.map(|path| format!("{file}: uses {}", path.join("::"))));
        return wrong;
    }
    let opens = words.contains(&Token::Word("expose_plaintext"));
    if opens && file != PLAINTEXT_HOME && !openers.contains(file) && !is_test(file) {
        wrong.push(format!("{file}: opens plaintext, but ARCHITECTURE.md does not list it"));
    }
    let found = paths(&words);
    // Tokio's clock measures how long something takes and is the simulator's in a simulation.
    let simulable = found.iter().any(|path| path.starts_with(&["tokio", "time", "Instant"]));
    for path in found.iter().filter(|path| !(simulable && path.starts_with(&["Instant", "now"]))) {
        wrong.extend(path_violation(file, path));
    }
    wrong.dedup();
    wrong
}

fn path_violation(file: &str, path: &[&str]) -> Option<String> {
    let shown = path.join("::");
    if let Some((_, doors)) = FOREIGN.iter().find(|(library, _)| *library == path[0])
        && !doors.iter().any(|door| file.starts_with(door))
    {
        return Some(format!("{file}: `{shown}` outside {doors:?}"));
    }
    let reads_clock = path.windows(2).any(|pair| CLOCKS.contains(&pair[0]) && pair[1] == "now");
    if reads_clock && !is_test(file) && !CLOCK_ONLY_IN.iter().any(|door| file.starts_with(door)) {
        return Some(format!("{file}: reads a clock with `{shown}`"));
    }
    let from = room_of(file);
    let to = room_reached(file, path)?;
    let Some((_, allowed)) = EDGES.iter().find(|(room, _)| *room == from) else {
        return Some(format!("{file}: `{from}` is not a room of the map"));
    };
    let known = from == to || allowed.contains(&to.as_str());
    (!known).then(|| format!("{file}: edge {from} -> {to} by `{shown}` is not on the map"))
}

/// The room that a path leads to; none when it stays where it is or leaves the project.
fn room_reached(file: &str, path: &[&str]) -> Option<String> {
    let is_room = |name: &str| EDGES.iter().any(|(room, _)| *room == name);
    let head = path[0];
    if let Some(room) = head.strip_prefix("covault_") {
        return Some(room.to_owned());
    }
    if !file.starts_with("src/") {
        return None;
    }
    let inner = match head {
        "crate" | "covault" => path.get(1..)?.to_vec(),
        "super" => {
            let up = path.iter().take_while(|part| **part == "super").count();
            let mut module = module_of(file);
            module.truncate(module.len().checked_sub(up)?);
            module.into_iter().chain(path[up..].iter().copied()).collect()
        }
        _ => return None,
    };
    inner.first().filter(|name| is_room(name)).map(|name| (*name).to_owned())
}

/// The module path of a file below `src/`.
fn module_of(file: &str) -> Vec<&str> {
    let inner = file.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    if matches!(inner, "lib" | "main") { Vec::new() } else { inner.split('/').collect() }
}

fn room_of(file: &str) -> &str {
    let inner = file.strip_prefix("src/").unwrap_or(file);
    inner.split('/').next().unwrap_or(inner).trim_end_matches(".rs")
}

fn is_outside(file: &str) -> bool {
    let own = ["/examples/", "/benches/"].iter().any(|folder| file.contains(folder));
    own || OUTSIDE.contains(&file.split('/').next().unwrap_or(file))
}

/// Tests of a room may make their own times and open what they sealed.
fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || is_outside(file)
}

fn manifest_violations(folder: &str, manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().expect("a manifest that cargo has read");
    let empty = toml::Table::new();
    let dependencies = table.get("dependencies").and_then(toml::Value::as_table).unwrap_or(&empty);
    let (home, room) =
        if folder.is_empty() { ("src/", None) } else { (folder, Some(folder.trim_end_matches('/'))) };
    let mut wrong = Vec::new();
    for name in dependencies.keys().map(|name| name.replace('-', "_")) {
        let door = FOREIGN.iter().find(|(library, _)| *library == name);
        if let Some((_, doors)) = door
            && !doors.iter().any(|door| door.starts_with(home))
        {
            wrong.push(format!("{folder}Cargo.toml: depends on {name}, whose door is {doors:?}"));
        }
        let (Some(room), Some(to)) = (room, name.strip_prefix("covault_")) else { continue };
        if !EDGES.iter().any(|(from, allowed)| *from == room && allowed.contains(&to)) {
            wrong.push(format!("{folder}Cargo.toml: edge {room} -> {to} is not on the map"));
        }
    }
    wrong
}

/// What a manifest depends on, in whatever table, that lies in this workspace.
fn of_the_workspace(manifest: &str) -> Vec<String> {
    let table: toml::Table = manifest.parse().expect("a manifest that cargo has read");
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let dependencies = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten();
    let is_here = |(name, how): &(&String, &toml::Value)| {
        name.starts_with("covault") || how.get("path").is_some() || how.get("package").is_some()
    };
    dependencies.filter(is_here).map(|(name, _)| name.clone()).collect()
}

// ---- what the pages say --------------------------------------------------------------------------

fn places_that_open_plaintext(architecture: &str) -> BTreeSet<String> {
    let section = architecture.split("\n## ").find(|part| part.starts_with("Plaintext")).unwrap_or_default();
    let lines = section.lines().filter(|line| line.starts_with("- "));
    lines.flat_map(backticked).filter(|text| text.ends_with(".rs")).map(str::to_owned).collect()
}

fn map_differences(architecture: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut drawn = BTreeSet::new();
    for line in architecture.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let (place, libraries) = (cells[1].trim_matches('`'), cells[4]);
        drawn.insert(room_of(place).trim_end_matches('/').to_owned());
        for word in libraries.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-')) {
            let library = word.replace('-', "_");
            let door = FOREIGN.iter().find(|(name, _)| *name == library);
            if door.is_some_and(|(_, doors)| !doors.contains(&place)) {
                wrong.push(format!("the map puts {word} into {place}, the test does not"));
            }
        }
    }
    let held: BTreeSet<_> = EDGES.iter().map(|(room, _)| (*room).to_owned()).collect();
    let programs: BTreeSet<_> = ["lib", "main"].map(str::to_owned).into();
    wrong.extend(drawn.difference(&held).map(|room| format!("the test has no room {room}")));
    wrong.extend(
        held.difference(&drawn)
            .filter(|r| !programs.contains(*r))
            .map(|r| format!("the map has no room {r}")),
    );
    wrong
}

/// Every text between backticks that reads as a path within the project.
fn paths_named(page: &str) -> BTreeSet<String> {
    let plain = |text: &&str| {
        text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/".contains(&b))
            && !text.starts_with('/')
            && (text.contains('/') || text.ends_with(".rs") || text.ends_with(".md"))
    };
    page.lines().flat_map(backticked).filter(plain).map(str::to_owned).collect()
}

/// Rules with the files that keep them: the first and third column of the table's rows.
fn rules_kept(page: &str) -> Vec<(String, String)> {
    let rows = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| ")?.split(" | ");
        let (rule, files) = (cells.next()?.trim(), cells.nth(1)?);
        rule.ends_with(|last: char| last.is_ascii_digit()).then_some((rule, files))
    });
    rows.flat_map(|(rule, files)| {
        backticked(files).filter(|file| file.ends_with(".rs")).map(|file| (rule.to_owned(), file.to_owned()))
    })
    .collect()
}

/// Whether a file's head names a rule, by itself or within a range such as `E1 to E4`.
fn cites(source: &str, rule: &str) -> bool {
    let head: Vec<_> = source.lines().map_while(|line| line.strip_prefix("//!")).collect();
    let head = head.join(" ");
    let words: Vec<_> = head.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let (kind, number) = rule.split_at(1);
    let of_kind = |word: &str| word.strip_prefix(kind)?.parse::<u32>().ok();
    let number: u32 = number.parse().unwrap();
    let within = |three: &[&str]| match (of_kind(three[0]), three[1], of_kind(three[2])) {
        (Some(first), "to", Some(last)) => (first..=last).contains(&number),
        _ => false,
    };
    words.contains(&rule) || words.windows(3).any(within)
}

fn backticked(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

// ---- reading sources -----------------------------------------------------------------------------

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    Word(&'a str),
    /// `::`
    Joint,
    Open,
    Close,
    Other,
}

/// The words and joints of a source text, without comments and literals.
fn tokens(source: &str) -> Vec<Token<'_>> {
    let bytes = source.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &source[at..];
        let (length, token) = match bytes[at] {
            b'/' if rest.starts_with("//") => (rest.find('\n').unwrap_or(rest.len()), None),
            b'/' if rest.starts_with("/*") => (rest.find("*/").map_or(rest.len(), |end| end + 2), None),
            b'"' => (quoted(rest), Some(Token::Other)),
            b'r' if raw_quoted(rest).is_some() => (raw_quoted(rest).unwrap_or(1), Some(Token::Other)),
            b'\'' => (character(rest), Some(Token::Other)),
            b':' if rest.starts_with("::") => (2, Some(Token::Joint)),
            b'{' => (1, Some(Token::Open)),
            b'}' => (1, Some(Token::Close)),
            byte if byte == b'_' || byte.is_ascii_alphanumeric() => {
                let end = rest.find(|c: char| !(c == '_' || c.is_alphanumeric())).unwrap_or(rest.len());
                (end, Some(Token::Word(&rest[..end])))
            }
            byte if byte.is_ascii_whitespace() => (1, None),
            _ => (rest.chars().next().map_or(1, char::len_utf8), Some(Token::Other)),
        };
        found.extend(token);
        at += length;
    }
    found
}

/// The length of the string literal at the beginning of `rest`.
fn quoted(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The length of the raw string literal at the beginning of `rest`, if it is one.
fn raw_quoted(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('r')?;
    let hashes = inner.len() - inner.trim_start_matches('#').len();
    let body = inner[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", &inner[..hashes]);
    Some(1 + hashes + 1 + body.find(&end).map_or(body.len(), |at| at + end.len()))
}

/// The length of the character literal at the beginning of `rest`; 1 for the quote of a lifetime.
fn character(rest: &str) -> usize {
    let mut chars = rest.char_indices().skip(1);
    match (chars.next(), chars.next()) {
        (Some((_, '\\')), Some(_)) => rest[3..].find('\'').map_or(rest.len(), |at| at + 4),
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// Every path in the text, groups taken apart: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        let imported = at > 0 && tokens[at - 1] == Token::Word("use");
        let leads_on = tokens.get(at + 1) == Some(&Token::Joint) && tokens[at] != Token::Word("use");
        if matches!(tokens[at], Token::Word(_)) && (imported || leads_on) {
            at = take_path(tokens, at, Vec::new(), &mut found);
        } else {
            at += 1;
        }
    }
    found
}

fn take_path<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    mut path: Vec<&'a str>,
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    while let Some(Token::Word(word)) = tokens.get(at) {
        path.push(word);
        at += 1;
        if tokens.get(at) != Some(&Token::Joint) {
            break;
        }
        at += 1;
        if tokens.get(at) == Some(&Token::Open) {
            return take_group(tokens, at + 1, &path, found);
        }
    }
    if !path.is_empty() {
        found.push(path);
    }
    at
}

fn take_group<'a>(
    tokens: &[Token<'a>],
    mut at: usize,
    path: &[&'a str],
    found: &mut Vec<Vec<&'a str>>,
) -> usize {
    while at < tokens.len() && tokens[at] != Token::Close {
        at = match tokens[at] {
            Token::Word(_) => take_path(tokens, at, path.to_vec(), found),
            _ => at + 1,
        };
    }
    at + 1
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn page(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Every source file of the project, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut folders: Vec<PathBuf> = [
        "src",
        "model",
        "seal",
        "store",
        "net",
        "sim",
        "integrations",
        "tests",
        "benches",
        "examples",
        "fuzz",
    ]
    .map(|f| root().join(f))
    .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
                found.push((name, fs::read_to_string(&path).unwrap()));
            }
        }
    }
    assert!(found.len() > 20, "the sources were found");
    found
}

// ---- each check, made to fire --------------------------------------------------------------------

#[cfg(test)]
mod fires {
    use std::collections::BTreeSet;

    use super::{
        cites, manifest_violations, map_differences, of_the_workspace, paths_named,
        places_that_open_plaintext, rules_kept, violations,
    };

    fn check(file: &str, body: &str, expected: &str) {
        let found = violations(file, &format!("//! A made-up file.\n{body}\n"), &BTreeSet::new());
        if expected.is_empty() {
            assert!(found.is_empty(), "{found:?}");
        } else {
            assert!(found.iter().any(|line| line.contains(expected)), "{expected:?} is not in {found:?}");
        }
    }

    #[test]
    fn on_an_edge_that_is_not_drawn() {
        check("src/merge/document.rs", "use covault_model::record::Header;", "");
        check("src/merge/document.rs", "use covault_seal::Keyring;", "edge merge -> seal");
        check("src/audit/log.rs", "use crate::{host::Host, api::{problem, route}};", "edge audit -> api");
        check("src/audit/log.rs", "fn f() { crate::vault::make() }", "edge audit -> vault");
        check("src/audit/log.rs", "use super::super::vault::Vault;", "edge audit -> vault");
        check("src/audit/mod.rs", "use super::vault::Vault;", "edge audit -> vault");
        check("store/src/writer.rs", "use covault_seal::{Plaintext};", "edge store -> seal");
        check("src/surprise/mod.rs", "use covault_model::id;", "`surprise` is not a room");
    }

    #[test]
    fn not_on_what_is_drawn() {
        check("src/vault/read.rs", "use crate::{audit::Line, merge, vault::answer};", "");
        check("src/vault/read.rs", "// crate::api::x\nconst A: &str = \"crate::api::x\"; /* warp::x */", "");
        check(
            "src/vault/read.rs",
            "const B: &str = r#\"heed::\"Env\"\"#; fn f<'a>(c: char) -> bool { c == '\"' }",
            "",
        );
        check("src/vault/read.rs", "fn f() { let rand = 1; let unsafe_code = rand; }", "");
    }

    #[test]
    fn on_a_library_outside_its_room() {
        check("src/vault/read.rs", "use heed::Env;", "outside [\"store/\"]");
        check("src/vault/read.rs", "use ::openraft::Raft;", "outside [\"src/consensus/\"]");
        check("src/node/mod.rs", "fn f() { rand::random() }", "outside [\"src/host.rs\", \"src/cli/\"]");
        check("src/cli/mod.rs", "use warp;", "outside [\"src/api/\"]");
        check("store/src/open.rs", "use heed::Env;", "");
    }

    #[test]
    fn on_plaintext_opened_elsewhere() {
        check("src/vault/read.rs", "fn f(v: &P) { v.expose_plaintext(); }", "opens plaintext");
        check("seal/tests/envelope.rs", "fn f(v: &P) { v.expose_plaintext(); }", "");
    }

    #[test]
    fn on_unsafe_clocks_and_missing_headers() {
        check("src/vault/read.rs", "fn f() { unsafe { g() } }", "`unsafe` outside");
        check("store/src/open.rs", "fn f() { unsafe { g() } }", "");
        check("src/vault/read.rs", "fn f() { std::time::SystemTime::now(); }", "reads a clock");
        check("src/audit/log.rs", "fn f() { Instant::now(); }", "reads a clock");
        check("src/host.rs", "fn f() { Instant::now(); }", "");
        check("src/api/service.rs", "use tokio::time::{Instant, timeout};\nfn f() { Instant::now(); }", "");
        let found = violations("src/host.rs", "fn f() {}", &BTreeSet::new());
        assert!(found[0].contains("header"), "{found:?}");
    }

    #[test]
    fn on_a_manifest_that_reaches_too_far() {
        let store =
            manifest_violations("store/", "[dependencies]\ncovault-seal.workspace = true\nheed = \"1\"\n");
        assert!(store.len() == 1 && store[0].contains("store -> seal"), "{store:?}");
        let node =
            manifest_violations("", "[dependencies]\nheed = \"1\"\nwarp = \"1\"\ncovault-seal = \"1\"\n");
        assert!(node.len() == 1 && node[0].contains("heed"), "{node:?}");
    }

    #[test]
    fn on_a_client_library_that_uses_a_room() {
        let file = "integrations/secrets-manager/src/lib.rs";
        check(file, "use covault_model::id::Id;", "uses covault_model");
        check(file, "fn f() { covault::node::start() }", "uses covault::node");
        check(file, "use crate::providers::covault::CovaultProvider;\nuse std::time::Instant;", "");
        let manifest = "[dependencies]\nserde = \"1\"\n[dev-dependencies]\ncovault-model.workspace = true\nx = { path = \"..\" }\n";
        assert_eq!(of_the_workspace(manifest), ["covault-model", "x"]);
    }

    #[test]
    fn on_a_map_that_says_something_else() {
        let found = map_differences("| `attic/` | old things | all | warp, heed |\n");
        assert!(found.iter().any(|line| line.contains("no room attic")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("puts heed into attic/")), "{found:?}");
        assert!(found.iter().any(|line| line.contains("the map has no room model")), "{found:?}");
    }

    #[test]
    fn on_a_file_that_does_not_cite_its_rule() {
        let page =
            "| rule | says | kept by |\n| --- | --- | --- |\n| E3 | that | `a.rs`, `b.rs` | `c.rs` |\n";
        assert_eq!(rules_kept(page), [("E3".into(), "a.rs".into()), ("E3".into(), "b.rs".into())]);
        for (source, expected) in [
            ("//! Keeps E3.\n", true),
            ("//! Keeps E1\n//! to E4, and so on.\n", true),
            ("//! Keeps E1 to E2, and E30.\n", false),
            ("//! Knows nothing.\n\n// E3\n", false),
        ] {
            assert_eq!(cites(source, "E3"), expected, "{source}");
        }
    }

    #[test]
    fn on_lists_read_from_a_page() {
        let page = "# A\n\n## Plaintext\n\n- `src/a.rs`, to look;\n\n## Other\n\n- `src/b.rs`, no.\n";
        assert_eq!(places_that_open_plaintext(page), BTreeSet::from(["src/a.rs".to_owned()]));
        let named = paths_named("see `src/gone.rs`, `POST /v1/x`, `/openapi.json` and `no_std`");
        assert_eq!(named, BTreeSet::from(["src/gone.rs".to_owned()]));
    }
}
