//! Asks with an idempotency key, of one node after another, until there is an answer; at times once more after that,
//! which must tell the same, or with another request, which must be refused.

use super::{eraser, labeller, rotator, tokenizer};
use crate::{
    desk::Desk,
    story::{Ask, Told},
};

const TRIES: usize = 3;

/// Creates or updates something, whatever it takes.
pub async fn retry(desk: &mut Desk) {
    let ask = ask(desk);
    whatever_it_takes(desk, ask).await;
}

/// The same with anything else that takes a key.
pub async fn insist_on_anything(desk: &mut Desk) {
    if let Some(ask) = anything_else(desk).await {
        whatever_it_takes(desk, ask).await;
    }
}

/// Asks until there is an answer, and then once more at times; or two nodes at once.
async fn whatever_it_takes(desk: &mut Desk, ask: Ask) {
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

/// A change of labels or delete marks, a destroy, a write with a condition, tokens, or epochs; none if there is nothing
/// to make it of.
async fn anything_else(desk: &mut Desk) -> Option<Ask> {
    Some(match desk.chance.below(10) {
        0..2 => labeller::change(desk),
        2 => Ask::Delete { name: desk.name() },
        3 => Ask::Undelete { name: desk.name() },
        4 => {
            let (name, versions) = eraser::old_ones(desk).await?;
            Ask::Destroy { name, versions }
        }
        5..7 => {
            let name = desk.name();
            let expect = Some(desk.seen.get(&name)?.clone());
            Ask::Update { name, value: desk.value(), expect, agreed: false }
        }
        7 => tokenizer::few(desk),
        8 => rotator::next(desk).await?,
        _ => rotator::old(desk).await?,
    })
}
