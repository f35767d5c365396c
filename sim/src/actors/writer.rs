//! Creates names that others create too, and writes new versions of them, with and without a condition, alone and in
//! flurries.

use crate::{desk::Desk, story::Ask};

/// Races for a name: mostly one that may be free, else one that is fought over all along.
pub async fn create(desk: &mut Desk) {
    let name = if desk.chance.percent(60) { desk.free_name(3) } else { desk.old_name() };
    let value = desk.value();
    desk.ask(Ask::Create { name, value }).await;
}

/// Writes whatever is there.
pub async fn update(desk: &mut Desk) {
    let (name, value, agreed) = (desk.name(), desk.value(), desk.chance.percent(30));
    desk.ask(Ask::Update { name, value, expect: None, agreed }).await;
}

/// Writes only if the name still has the version that was seen last.
pub async fn replace(desk: &mut Desk) {
    let name = desk.name();
    // What was seen long ago is another's by now: at times it looks again, and races those who do the same.
    if desk.chance.percent(30) || !desk.seen.contains_key(&name) {
        desk.ask(Ask::Read { name: name.clone(), version: None, quorum: true, owner: None }).await;
    }
    if let Some(expect) = desk.seen.get(&name).cloned() {
        let value = desk.value();
        desk.ask(Ask::Update { name, value, expect: Some(expect), agreed: false }).await;
    }
}

/// Writes several names at once through one node, some of them more than once: what one node has to order, and what it
/// has to keep if no majority answers.
pub async fn flurry(desk: &mut Desk) {
    let node = desk.any_node();
    let mut asks = Vec::new();
    for _ in 0..desk.chance.between(3, 8) {
        let ask = Ask::Update { name: desk.name(), value: desk.value(), expect: None, agreed: false };
        asks.push((node, ask, None));
    }
    desk.ask_at_once(asks).await;
}
