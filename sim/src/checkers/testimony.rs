//! What the answers of a story say, taken apart for the checkers: which versions they show, who wrote which value, and
//! what became of a request that was asked several times. Judges nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    desk::text,
    story::{Ask, Asked, Operation, Story},
};

/// A version as an answer showed it.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// In whose answer.
    pub by: Operation<'a>,
    /// Whose the secret is.
    pub owner: &'a str,
    /// The secret's name.
    pub name: &'a str,
    /// Its id.
    pub id: &'a str,
    /// Its number; absent while it is not agreed.
    pub number: Option<u64>,
    /// Since when it is in force, as a text that sorts as time does.
    pub from: &'a str,
    /// Its value, where the answer shows it or the request brought it.
    pub value: Option<&'a str>,
}

impl Seen<'_> {
    /// Owner and name in one.
    pub fn path(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }
}

/// A value that was to be written, by one request that may have been asked several times under one key.
#[derive(Debug, Clone)]
pub struct Write<'a> {
    /// Whose secret it is for.
    pub path: String,
    /// Every time that it was asked for, in order.
    pub tries: Vec<Operation<'a>>,
}

impl Write<'_> {
    /// What was asked.
    pub fn ask(&self) -> &Ask {
        &self.tries[0].asked.ask
    }

    /// When it was asked for first.
    pub fn asked_us(&self) -> u64 {
        self.tries[0].asked_us
    }

    /// Whether no try can have done it.
    pub fn is_refused(&self) -> bool {
        self.tries.iter().all(|operation| operation.told.is_refused())
    }
}

/// Whether two requests are tries of one: the same that was asked under one key.
pub fn is_same_request(one: &Operation<'_>, other: &Operation<'_>) -> bool {
    has_same_key(one, other) && one.asked.ask == other.asked.ask
}

/// Whether two requests came with one key.
pub fn has_same_key(one: &Operation<'_>, other: &Operation<'_>) -> bool {
    one.asked.key.is_some() && (&one.asked.caller, &one.asked.key) == (&other.asked.caller, &other.asked.key)
}

/// Whose secrets a request is about.
pub fn owner_of(asked: &Asked) -> &str {
    match &asked.ask {
        Ask::Read { owner: Some(owner), .. } | Ask::Of { owner, .. } => owner,
        _ => &asked.caller,
    }
}

/// The one secret that a request names, by owner and name; none for what is tried in another's namespace.
pub fn path_of(asked: &Asked) -> Option<String> {
    let name = match &asked.ask {
        Ask::Create { name, .. }
        | Ask::Update { name, .. }
        | Ask::Read { name, .. }
        | Ask::History { name }
        | Ask::Label { name, .. }
        | Ask::Delete { name }
        | Ask::Undelete { name }
        | Ask::Destroy { name, .. } => name,
        _ => return None,
    };
    Some(format!("{}/{name}", owner_of(asked)))
}

/// Every version that any answer of success shows.
pub fn seen<'a>(operations: &[Operation<'a>]) -> Vec<Seen<'a>> {
    operations.iter().filter(|operation| operation.told.is_done()).flat_map(seen_in).collect()
}

fn seen_in<'a>(operation: &Operation<'a>) -> Vec<Seen<'a>> {
    let body = operation.told.body();
    let one = |name: &'a str, version: &'a Value, value| {
        Some(Seen {
            by: *operation,
            owner: owner_of(operation.asked),
            name,
            id: text(version, "/id")?,
            number: version["number"].as_u64(),
            from: text(version, "/valid_from").unwrap_or_default(),
            value,
        })
    };
    let of_name = text(body, "/name");
    let value = text(body, "/value").or(match &operation.asked.ask {
        Ask::Create { value, .. } | Ask::Update { value, .. } => Some(value),
        _ => None,
    });
    let itself = of_name.and_then(|name| one(name, &body["version"], value));
    let rows = |field: &str| body[field].as_array().map_or(&[][..], Vec::as_slice);
    let history = rows("versions").iter().filter_map(|version| one(of_name?, version, None));
    let listed = rows("secrets").iter().filter_map(|row| one(text(row, "/name")?, &row["version"], None));
    itself.into_iter().chain(history).chain(listed).collect()
}

/// Every write of a value, by the value.
pub fn writes<'a>(operations: &[Operation<'a>]) -> BTreeMap<&'a str, Write<'a>> {
    let mut writes: BTreeMap<&str, Write<'_>> = BTreeMap::new();
    for operation in operations {
        for (name, value) in written_by(&operation.asked.ask) {
            let path = format!("{}/{name}", owner_of(operation.asked));
            let write = writes.entry(value).or_insert_with(|| Write { path, tries: Vec::new() });
            write.tries.push(*operation);
        }
    }
    writes
}

/// The names and values of secrets that a request is to write.
pub fn written_by(ask: &Ask) -> Vec<(&str, &str)> {
    match ask {
        Ask::Create { name, value } | Ask::Update { name, value, .. } => vec![(name, value)],
        Ask::Encrypt { values } => {
            values.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
        }
        Ask::Of { ask, .. } => written_by(ask),
        _ => Vec::new(),
    }
}

/// Every value of a run, of secrets and of what became tokens.
pub fn values<'a>(operations: &[Operation<'a>]) -> Vec<&'a str> {
    let mut values: Vec<&str> = Vec::new();
    for Operation { asked, .. } in operations {
        values.extend(written_by(&asked.ask).into_iter().map(|(_, value)| value));
        if let Ask::Tokenize { values: tokenized } = &asked.ask {
            values.extend(tokenized.iter().map(String::as_str));
        }
    }
    values
}

/// The id of each agreed version, by secret and number, as the first that says it has it.
pub fn numbered(story: &Story, seen: &[Seen<'_>]) -> BTreeMap<String, BTreeMap<u64, String>> {
    let mut numbered: BTreeMap<String, BTreeMap<u64, String>> = BTreeMap::new();
    let mut note = |path: &str, number: Option<u64>, id: &str| {
        if let Some(number) = number {
            numbered.entry(path.to_owned()).or_default().entry(number).or_insert_with(|| id.to_owned());
        }
    };
    for kept in &story.kept {
        for (path, secret) in &kept.secrets {
            secret.versions.iter().for_each(|version| note(path, version.number, &version.id));
        }
    }
    seen.iter().for_each(|seen| note(&seen.path(), seen.number, seen.id));
    numbered
}
