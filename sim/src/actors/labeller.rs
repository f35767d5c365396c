//! Sets labels and takes them away, on few keys so that clients and nodes race for the same ones, and at times on
//! different ones at once, which must not undo each other. Labels are no secrets: their texts are none of the values.

use std::collections::BTreeMap;

use crate::{desk::Desk, story::Ask};

const KEYS: [&str; 4] = ["env", "owner", "stage", "team"];

/// Changes one label or two.
pub async fn label(desk: &mut Desk) {
    let ask = change(desk);
    desk.ask(ask).await;
}

/// A change of one label or two.
pub fn change(desk: &mut Desk) -> Ask {
    let name = desk.name();
    let mut labels = BTreeMap::new();
    for _ in 0..desk.chance.between(1, 2) {
        let key = *desk.chance.one(&KEYS);
        let text = desk.chance.percent(70).then(|| desk.remark());
        labels.insert(key.to_owned(), text);
    }
    Ask::Label { name, labels }
}
