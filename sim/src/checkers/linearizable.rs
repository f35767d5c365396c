//! E1, E2, E4, R1, D1 (docs/invariants.md): one order of what was agreed explains all answers, each at one moment between
//! its request and itself. What an answer said is agreed is on every node in the end.
//!
//! Agreed versions carry numbers, so their order is known and nothing has to be searched for: an answer that shows a
//! number says that this version was agreed *before the answer*; a confirmed read of an older one, a miss, or the request
//! that made it, that it was agreed *after the request*. If these moments can be chosen so that they rise with the
//! numbers there is such an order, and if not there are two answers that contradict each other. A refused condition
//! contradicts only if its version was the last one all along.
//!
//! What was kept without agreement takes no part before it has a number.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Violation, at_the_end, named, shown_by,
    testimony::{Seen, is_same_request, numbered, owner_of, path_of, seen},
};
use crate::{
    desk::text,
    story::{Ask, Kept, Operation, Story},
};

/// Looks for answers that no order explains.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let seen = seen(&operations);
    let ids = numbered(story, &seen);
    let moments = moments(&operations, &seen, &ids);
    let mut violations = misnumbered(&operations, &ids);
    violations.extend(moments.iter().filter_map(|(path, moments)| contradiction(path, moments)));
    let refused = operations.iter().filter(|operation| operation.told.code() == Some("version_mismatch"));
    violations.extend(refused.filter_map(|operation| needlessly_refused(operation, &moments, &ids)));
    violations.extend(gone(story, &moments));
    violations
}

/// The id of each agreed version, by secret and number.
type Ids = BTreeMap<String, BTreeMap<u64, String>>;

/// A moment, and the operation that says so.
type Moment<'a> = (u64, Operation<'a>);

/// What is known of when the versions of a secret were agreed, by their numbers.
#[derive(Default)]
struct Moments<'a> {
    /// Not before that.
    after: BTreeMap<u64, Moment<'a>>,
    /// Not after that.
    before: BTreeMap<u64, Moment<'a>>,
}

impl<'a> Moments<'a> {
    fn after(&mut self, number: u64, us: u64, by: &Operation<'a>) {
        let latest = self.after.entry(number).or_insert((us, *by));
        if latest.0 < us {
            *latest = (us, *by);
        }
    }

    fn before(&mut self, number: u64, us: u64, by: &Operation<'a>) {
        let earliest = self.before.entry(number).or_insert((us, *by));
        if us < earliest.0 {
            *earliest = (us, *by);
        }
    }

    /// The earliest that a version can have been agreed: after every one before it.
    fn earliest(&self, number: u64) -> Option<Moment<'a>> {
        self.after.range(..=number).map(|(_, moment)| *moment).max_by_key(|moment| moment.0)
    }

    /// The latest: before every one after it.
    fn latest(&self, number: u64) -> Option<Moment<'a>> {
        self.before.range(number..).map(|(_, moment)| *moment).min_by_key(|moment| moment.0)
    }
}

