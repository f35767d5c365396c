//! What a node that joined must know until the log has reached it: its cluster, and which nodes there were. A
//! file of its data directory, gone once the node finds itself among the members.
//!
//! ```text
//! {"format":1,"cluster":"<hex>","members":[["<node, hex>","<address>"],…]}
//! ```
//!
//! Knows nothing of how a node asks to be taken in.

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

use super::error::StartError;

const FILE: &str = "joining.json";
const JOINING_FORMAT: u8 = 1;

/// What a node knows of its cluster before the log has reached it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Joining {
    pub cluster: ClusterId,
    pub members: BTreeMap<NodeId, NodeAddress>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u8,
    cluster: String,
    members: Vec<(String, NodeAddress)>,
}

impl Joining {
    /// What is kept in `data`; none for a node that did not join, or has arrived.
    pub fn read(data: &Path) -> Result<Option<Self>, StartError> {
        let path = data.join(FILE);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        parse(&text).map(Some).ok_or(StartError::Joining(path))
    }

    /// Keeps it in `data`, synced.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        let members = self.members.iter().map(|(node, address)| (node.to_string(), *address)).collect();
        let text = Text { format: JOINING_FORMAT, cluster: self.cluster.to_string(), members };
        let (path, draft) = (data.join(FILE), data.join(format!("{FILE}.new")));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&serde_json::to_vec(&text)?)?;
        file.sync_all()?;
        fs::rename(draft, path)?;
        File::open(data)?.sync_all()
    }

    /// Lets go of what is kept in `data`.
    pub fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(data.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

fn parse(text: &[u8]) -> Option<Joining> {
    let text: Text = serde_json::from_slice(text).ok().filter(|text: &Text| text.format == JOINING_FORMAT)?;
    let member = |(node, address): (String, NodeAddress)| Some((NodeId::parse(&node).ok()?, address));
    Some(Joining {
        cluster: ClusterId::parse(&text.cluster).ok()?,
        members: text.members.into_iter().map(member).collect::<Option<_>>()?,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_kept_reads_back_until_it_is_let_go_of() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Joining::read(folder.path()).unwrap(), None);
        let members = BTreeMap::from([(NodeId([1; 32]), "127.0.0.1:8401".parse().unwrap())]);
        let joining = Joining { cluster: ClusterId([7; 16]), members };
        joining.write(folder.path()).unwrap();
        assert_eq!(Joining::read(folder.path()).unwrap(), Some(joining));
        Joining::remove(folder.path()).unwrap();
        Joining::remove(folder.path()).unwrap();
        assert_eq!(Joining::read(folder.path()).unwrap(), None);
    }

    #[test]
    fn anything_else_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "{}", r#"{"format":2,"cluster":"","members":[]}"#] {
            fs::write(folder.path().join(FILE), text).unwrap();
            assert!(Joining::read(folder.path()).unwrap_err().to_string().contains(FILE));
        }
    }
}
