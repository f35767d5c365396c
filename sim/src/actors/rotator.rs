//! Looks which epoch of the caller is active, activates the next on the condition that it is still so, and seldom
//! destroys an old one. Clients of one caller race.

use crate::{desk::Desk, story::Ask};

/// Looks.
pub async fn look(desk: &mut Desk) {
    desk.ask(Ask::Epochs).await;
}

/// Activates the one after the one that was seen last.
pub async fn activate(desk: &mut Desk) {
    if let Some(ask) = next(desk).await {
        desk.ask(ask).await;
    }
}

/// The activation of the one after the one that was seen last.
pub async fn next(desk: &mut Desk) -> Option<Ask> {
    if desk.epoch.is_none() || desk.chance.percent(50) {
        look(desk).await;
    }
    desk.epoch.map(|after| Ask::Activate { epoch: after + 1, after })
}

/// Destroys an old one, or tries it with the active one, which must be refused.
pub async fn destroy(desk: &mut Desk) {
    if let Some(ask) = old(desk).await {
        desk.ask(ask).await;
    }
}

/// The end of one of the last.
pub async fn old(desk: &mut Desk) -> Option<Ask> {
    if desk.epoch.is_none() {
        look(desk).await;
    }
    let active = desk.epoch?;
    Some(Ask::DestroyEpoch { epoch: desk.chance.between(active.saturating_sub(3).max(1), active) })
}
