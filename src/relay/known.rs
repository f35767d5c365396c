//! What a process must know of a cluster that no log has told it yet: which one it is, and which nodes there were. A
//! small file, replaced as a whole.
//!
//! ```text
//! {"format":1,"cluster":"<hex>","members":[["<node, hex>","<address>"],…]}
//! ```
//!
//! Knows nothing of who keeps it for what.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use covault_model::{
    id::{ClusterId, NodeId},
    roster::NodeAddress,
};
use serde::{Deserialize, Serialize};

const KNOWN_FORMAT: u8 = 1;

/// A cluster as it was last heard of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The cluster.
    pub cluster: ClusterId,
    /// Its nodes, and where they are reached.
    pub members: BTreeMap<NodeId, NodeAddress>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u8,
    cluster: String,
    members: Vec<(String, NodeAddress)>,
}

impl Known {
    /// What is kept in the file; none when there is no file. [`io::ErrorKind::InvalidData`] when it is not what
    /// [`Known::write`] wrote.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read(path) {
            Ok(text) => parse(&text).map(Some).ok_or(io::ErrorKind::InvalidData.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Keeps it in a file of a directory that is there, synced. It appears whole or not at all.
    pub fn write(&self, directory: &Path, file: &str) -> io::Result<()> {
        let members = self.members.iter().map(|(node, address)| (node.to_string(), *address)).collect();
        let text = Text { format: KNOWN_FORMAT, cluster: self.cluster.to_string(), members };
        let draft = directory.join(format!("{file}.new"));
        let mut options = OpenOptions::new();
        let mut drafted = options.write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        drafted.write_all(&serde_json::to_vec(&text)?)?;
        drafted.sync_all()?;
        fs::rename(draft, directory.join(file))?;
        File::open(directory)?.sync_all()
    }
}

fn parse(text: &[u8]) -> Option<Known> {
    let text: Text = serde_json::from_slice(text).ok().filter(|text: &Text| text.format == KNOWN_FORMAT)?;
    let member = |(node, address): (String, NodeAddress)| Some((NodeId::parse(&node).ok()?, address));
    Some(Known {
        cluster: ClusterId::parse(&text.cluster).ok()?,
        members: text.members.into_iter().map(member).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.json");
        assert_eq!(Known::read(&path).unwrap(), None);
        let members = BTreeMap::from([(NodeId([1; 32]), "127.0.0.1:8401".parse().unwrap())]);
        let known = Known { cluster: ClusterId([7; 16]), members };
        known.write(folder.path(), "known.json").unwrap();
        assert_eq!(Known::read(&path).unwrap(), Some(known));
        for text in ["", "{}", r#"{"format":2,"cluster":"","members":[]}"#] {
            fs::write(&path, text).unwrap();
            assert_eq!(Known::read(&path).unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
