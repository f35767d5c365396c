//! What a stopped node has on its disk, read as the product reads it, and opened with the cluster's key. A directory that
//! cannot be read says so in what is wrong with it. Knows nothing of what ought to be there.

pub mod plaintext;

use std::{collections::BTreeMap, error::Error, path::Path};

use covault::node::{check, verify_audit};
use covault_model::{
    decode,
    id::ClusterId,
    issue::{Issue, Mapping},
    line::Place,
    name::SecretPath,
    registry::{Outcome, Registry, Remembered},
};
use covault_net::NodeIdentity;
use covault_seal::{Context, Keyring, KeyringSource};
use covault_store::{LineRow, Meta, Rows, Store};
use serde::Deserialize;
use serde_bytes::ByteBuf;

use self::plaintext::Forms;
use crate::story::{Kept, KeptSecret, KeptVersion};

/// More than any node may hold.
const MAP_BYTES: usize = 1 << 30;
/// Names of the parts of a registry's export, in its order.
const PARTS: [&str; 9] =
    ["callers", "tokens", "tokens of callers", "grants", "retries", "keys", "destroyed", "epochs", "fields"];
/// The part that holds outcomes of retries, of which some are known only where they were asked.
const RETRIES: u8 = 4;
const SINGLE_VALUES: u8 = 254;

/// What the node kept whose files are under `data`; `keys` is the cluster's keyring, `forms` are of all values that were
/// written.
pub fn inspect(data: &Path, keys: &Path, forms: &Forms) -> Kept {
    let mut kept = Kept::default();
    if let Err(error) = read(data, keys, &mut kept) {
        kept.wrong.push(format!("its data cannot be read: {error}"));
    }
    match NodeIdentity::load(data) {
        Ok(identity) => kept.node = identity.id().to_string(),
        Err(error) => kept.wrong.push(format!("its key cannot be read: {error}")),
    }
    match plaintext::scan(data, forms) {
        Ok((found, bytes)) => (kept.plaintext, kept.bytes) = (found, bytes),
        Err(error) => kept.wrong.push(format!("its files cannot be read: {error}")),
    }
    kept
}

/// Which of these values stand in the logs under `logs`. Logs that cannot be read are told of in their place.
pub fn logged(logs: &Path, forms: &Forms) -> Vec<String> {
    match plaintext::scan(logs, forms) {
        Ok((found, _)) => found,
        Err(error) => vec![format!("logs that cannot be read: {error}")],
    }
}

type Failure = Box<dyn Error + Send + Sync>;

fn read(data: &Path, keys: &Path, kept: &mut Kept) -> Result<(), Failure> {
    kept.wrong.extend(check(data, &mut |_| {})?.differences);
    if let Err(error) = verify_audit(data, &mut |_| {}) {
        kept.wrong.push(format!("its audit log: {error}"));
    }
    let store = Store::open_reader(data, MAP_BYTES)?;
    let ring = Keyring::load(&KeyringSource::File(keys.into()))?;
    let view = store.view()?;
    let rows = view.rows();
    let cluster = rows.cluster()?.ok_or("it is of no cluster")?;
    for (path, _) in rows.secrets_after(None, usize::MAX)? {
        let secret = secret(rows, &path, &ring, cluster)?;
        kept.secrets.insert(format!("{}/{}", path.owner, path.name), secret);
    }
    kept.mappings = mappings(rows)?;
    let nodes = rows.roster()?.nodes.into_iter().filter(|(_, entry)| !entry.removed);
    kept.members = nodes.map(|(node, _)| node.to_string()).collect();
    kept.registry = registry(&store)?;
    kept.log_entries = log_entries(&store, rows)?;
    Ok(())
}

