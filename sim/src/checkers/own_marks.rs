//! D4, H3 (docs/invariants.md): labels and delete marks that a node set, or showed, hold there until a later mark takes
//! their place. For each key the last by time holds, so one that was replaced never comes back: a label is what it was
//! before, or a version is deleted or readable again, only if somebody may have made it so since.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde_json::Value;

use super::{
    Violation,
    lives::{Life, Lives},
    named, shown_by,
    testimony::{numbered, owner_of, path_of, seen},
};
use crate::{
    desk::text,
    story::{Ask, Operation, Story},
};

/// Looks for marks that came back by themselves.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let book = Book::of(story, &operations);
    let mut looks: BTreeMap<_, Vec<Look<'_>>> = BTreeMap::new();
    for by in operations.iter().filter(|operation| operation.told.status().is_some()) {
        for (path, mark, value) in book.shown(by) {
            looks.entry((book.lives.asked(by), path, mark)).or_default().push(Look { by: *by, value });
        }
    }
    let mut violations = Vec::new();
    for ((life, path, mark), looks) in &looks {
        for later in looks {
            let others = looks.iter().filter(|look| look.is_before(later) && look.value != later.value);
            let Some(was) = others.max_by_key(|look| look.by.asked_us) else { continue };
            if !book.may_have_become(*life, (path, mark), was, later, looks) {
                let says = format!(
                    "{} was shown {mark} of {path} as {}, and {} as {}, with nothing between them that did so",
                    named(&later.by),
                    said(later.value),
                    named(&was.by),
                    said(was.value),
                );
                violations.push(shown_by("D4", &later.by, says));
            }
        }
    }
    violations
}

fn said(value: Option<&str>) -> &str {
    value.unwrap_or("none")
}

/// What is marked of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Mark<'a> {
    /// The label with this key.
    Label(&'a str),
    /// The version with this id.
    Version(&'a str),
}

impl fmt::Display for Mark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Label(key) => write!(f, "label {key}"),
            Self::Version(id) => write!(f, "version {id}"),
        }
    }
}

/// The mark of a version that is deleted; one that is not has none.
const DELETED: Option<&str> = Some("deleted");

/// A mark as an answer shows it.
struct Look<'a> {
    by: Operation<'a>,
    value: Option<&'a str>,
}

impl Look<'_> {
    fn is_before(&self, other: &Self) -> bool {
        self.by.told_us < other.by.asked_us
    }
}

/// What is known of a story as a whole.
struct Book<'a> {
    lives: Lives,
    numbers: BTreeMap<String, BTreeMap<u64, String>>,
    /// Requests that change marks and may have been carried out, by secret.
    changes: BTreeMap<String, Vec<Operation<'a>>>,
    /// The labels that anybody asked to change, by secret.
    keys: BTreeMap<String, BTreeSet<&'a str>>,
    /// The ids of versions, as answers have them.
    ids: BTreeMap<String, &'a str>,
}

impl<'a> Book<'a> {
    fn of(story: &Story, operations: &[Operation<'a>]) -> Self {
        let (mut changes, mut keys) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, BTreeSet<_>>::new());
        for operation in operations.iter().filter(|operation| !operation.told.is_refused()) {
            let Some(path) = path_of(operation.asked) else { continue };
            if let Ask::Label { labels, .. } = &operation.asked.ask {
                keys.entry(path.clone()).or_default().extend(labels.keys().map(String::as_str));
            }
            if matches!(operation.asked.ask, Ask::Label { .. } | Ask::Delete { .. } | Ask::Undelete { .. }) {
                changes.entry(path).or_default().push(*operation);
            }
        }
        let seen = seen(operations);
        let numbers = numbered(story, &seen);
        let ids = seen.iter().map(|seen| (seen.id.to_owned(), seen.id)).collect();
        Self { lives: Lives::of(story), numbers, changes, keys, ids }
    }

    /// The marks that an answer shows, each with the secret it is of.
    fn shown(&self, operation: &Operation<'a>) -> Vec<(String, Mark<'a>, Option<&'a str>)> {
        let Operation { asked, told, .. } = operation;
        let body = told.body();
        let mut shown = Vec::new();
        let mut show = |path: &str, labels: &'a Value, version: &'a Value| {
            if labels.is_object() {
                let keys = self.keys.get(path).into_iter().flatten();
                shown.extend(keys.map(|key| (path.to_owned(), Mark::Label(key), labels[*key].as_str())));
            }
            let state = text(version, "/state").filter(|state| *state != "destroyed");
            if let Some((id, state)) = text(version, "/id").zip(state) {
                let value = DELETED.filter(|deleted| *deleted == state);
                shown.push((path.to_owned(), Mark::Version(id), value));
            }
        };
        let rows = |field: &str| body[field].as_array().map_or(&[][..], Vec::as_slice);
        match (&asked.ask, path_of(asked)) {
            // These say what was made, not what is.
            (Ask::Create { .. } | Ask::Update { .. }, _) => {}
            (Ask::History { .. }, Some(path)) => {
                rows("versions").iter().for_each(|version| show(&path, &Value::Null, version));
            }
            (Ask::List, _) => rows("secrets").iter().for_each(|row| {
                let path = format!("{}/{}", owner_of(asked), text(row, "/name").unwrap_or_default());
                show(&path, &row["labels"], &row["version"]);
            }),
            (Ask::Read { version: Some(version), .. }, Some(path)) if !told.is_done() => {
                let id = self.numbers.get(&path).and_then(|ids| ids.get(&version.parse().ok()?));
                let id =
                    self.ids.get(id.unwrap_or(version)).filter(|_| told.code() == Some("version_deleted"));
                shown.extend(id.map(|id| (path, Mark::Version(id), DELETED)));
            }
            (_, Some(path)) if told.is_done() => show(&path, &body["labels"], &body["version"]),
            _ => {}
        }
        shown
    }