/// What all answers say of when versions were agreed, by secret.
fn moments<'a>(operations: &[Operation<'a>], seen: &[Seen<'a>], ids: &Ids) -> BTreeMap<String, Moments<'a>> {
    let mut moments: BTreeMap<String, Moments<'a>> = BTreeMap::new();
    for seen in seen {
        let of_path = moments.entry(seen.path()).or_default();
        match seen.number {
            Some(number) => {
                of_path.before(number, seen.by.told_us, &seen.by);
                if is_confirmed_read(&seen.by) {
                    // The last version of the line is the last agreed one, since times rise with numbers.
                    of_path.after(number + 1, seen.by.asked_us, &seen.by);
                }
            }
            None if is_confirmed_read(&seen.by) => {
                let adopted = ids.get(&seen.path()).and_then(|ids| number_of(ids, seen.id));
                adopted.into_iter().for_each(|number| of_path.after(number, seen.by.asked_us, &seen.by));
            }
            None => {}
        }
    }
    let first_asked = first_asked(operations);
    for operation in operations {
        if let Some(path) = path_of(operation.asked) {
            note_one(operation, first_asked[&operation.asked.op], moments.entry(path).or_default());
        } else {
            note_file(operation, first_asked[&operation.asked.op], &mut moments);
        }
    }
    moments
}

/// What the answer to a request about one secret says beside the versions that it shows.
fn note_one<'a>(operation: &Operation<'a>, first_asked: u64, moments: &mut Moments<'a>) {
    match (&operation.asked.ask, operation.told.code()) {
        (Ask::Create { .. }, Some("secret_exists")) => moments.before(1, operation.told_us, operation),
        (ask, Some("not_found")) if owner_of(operation.asked) == operation.asked.caller => {
            moments.after(missing(ask), operation.asked_us, operation);
        }
        (Ask::Create { .. } | Ask::Update { .. }, None) if operation.told.is_done() => {
            let number = operation.told.body()["version"]["number"].as_u64();
            number.into_iter().for_each(|number| moments.after(number, first_asked, operation));
        }
        _ => {}
    }
}

/// What the answer to a request about a `.env` file says of the names in it.
fn note_file<'a>(operation: &Operation<'a>, first_asked: u64, moments: &mut BTreeMap<String, Moments<'a>>) {
    let body = operation.told.body();
    let mut of = |name: &str, note: &dyn Fn(&mut Moments<'a>)| {
        note(moments.entry(format!("{}/{name}", operation.asked.caller)).or_default());
    };
    let is_there = |moments: &mut Moments<'a>| moments.before(1, operation.told_us, operation);
    let was_not = |us| move |moments: &mut Moments<'a>| moments.after(1, us, operation);
    match &operation.asked.ask {
        Ask::Encrypt { values } if operation.told.is_done() => values.keys().for_each(|name| {
            of(name, &is_there);
            of(name, &was_not(first_asked));
        }),
        Ask::Encrypt { .. } if operation.told.code() == Some("secret_exists") => {
            let names = body["names"].as_array().map_or(&[][..], Vec::as_slice);
            names.iter().filter_map(Value::as_str).for_each(|name| of(name, &is_there));
        }
        Ask::Expand { names } if operation.told.is_done() => {
            names.iter().for_each(|name| of(name, &is_there))
        }
        Ask::Expand { .. } => {
            let references = body["references"].as_array().map_or(&[][..], Vec::as_slice);
            let missing = references.iter().filter(|reference| reference["reason"] == "not_found");
            let names = missing.filter_map(|reference| text(reference, "/name"));
            names.for_each(|name| of(name, &was_not(operation.asked_us)));
        }
        _ => {}
    }
}

