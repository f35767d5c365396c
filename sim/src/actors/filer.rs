//! Encrypts `.env` files, each a few names at once out of those that are free, so that files race each other and single
//! creates, and expands files that refer to what was made.

use std::collections::BTreeMap;

use crate::{actors::retrier, desk::Desk, story::Ask};

/// Encrypts a file; half of the time until there is an answer. What was made is asked for at times, on another node.
pub async fn encrypt(desk: &mut Desk) {
    let mut values = BTreeMap::new();
    for _ in 0..desk.chance.between(3, 10) {
        values.insert(desk.free_name(12), desk.value());
    }
    let names = values.keys().cloned().collect();
    let ask = Ask::Encrypt { values };
    let told = if desk.chance.percent(50) { retrier::insist(desk, ask).await } else { desk.ask(ask).await };
    if told.is_done() && desk.chance.percent(50) {
        desk.ask(Ask::Expand { names }).await;
    }
}

/// Expands a file that refers to names which were seen, and at times to one that may not be there.
pub async fn expand(desk: &mut Desk) {
    let seen: Vec<String> = desk.seen.keys().cloned().collect();
    let count = desk.chance.between(1, 4) as usize;
    let picked = desk.chance.some_of(seen.len(), count.min(seen.len()));
    let mut names: Vec<String> = picked.into_iter().map(|at| seen[at].clone()).collect();
    if names.is_empty() || desk.chance.percent(15) {
        names.push(desk.name());
    }
    names.sort_unstable();
    names.dedup();
    desk.ask(Ask::Expand { names }).await;
}