fn secret(
    rows: Rows<'_>,
    path: &SecretPath,
    ring: &Keyring,
    cluster: ClusterId,
) -> Result<KeptSecret, Failure> {
    let mut kept = KeptSecret::default();
    kept.records.extend(rows.records(path)?.iter().map(|record| record.id().to_string()));
    if let Some(view) = rows.secret_view(path)? {
        kept.awaited.extend(view.awaited.iter().map(ToString::to_string));
        let labels = view.labels.into_iter();
        kept.labels = labels.filter_map(|(key, held)| Some((key.to_string(), held.1?.to_string()))).collect();
    }
    for (place, row) in rows.versions(path, None, usize::MAX)?.into_iter().rev() {
        let sealed = rows.payload(path, &row.payload)?;
        let context = Context { cluster, secret: path.id(), time: place.time, author: row.author };
        let value = sealed.and_then(|sealed| covault_seal::open(ring, &context, sealed).ok());
        let value = value.map(|value| String::from_utf8_lossy(value.expose_plaintext()).into_owned());
        kept.versions.push(version(&place, &row, sealed.is_some(), value));
    }
    Ok(kept)
}

fn version(place: &Place, row: &LineRow, payload: bool, value: Option<String>) -> KeptVersion {
    KeptVersion {
        id: place.id.to_string(),
        number: row.number,
        from_ms: place.time.millis().0,
        payload,
        destroyed: row.destroyed,
        deleted: row.deleted,
        value,
    }
}

fn mappings(rows: Rows<'_>) -> Result<BTreeMap<String, String>, Failure> {
    let (mut kept, mut last) = (BTreeMap::new(), None);
    while let Some(scope) = rows.next_scope(last.as_ref())? {
        for id in rows.issue_ids(&scope, &[], usize::MAX)? {
            let bytes = rows.issue(&scope, &id)?.unwrap_or_default();
            let issue = Issue::from_untrusted_bytes(bytes).map_err(|_| "an issue is none")?;
            for Mapping(mapping, _) in &issue.header().mappings {
                let sealed = rows.mapping(&scope, mapping)?.unwrap_or_default();
                kept.insert(format!("{}/{}/{mapping}", scope.owner, scope.epoch), short_digest(sealed));
            }
        }
        last = Some(scope);
    }
    Ok(kept)
}

fn registry(store: &Store) -> Result<BTreeMap<String, String>, Failure> {
    let (_, rows): (u8, Vec<(u8, ByteBuf, ByteBuf)>) =
        decode(&store.export_registry()?).map_err(|_| "its registry is none")?;
    let mut parts: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for (part, key, row) in rows.iter().filter(|(part, _, row)| *part != RETRIES || is_agreed(row)) {
        let name = match *part {
            SINGLE_VALUES => "cluster and members",
            part => PARTS.get(usize::from(part)).unwrap_or(&"names and numbers"),
        };
        let bytes = parts.entry(name.to_owned()).or_default();
        for field in [key, row] {
            bytes.extend_from_slice(&(field.len() as u64).to_le_bytes());
            bytes.extend_from_slice(field);
        }
    }
    Ok(parts.into_iter().map(|(name, bytes)| (name, short_digest(&bytes))).collect())
}

/// Whether the outcome of a retry was agreed. One of a record or an issue is known where that has come to, and where it
/// was asked.
fn is_agreed(row: &[u8]) -> bool {
    let outcome = row.get(1..).and_then(|row| decode::<Remembered>(row).ok());
    !matches!(outcome, Some(Remembered { outcome: Outcome::Marked(_) | Outcome::Issued(_), .. }))
}

/// Where an entry stands in the log, as agreement writes it; of its other parts nothing is needed.
#[derive(Deserialize)]
struct LogPlace {
    index: u64,
}

fn log_entries(store: &Store, rows: Rows<'_>) -> Result<u64, Failure> {
    let (first, end) = store.log()?.bounds();
    let purged = rows.meta(Meta::Purged)?.map(decode::<LogPlace>).transpose();
    let purged = purged.map_err(|_| "what it purged is no place in a log")?;
    Ok(end.saturating_sub(first.max(purged.map_or(0, |purged| purged.index + 1))))
}

fn short_digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex()[..16].to_owned()
}
