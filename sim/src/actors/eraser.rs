//! Marks versions deleted, brings them back, and erases old ones for good, by the numbers that a history shows.

use serde_json::Value;

use crate::{desk::Desk, story::Ask};

/// Marks the current version deleted, and looks at times whether that holds.
pub async fn delete(desk: &mut Desk) {
    let name = desk.name();
    desk.ask(Ask::Delete { name: name.clone() }).await;
    if desk.chance.percent(50) {
        let quorum = desk.chance.percent(50);
        desk.ask(Ask::Read { name, version: None, quorum, owner: None }).await;
    }
}

/// Brings a current version back.
pub async fn undelete(desk: &mut Desk) {
    let name = desk.name();
    desk.ask(Ask::Undelete { name }).await;
}

/// Erases one or two versions that the history shows, and looks at times whether one comes back.
pub async fn destroy(desk: &mut Desk) {
    let Some((name, versions)) = old_ones(desk).await else { return };
    let version = Some(versions[0].to_string());
    desk.ask(Ask::Destroy { name: name.clone(), versions }).await;
    if desk.chance.percent(50) {
        desk.ask(Ask::Read { name, version, quorum: false, owner: None }).await;
    }
}

/// A name with one or two of its versions, as its history shows them; none if there are too few.
pub async fn old_ones(desk: &mut Desk) -> Option<(String, Vec<u64>)> {
    let name = desk.name();
    let told = desk.ask(Ask::History { name: name.clone() }).await;
    let mut numbers = numbers(told.body());
    // The last one, which comes first, goes seldom, so that names stay readable.
    if desk.chance.percent(85) && !numbers.is_empty() {
        numbers.remove(0);
    }
    if numbers.is_empty() {
        return None;
    }
    let count = desk.chance.between(1, 2) as usize;
    Some((name, desk.chance.some_of(numbers.len(), count).into_iter().map(|at| numbers[at]).collect()))
}

/// The numbers of agreed versions of a history, newest first.
fn numbers(history: &Value) -> Vec<u64> {
    let versions = history["versions"].as_array().map_or(&[][..], Vec::as_slice);
    versions.iter().filter_map(|version| version["number"].as_u64()).collect()
}
