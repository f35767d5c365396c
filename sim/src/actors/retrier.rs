//! Asks with an idempotency key, of one node after another, until there is an answer; at times once more after that,
//! which must tell the same, or with another request, which must be refused.

use crate::{
    desk::Desk,
    story::{Ask, Told},
};

const TRIES: usize = 3;

/// Creates or updates something, whatever it takes; at times by asking two nodes at once.
pub async fn retry(desk: &mut Desk) {
    let ask = ask(desk);
    let key = desk.key();
    if desk.chance.percent(20) {
        let nodes = [desk.any_node(), desk.any_node()];
        let asks = nodes.map(|node| (node, ask.clone(), Some(key.clone())));
        desk.ask_at_once(asks.to_vec()).await;
        return;
    }
    let told = insist_with(desk, ask.clone(), &key).await;
    if !told.is_done() {
        return;
    }
    match desk.chance.below(10) {
        0..4 => again(desk, ask, key).await,
        4 => {
            let other = self::ask(desk);
            again(desk, other, key).await;
        }
        _ => {}
    }
}

/// Asks until there is an answer that is not for now, or often enough. Gives the last.
pub async fn insist(desk: &mut Desk, ask: Ask) -> Told {
    let key = desk.key();
    insist_with(desk, ask, &key).await
}

async fn insist_with(desk: &mut Desk, ask: Ask, key: &str) -> Told {
    let mut told = Told::Unreached;
    for _ in 0..TRIES {
        let node = desk.any_node();
        told = desk.ask_node(node, ask.clone(), Some(key.to_owned())).await;
        if told.status().is_some_and(|status| status != 503) {
            break;
        }
        desk.think().await;
    }
    told
}

async fn again(desk: &mut Desk, ask: Ask, key: String) {
    let node = desk.any_node();
    desk.ask_node(node, ask, Some(key)).await;
}

fn ask(desk: &mut Desk) -> Ask {
    let value = desk.value();
    if desk.chance.percent(40) {
        Ask::Create { name: desk.free_name(3), value }
    } else {
        Ask::Update { name: desk.name(), value, expect: None, agreed: desk.chance.percent(30) }
    }
}