/// When each request was asked for the first time: one with a key may have been done by an earlier try.
fn first_asked(operations: &[Operation<'_>]) -> BTreeMap<u32, u64> {
    let (mut first_asked, mut by_key) = (BTreeMap::new(), BTreeMap::<_, Vec<&Operation<'_>>>::new());
    for operation in operations {
        let mut first = operation;
        if let Some(key) = &operation.asked.key {
            let firsts = by_key.entry((&operation.asked.caller, key)).or_default();
            match firsts.iter().find(|earlier| is_same_request(earlier, operation)) {
                Some(earlier) => first = *earlier,
                None => firsts.push(operation),
            }
        }
        first_asked.insert(operation.asked.op, first.asked_us);
    }
    first_asked
}

/// The number that a miss says is not there.
fn missing(ask: &Ask) -> u64 {
    match ask {
        Ask::Read { version: Some(version), .. } => version.parse().unwrap_or(u64::MAX),
        // One of them is missing, the last one surely.
        Ask::Destroy { versions, .. } => versions.iter().copied().max().unwrap_or(1),
        _ => 1,
    }
}

fn is_confirmed_read(operation: &Operation<'_>) -> bool {
    matches!(operation.asked.ask, Ask::Read { quorum: true, version: None, .. })
}

/// Two answers that contradict each other: one shows a version, a later request shows that an earlier number, or that
/// one itself, was not agreed yet.
fn contradiction(path: &str, moments: &Moments<'_>) -> Option<Violation> {
    let mut found = moments.before.keys().filter_map(|number| {
        let (latest, earliest) = (moments.latest(*number)?, moments.earliest(*number)?);
        (latest.0 < earliest.0).then_some((*number, latest.1, earliest.1))
    });
    let (number, shown, denied) = found.next()?;
    let says = format!(
        "version {number} of {path} was agreed when {} was answered, and not yet when {} was asked, which was later",
        named(&shown),
        named(&denied),
    );
    Some(shown_by("R1", &denied, says))
}

/// Conditional updates that were done and do not follow on their version, and creates that are not the first.
fn misnumbered(operations: &[Operation<'_>], ids: &Ids) -> Vec<Violation> {
    let done = operations.iter().filter(|operation| operation.told.is_done());
    let wrong = done.filter_map(|operation| {
        let path = path_of(operation.asked)?;
        let number = operation.told.body()["version"]["number"].as_u64()?;
        let (rule, follows) = match &operation.asked.ask {
            Ask::Create { .. } => ("E1", 0),
            Ask::Update { expect: Some(expect), .. } => ("E4", number_of(ids.get(&path)?, expect)?),
            _ => return None,
        };
        (number != follows + 1).then(|| {
            let says = format!(
                "{} made version {number} of {path}, and was to make {}",
                named(operation),
                follows + 1
            );
            shown_by(rule, operation, says)
        })
    });
    wrong.collect()
}

fn number_of(ids: &BTreeMap<u64, String>, id: &str) -> Option<u64> {
    ids.iter().find_map(|(number, other)| (other == id).then_some(*number))
}

/// A condition that was refused though the version that it names was surely the last one from request to answer.
fn needlessly_refused(
    operation: &Operation<'_>,
    moments: &BTreeMap<String, Moments<'_>>,
    ids: &Ids,
) -> Option<Violation> {
    let Ask::Update { expect: Some(expect), .. } = &operation.asked.ask else { return None };
    let path = path_of(operation.asked)?;
    let number = number_of(ids.get(&path)?, expect)?;
    let moments = moments.get(&path)?;
    let was_there = moments.latest(number)?.0 < operation.asked_us;
    let next = moments.earliest(number + 1);
    let there_is_no_next = !ids[&path].contains_key(&(number + 1));
    let was_last = there_is_no_next || next.is_some_and(|next| operation.told_us < next.0);
    (was_there && was_last).then(|| {
        let says = format!(
            "{} was told that version {number} of {path} is not the last one, which it was all the while",
            named(operation),
        );
        shown_by("E4", operation, says)
    })
}

/// What answers said is agreed and a node has not in the end, by its number; of each secret the first. Rows stay when their
/// values are destroyed. A disk that cannot be read is for another checker.
fn gone(story: &Story, moments: &BTreeMap<String, Moments<'_>>) -> Vec<Violation> {
    let readable = story.kept.iter().enumerate().filter(|(_, kept)| !kept.registry.is_empty());
    let gone_on = |(node, kept): (usize, &Kept)| {
        let gone = moments.iter().filter_map(move |(path, moments)| {
            let versions = kept.secrets.get(path).into_iter().flat_map(|secret| &secret.versions);
            let numbers: BTreeSet<u64> = versions.filter_map(|version| version.number).collect();
            let (number, (_, by)) = moments.before.iter().find(|(number, _)| !numbers.contains(number))?;
            let says = format!(
                "{} was told of version {number} of {path}, and node {node} has none of that number in the end",
                named(by)
            );
            Some(at_the_end("D1", story, says))
        });
        gone.collect::<Vec<_>>()
    };
    readable.flat_map(gone_on).collect()
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, read, refusal, update, value, version},
        check,
    };

    /// A name with one version, `v1`.
    fn created() -> Tale {
        let mut tale = Tale::of(3);
        tale.goes(read(), 404, refusal("not_found")).goes(create("plain-1"), 201, version("v1", 1));
        tale
    }

    #[test]
    fn what_one_order_explains_passes() {
        let mut tale = created();
        let (slow, fast) = (tale.asks("a", 0, update("plain-2", Some("v1"))), tale.asks("a", 1, read()));
        tale.told(slow, 200, version("v2", 2)).told(fast, 200, value("v1", 1, "plain-1"));
        tale.goes(update("plain-3", Some("v1")), 412, refusal("version_mismatch"));
        tale.goes(update("plain-4", None), 202, version("p", None)).goes(
            read(),
            200,
            value("p", None, "plain-4"),
        );
        tale.passes(check);
    }

    #[test]
    fn a_retry_is_told_of_what_its_first_try_did() {
        let mut tale = created();
        let (lost, key) = (update("plain-2", None), Some("k"));
        tale.retries("a", 0, lost.clone(), key);
        tale.goes(read(), 200, value("v2", 2, "plain-2"));
        let again = tale.retries("a", 1, lost, key);
        tale.told(again, 200, version("v2", 2)).passes(check);
    }

    #[test]
    fn another_request_under_the_key_is_no_earlier_try() {
        let mut tale = created();
        let key = Some("k");
        let refused = tale.retries("a", 0, update("plain-2", Some("v0")), key);
        tale.told(refused, 412, refusal("version_mismatch")).goes(read(), 200, value("v2", 2, "plain-3"));
        let other = tale.retries("a", 1, update("plain-3", None), key);
        tale.told(other, 200, version("v2", 2)).fires(check, "and not yet when op 4");
    }

    #[test]
    fn a_confirmed_read_of_what_was_replaced_is_seen() {
        let mut tale = created();
        tale.goes(update("plain-2", None), 200, version("v2", 2)).goes(
            read(),
            200,
            value("v1", 1, "plain-1"),
        );
        tale.fires(check, "version 2 of a/n was agreed when op 2");
    }

    #[test]
    fn a_miss_of_what_a_later_version_was_shown_of_is_seen() {
        let mut tale = created();
        tale.goes(read(), 404, refusal("not_found")).fires(check, "and not yet when op 2");
    }

    #[test]
    fn a_name_that_is_taken_before_it_is_created_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 409, refusal("secret_exists"));
        tale.goes(create("plain-2"), 201, version("v1", 1))
            .fires(check, "version 1 of a/n was agreed when op 0");
    }

    #[test]
    fn a_condition_that_was_not_met_and_passed_is_seen() {
        let mut tale = created();
        tale.goes(update("plain-2", Some("v1")), 200, version("v2", 2));
        tale.goes(update("plain-3", Some("v1")), 200, version("v3", 3)).fires(check, "and was to make 2");
    }

    #[test]
    fn a_condition_that_was_met_and_refused_is_seen() {
        let mut tale = created();
        tale.goes(update("plain-2", Some("v1")), 412, refusal("version_mismatch"));
        tale.fires(check, "version 1 of a/n is not the last one, which it was all the while");
    }

    #[test]
    fn a_version_that_was_shown_and_is_gone_everywhere_is_seen() {
        let mut tale = created();
        tale.asks("a", 1, update("plain-2", None));
        tale.goes(read(), 200, value("v2", 2, "plain-2"));
        tale.ends_readable().keeps(&[("v1", "plain-1"), ("v2", "plain-2")]).passes(check);
        tale.keeps(&[("v1", "plain-1")])
            .fires(check, "op 3 (client 0 for a at node 0) was told of version 2");
    }

    #[test]
    fn a_name_that_was_said_to_be_taken_and_never_came_to_be_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 409, refusal("secret_exists")).ends_readable();
        tale.fires(check, "version 1 of a/n, and node 2 has none of that number in the end");
    }
}
