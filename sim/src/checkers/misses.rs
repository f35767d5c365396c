//! R1, X6 (docs/invariants.md): "not found" is always true. Who asks for a name after its create was acknowledged, or for a
//! version after it was shown to be agreed, is not told that there is none. Of a file that was encrypted one secret that
//! is shown says that all are there (E6).

use std::collections::BTreeMap;

use super::{
    Violation, named, shown_by,
    testimony::{path_of, seen, writes},
};
use crate::story::{Ask, Operation, Story};

/// When a version was shown first, and in which answer.
type Shown<'a> = BTreeMap<(String, u64), (u64, Operation<'a>)>;

/// Looks for misses of what was there.
pub fn check(story: &Story) -> Vec<Violation> {
    let operations = story.operations();
    let shown = shown(&operations);
    let missed = operations.iter().filter(|operation| operation.told.code() == Some("not_found"));
    missed.filter_map(|operation| contradicted(operation, &shown)).collect()
}

fn shown<'a>(operations: &[Operation<'a>]) -> Shown<'a> {
    let mut shown = Shown::new();
    let mut show = |path: String, number, by: Operation<'a>| {
        let first = shown.entry((path, number)).or_insert((by.told_us, by));
        if by.told_us < first.0 {
            *first = (by.told_us, by);
        }
    };
    let writes = writes(operations);
    for seen in seen(operations) {
        // A number is that of everything before it, too.
        (1..=seen.number.unwrap_or(0)).for_each(|number| show(seen.path(), number, seen.by));
        // What a file made is there altogether, or nothing of it.
        if let Some(write) = seen.value.and_then(|value| writes.get(value))
            && let Ask::Encrypt { values } = write.ask()
        {
            values.keys().for_each(|name| show(format!("{}/{name}", seen.owner), 1, seen.by));
        }
    }
    for operation in operations.iter().filter(|operation| operation.told.is_done()) {
        if let Ask::Encrypt { values } = &operation.asked.ask {
            values.keys().for_each(|name| show(format!("{}/{name}", operation.asked.caller), 1, *operation));
        }
    }
    shown
}

fn contradicted(operation: &Operation<'_>, shown: &Shown<'_>) -> Option<Violation> {
    let asked = operation.asked;
    if matches!(&asked.ask, Ask::Read { owner: Some(owner), .. } if *owner != asked.caller) {
        // Another's secret is a miss for whoever may not see it.
        return None;
    }
    let number = match &asked.ask {
        Ask::Read { version: Some(version), .. } => version.parse().ok()?,
        Ask::Destroy { versions, .. } => *versions.iter().min()?,
        _ => 1,
    };
    let path = path_of(asked)?;
    let (told_us, by) = shown.get(&(path.clone(), number))?;
    (*told_us < operation.asked_us).then(|| {
        let says = format!(
            "{} was told that there is no version {number} of {path}, which {} had shown before it was asked",
            named(operation),
            named(by),
        );
        shown_by("R1", operation, says)
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::tale::{Tale, create, encrypt, read, refusal, value, version},
        check,
    };
    use crate::story::Ask;

    #[test]
    fn a_miss_before_the_create_was_told_passes() {
        let mut tale = Tale::of(3);
        let created = tale.asks("a", 0, create("plain-1"));
        let early = tale.asks("a", 1, read());
        tale.told(created, 201, version("v1", 1)).told(early, 404, refusal("not_found"));
        tale.goes(read(), 503, refusal("unconfirmed")).passes(check);
    }

    #[test]
    fn a_miss_of_what_was_acknowledged_is_seen() {
        let mut tale = Tale::of(3);
        tale.goes(create("plain-1"), 201, version("v1", 1)).goes(read(), 404, refusal("not_found"));
        tale.fires(check, "there is no version 1 of a/n, which op 0");
    }

    #[test]
    fn a_miss_of_a_number_that_was_shown_is_seen() {
        let mut tale = Tale::of(3);
        let read = Ask::Read { name: "n".into(), version: Some("2".into()), quorum: false, owner: None };
        tale.goes(create("plain-1"), 201, version("v1", 3)).goes(read, 404, refusal("not_found"));
        tale.fires(check, "there is no version 2 of a/n");
    }

    #[test]
    fn a_miss_of_a_part_of_a_file_of_which_another_part_was_shown_is_seen() {
        let mut tale = Tale::of(3);
        tale.asks("a", 0, encrypt(&[("n", "plain-1"), ("m", "plain-2")]));
        tale.goes(read(), 200, value("v1", 1, "plain-1"));
        let read = Ask::Read { name: "m".into(), version: None, quorum: false, owner: None };
        tale.goes(read, 404, refusal("not_found"));
        tale.fires(check, "there is no version 1 of a/m, which op 1");
    }
}
