//! Tries what is another caller's: its names, to read and to write, and its tokens. Whoever has no grant is to learn
//! nothing, not even whether there is something.

use std::collections::BTreeMap;

use crate::{desk::Desk, story::Ask};

/// Tries one thing or another.
pub async fn trespass(desk: &mut Desk) {
    if desk.chance.percent(25)
        && let Some(token) = desk.foreign_token()
    {
        // Among own ones: nothing of these may come back either.
        let tokens = desk.tokens.keys().next().cloned().into_iter().chain([token]).collect();
        desk.ask(Ask::Detokenize { tokens }).await;
        return;
    }
    let owner = desk.another_caller();
    let ask = if desk.chance.percent(50) {
        let (name, quorum) = (desk.name(), desk.chance.percent(50));
        let version = desk.chance.percent(20).then(|| "1".to_owned());
        Ask::Read { name, version, quorum, owner: Some(owner) }
    } else {
        Ask::Of { owner, ask: Box::new(attempt(desk)) }
    };
    desk.ask(ask).await;
}

/// Anything else that one may try with another's names.
fn attempt(desk: &mut Desk) -> Ask {
    let name = desk.name();
    match desk.chance.below(9) {
        0 => Ask::Create { name: desk.free_name(6), value: desk.value() },
        1 => Ask::Update { name, value: desk.value(), expect: None, agreed: desk.chance.percent(50) },
        2 => Ask::Label { name, labels: BTreeMap::from([("env".to_owned(), Some(desk.remark()))]) },
        3 => Ask::Delete { name },
        4 => Ask::Undelete { name },
        5 => Ask::Destroy { name, versions: vec![1] },
        6 => Ask::History { name },
        7 => Ask::Expand { names: vec![name] },
        _ => Ask::List,
    }
}
