//! What became of each operation, as a mark that can be drawn: agreed, provisional and later adopted or superseded,
//! refused, unknown. What became of a provisional version is taken from later answers and from what nodes kept in the
//! end. Knows nothing of drawing.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::{
    story::{Operation, Story},
    telling,
};

/// An operation's mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// A write that a majority agreed on.
    Agreed,
    /// A version without a majority, of which nothing more was seen.
    Provisional,
    /// One that got a number later.
    Adopted(u64),
    /// One that something newer passed over.
    Superseded,
    /// A write that was refused.
    Refused,
    /// A write that may have been done.
    Unknown,
    /// A read that was answered, if only with what is not there.
    Read,
    /// A read that was not.
    Unread,
}

/// What versions became, by id: their numbers, and which were superseded.
#[derive(Debug, Default)]
pub struct Fates {
    numbers: BTreeMap<String, u64>,
    superseded: Vec<String>,
}

impl Fates {
    /// All that can be told from a story.
    pub fn of(story: &Story) -> Self {
        let mut fates = Self::default();
        for operation in story.operations().iter().filter(|operation| operation.told.is_done()) {
            let body = operation.told.body();
            fates.learn(&body["version"]);
            body["versions"].as_array().into_iter().flatten().for_each(|version| fates.learn(version));
        }
        for version in
            story.kept.iter().flat_map(|kept| kept.secrets.values()).flat_map(|kept| &kept.versions)
        {
            match version.number {
                Some(number) => drop(fates.numbers.insert(version.id.clone(), number)),
                None => fates.superseded.push(version.id.clone()),
            }
        }
        fates
    }

    fn learn(&mut self, version: &Value) {
        let Some(id) = version["id"].as_str() else { return };
        if let Some(number) = version["number"].as_u64() {
            self.numbers.insert(id.to_owned(), number);
        } else if version["state"] == "superseded" {
            self.superseded.push(id.to_owned());
        }
    }

    /// The mark of an operation.
    pub fn mark(&self, operation: &Operation<'_>) -> Mark {
        let told = operation.told;
        if telling::only_reads(&operation.asked.ask) {
            let answered = told.status().is_some_and(|status| status < 500);
            return if answered { Mark::Read } else { Mark::Unread };
        }
        if told.is_unknown() {
            return Mark::Unknown;
        }
        if !told.is_done() {
            return Mark::Refused;
        }
        let version = &told.body()["version"];
        match version["id"].as_str() {
            Some(id) if told.status() == Some(202) && version["number"].is_null() => self.fate(id),
            _ => Mark::Agreed,
        }
    }

    fn fate(&self, id: &str) -> Mark {
        match self.numbers.get(id) {
            Some(number) => Mark::Adopted(*number),
            None if self.superseded.iter().any(|one| one == id) => Mark::Superseded,
            None => Mark::Provisional,
        }
    }
}

impl Mark {
    /// Its class in the drawing.
    pub fn class(self) -> &'static str {
        match self {
            Self::Agreed => "agreed",
            Self::Provisional => "provisional",
            Self::Adopted(_) => "adopted",
            Self::Superseded => "superseded",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
            Self::Read => "read",
            Self::Unread => "unread",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        story::{Ask, Asked, Kept, KeptSecret, KeptVersion, Told, What},
        telling::tests::story,
    };

    fn update(op: u32) -> What {
        let ask = Ask::Update { name: "n".into(), value: "v".into(), expect: None, agreed: false };
        What::Asked(Asked { op, client: 0, caller: "c".into(), node: 0, ask, key: None })
    }

    fn told(op: u32, status: u16, body: Value) -> What {
        What::Told { op, told: Told::Answer { status, body, majority: None } }
    }

    fn marks(story: &Story) -> Vec<Mark> {
        let fates = Fates::of(story);
        story.operations().iter().map(|operation| fates.mark(operation)).collect()
    }

    #[test]
    fn a_provisional_version_is_adopted_when_a_later_answer_has_its_number() {
        let mut story = story();
        story.push(1, update(0));
        story.push(2, told(0, 202, json!({ "version": { "id": "a", "number": null } })));
        assert_eq!(marks(&story), [Mark::Provisional]);
        story.push(3, update(1));
        story.push(4, told(1, 200, json!({ "version": { "id": "a", "number": 4 } })));
        assert_eq!(marks(&story), [Mark::Adopted(4), Mark::Agreed]);
    }

    #[test]
    fn what_a_node_kept_without_a_number_was_superseded() {
        let mut story = story();
        story.push(1, update(0));
        story.push(2, told(0, 202, json!({ "version": { "id": "a", "number": null } })));
        let (id, number, value) = ("a".to_owned(), None, None);
        let version =
            KeptVersion { id, number, from_ms: 1, payload: true, destroyed: false, deleted: false, value };
        let secret = KeptSecret { versions: vec![version], ..KeptSecret::default() };
        let secrets = [("c/n".to_owned(), secret)].into();
        story.kept.push(Kept { secrets, ..Kept::default() });
        assert_eq!(marks(&story), [Mark::Superseded]);
    }

    #[test]
    fn writes_without_an_answer_are_unknown_and_refused_ones_are_refused() {
        let mut story = story();
        story.push(1, update(0));
        story.push(2, update(1));
        story.push(3, told(1, 404, Value::Null));
        story.push(4, update(2));
        story.push(5, told(2, 200, json!({ "version": { "id": "b", "number": 1 } })));
        assert_eq!(marks(&story), [Mark::Unknown, Mark::Refused, Mark::Agreed]);
    }
}