    /// Whether a mark that was one thing may have become another between two looks at the same node.
    fn may_have_become(
        &self,
        life: Life,
        (path, mark): (&str, &Mark<'_>),
        was: &Look<'_>,
        later: &Look<'_>,
        looks: &[Look<'_>],
    ) -> bool {
        let changes = self.changes.get(path).map_or(&[][..], Vec::as_slice);
        let makes_it = || changes.iter().filter(|change| makes(&change.asked.ask, mark, later.value));
        // Of a label that only one request can have set it is known when it was there.
        let is_of_one = matches!(mark, Mark::Label(_)) && later.value.is_some() && makes_it().count() == 1;
        let was_so_before =
            is_of_one && looks.iter().any(|look| look.value == later.value && look.is_before(was));
        makes_it().any(|change| {
            let was_here = change.told.is_done()
                && change.asked.key.is_none()
                && self.lives.asked(change) == life
                && change.told_us < was.by.asked_us;
            change.asked_us < later.by.told_us && !was_here && !was_so_before
        })
    }
}

/// Whether a request makes this of a mark.
fn makes(ask: &Ask, mark: &Mark<'_>, value: Option<&str>) -> bool {
    match (ask, mark) {
        (Ask::Label { labels, .. }, Mark::Label(key)) => {
            labels.get(*key).is_some_and(|set| set.as_deref() == value)
        }
        (Ask::Delete { .. }, Mark::Version(_)) => value == DELETED,
        (Ask::Undelete { .. }, Mark::Version(_)) => value.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{
        super::tale::{Tale, read, refusal},
        check,
    };
    use crate::story::Ask;

    fn label(text: Option<&str>) -> Ask {
        Ask::Label { name: "n".into(), labels: [("k".to_owned(), text.map(str::to_owned))].into() }
    }

    /// An answer that shows `n` with a label, or with none, and its version in this state.
    fn shows(label: Option<&str>, state: &str) -> Value {
        let labels = label.map_or(json!({}), |text| json!({ "k": text }));
        json!({ "name": "n", "labels": labels, "version": { "id": "v1", "number": 1, "state": state } })
    }

    fn delete() -> Ask {
        Ask::Delete { name: "n".into() }
    }

    fn undelete() -> Ask {
        Ask::Undelete { name: "n".into() }
    }

    /// Node 0 has set a label, and another in its place.
    fn labelled() -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(label(Some("x")), 200, shows(Some("x"), "current"));
        tale.goes(label(Some("y")), 200, shows(Some("y"), "current"));
        tale
    }

    #[test]
    fn marks_that_are_replaced_pass() {
        let mut tale = labelled();
        tale.goes(read(), 200, shows(Some("y"), "current")).goes(label(None), 200, shows(None, "current"));
        tale.goes(read(), 200, shows(None, "current")).goes(delete(), 200, shows(None, "deleted"));
        tale.goes(read(), 410, refusal("version_deleted")).goes(undelete(), 200, shows(None, "current"));
        tale.goes(read(), 200, shows(None, "current")).passes(check);
    }

    #[test]
    fn what_another_node_was_asked_for_may_come_at_any_time() {
        let mut tale = labelled();
        tale.asks("a", 1, label(None));
        tale.asks("a", 1, undelete());
        tale.goes(delete(), 200, shows(Some("y"), "deleted"));
        tale.goes(read(), 200, shows(None, "current")).passes(check);
    }

    #[test]
    fn a_label_that_comes_back_or_goes_by_itself_is_seen() {
        let mut back = labelled();
        back.goes(read(), 200, shows(Some("x"), "current"));
        back.fires(check, "op 2 (client 0 for a at node 0) was shown label k of a/n as x, and op 1");
        labelled().goes(read(), 200, shows(None, "current")).fires(check, "was shown label k of a/n as none");
    }

    #[test]
    fn another_node_may_have_it_still_and_so_may_the_one_in_the_place_of_one_that_was_lost() {
        let mut tale = labelled();
        let op = tale.asks("a", 1, read());
        tale.told(op, 200, shows(Some("x"), "current"));
        tale.loses(0).goes(read(), 200, shows(None, "current")).passes(check);
    }

    #[test]
    fn a_version_that_nobody_brought_back_or_deleted_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(undelete(), 200, shows(None, "current")).goes(delete(), 200, shows(None, "deleted"));
        tale.goes(read(), 200, shows(None, "past")).fires(check, "was shown version v1 of a/n as none");
        let mut tale = Tale::of(3);
        tale.goes(delete(), 200, shows(None, "deleted")).goes(undelete(), 200, shows(None, "current"));
        let of_one = Ask::Read { name: "n".into(), version: Some("1".into()), quorum: false, owner: None };
        tale.goes(of_one, 410, refusal("version_deleted")).fires(check, "of a/n as deleted, and op 1");
    }
}
