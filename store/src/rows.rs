//! Rows of this node's own making: the line and view of a secret, and the counts. Each is a format marker
//! and a CBOR array. Records, payloads and raft entries carry their own markers and are kept as they are.
//! Knows nothing of where rows stand.

use std::collections::BTreeMap;

use cbor4ii::{
    core::{dec::Read, utils::SliceReader},
    serde::Deserializer,
};
use covault_model::{
    DecodeError,
    hlc::Millis,
    id::{NodeId, PayloadHash, RecordId, VersionId},
    line::Place,
    marks::Stamped,
    name::{CallerName, ContentType, Description, LabelKey, LabelValue},
};
use serde::{Deserialize, Serialize, Serializer, de::DeserializeOwned};

use crate::error::StoreError;

const ROW_FORMAT: u8 = 1;

/// Marker and CBOR of `row`.
pub(crate) fn to_row<T: Serialize>(row: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    bytes.push(ROW_FORMAT);
    ciborium::into_writer(row, &mut bytes).expect("writing to memory cannot fail");
    bytes
}

/// Reads what [`to_row`] wrote.
pub(crate) fn from_row<T: DeserializeOwned>(table: &'static str, bytes: &[u8]) -> Result<T, StoreError> {
    let read = match bytes {
        [ROW_FORMAT, rest @ ..] => decode_row(rest),
        [format, ..] => Err(DecodeError::UnknownFormat(*format)),
        [] => Err(DecodeError::Malformed),
    };
    read.map_err(|why| StoreError::Corrupt { table, why })
}

/// As `covault_model::decode`, by a faster reader of the same bytes.
fn decode_row<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, DecodeError> {
    let mut reader = Deserializer::new(SliceReader::new(bytes));
    let row = T::deserialize(&mut reader).map_err(|_| DecodeError::Malformed)?;
    let rest = reader.into_inner().fill(1).map_or(0, |rest| rest.as_ref().len());
    if rest == 0 { Ok(row) } else { Err(DecodeError::TrailingBytes) }
}

/// A struct that is written as a CBOR array of its fields, in order.
macro_rules! array_row {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$field_doc])* pub $field: $type,)* }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                ($(&self.$field,)*).serialize(to)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let ($($field,)*) = <($($type,)*)>::deserialize(from)?;
                Ok(Self { $($field,)* })
            }
        }
    };
}

array_row!(
    /// One version in the line of its secret; its key is its place. All but `number`, `deleted` and
    /// `destroyed` come from its record.
    LineRow {
        /// Its number; absent while it is not agreed.
        number: Option<u64>,
        /// The node that made it.
        author: NodeId,
        /// The caller on whose behalf.
        caller: CallerName,
        /// Its sealed payload.
        payload: PayloadHash,
        /// The media type given with it.
        content_type: Option<ContentType>,
        /// When its value stops being served.
        expires_at: Option<Millis>,
        /// The version it brought back.
        restores: Option<VersionId>,
        /// Whether its delete mark holds.
        deleted: bool,
        /// Whether its payload is erased.
        destroyed: bool,
    }
);

array_row!(
    /// A record that no other record of its secret has built on yet.
    HeadRow {
        /// The record.
        id: RecordId,
        /// Its depth.
        depth: u64,
    }
);

array_row!(
    /// What a secret is now, in one row, so that reading it costs the same however long its history.
    SecretView {
        /// The last version of the line, with its place; absent while only marks have arrived.
        current: Option<(Place, LineRow)>,
        /// Versions in the line.
        versions: u64,
        /// Labels by key; `None` inside keeps the stamp of one taken away.
        labels: BTreeMap<LabelKey, Stamped<Option<LabelValue>>>,
        /// The description; `None` inside keeps the stamp of one taken away.
        description: Option<Stamped<Option<Description>>>,
        /// The newest records, rising by id.
        heads: Vec<HeadRow>,
        /// Records that were named as parents and have not arrived, rising by id.
        awaited: Vec<RecordId>,
    }
);

array_row!(
    /// How much there is.
    #[derive(Default)]
    Counts {
        /// Names that exist.
        secrets: u64,
        /// Versions in all histories.
        versions: u64,
        /// Versions without a number.
        provisional: u64,
    }
);

impl SecretView {
    /// A secret of which nothing has arrived.
    pub(crate) fn empty() -> Self {
        Self {
            current: None,
            versions: 0,
            labels: BTreeMap::new(),
            description: None,
            heads: Vec::new(),
            awaited: Vec::new(),
        }
    }
}
