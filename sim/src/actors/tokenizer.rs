//! Turns values of a small pool into tokens, the same ones on many nodes by many clients at once, and tokens back into
//! values: own ones, own ones of long ago, and texts that nobody was given.

use crate::{desk::Desk, story::Ask};

/// So many values there are. All callers use the same: their tokens must differ.
const POOL: usize = 24;

/// Tokenizes a few.
pub async fn tokenize(desk: &mut Desk) {
    let ask = few(desk);
    let told = desk.ask(ask).await;
    if told.is_done() && desk.chance.percent(30) {
        detokenize(desk).await;
    }
}

/// A few values to become tokens.
pub fn few(desk: &mut Desk) -> Ask {
    let count = desk.chance.between(1, 4) as usize;
    Ask::Tokenize { values: desk.chance.some_of(POOL, count).into_iter().map(value).collect() }
}

/// Detokenizes a few, with one that stands for nothing at times.
pub async fn detokenize(desk: &mut Desk) {
    let own: Vec<String> = desk.tokens.keys().cloned().collect();
    let count = desk.chance.between(1, 4) as usize;
    let mut tokens: Vec<String> =
        desk.chance.some_of(own.len(), count.min(own.len())).into_iter().map(|at| own[at].clone()).collect();
    if tokens.is_empty() || desk.chance.percent(15) {
        tokens.push(unknown(desk));
    }
    desk.ask(Ask::Detokenize { tokens }).await;
}

/// A text of the form of a token.
fn unknown(desk: &mut Desk) -> String {
    let mut bytes = [0; 16];
    desk.chance.fill(&mut bytes);
    let epoch = desk.epoch.unwrap_or(1);
    format!("tok_{epoch}_{:032x}", u128::from_le_bytes(bytes))
}

fn value(number: usize) -> String {
    format!("plain-card-{number:02}")
}
