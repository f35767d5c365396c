//! Looks which epoch of the caller is active, activates the next on the condition that it is still so, and seldom
//! destroys an old one. Clients of one caller race.

use crate::{desk::Desk, story::Ask};

/// Looks.
pub async fn look(desk: &mut Desk) {
    desk.ask(Ask::Epochs).await;
}

/// Activates the one after the one that was seen last.
pub async fn activate(desk: &mut Desk) {
    if desk.epoch.is_none() || desk.chance.percent(50) {
        look(desk).await;
    }
    if let Some(after) = desk.epoch {
        desk.ask(Ask::Activate { epoch: after + 1, after }).await;
    }
}

/// Destroys an old one, or tries it with the active one, which must be refused.
pub async fn destroy(desk: &mut Desk) {
    if desk.epoch.is_none() {
        look(desk).await;
    }
    if let Some(active) = desk.epoch {
        let epoch = desk.chance.between(active.saturating_sub(3).max(1), active);
        desk.ask(Ask::DestroyEpoch { epoch }).await;
    }
}
