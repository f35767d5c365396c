//! Reads: the current value from one node or confirmed by a majority, an old version by number or id, the history, the
//! list, and names that nobody may have made.

use crate::{desk::Desk, story::Ask};

/// Reads something. What was not agreed when it was written is looked after.
pub async fn read(desk: &mut Desk) {
    if desk.chance.percent(30)
        && let Some(name) = desk.unsettled.pop_first()
    {
        desk.ask(Ask::History { name }).await;
        return;
    }
    let name = desk.name();
    let of = |name, version, quorum| Ask::Read { name, version, quorum, owner: None };
    let ask = match desk.chance.below(12) {
        0..4 => of(name, None, false),
        4..7 => of(name, None, true),
        7 => of(name, Some(desk.chance.between(1, 4).to_string()), false),
        8 => of(name.clone(), desk.seen.get(&name).cloned(), false),
        9 => of(desk.free_name(6), None, desk.chance.percent(50)),
        10 => Ask::History { name },
        _ => Ask::List,
    };
    desk.ask(ask).await;
}
