//! Rotations that were asked for and of which nobody knows what came: the store has to be asked again with the same token, so
//! that a secret is not rotated twice. Knows nothing of how it is asked.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use uuid::Uuid;

/// So long a token is kept whose rotation has no answer. Who asks later wants another rotation.
const KEPT: Duration = Duration::from_secs(600);

/// Tokens without an answer, by the path of what is rotated, and when they were made.
#[derive(Debug, Default)]
pub(super) struct Rotations(Mutex<HashMap<String, (Uuid, Instant)>>);

impl Rotations {
    /// The token to ask with: that of the rotation without an answer, or else a new one.
    pub(super) fn token(&self, path: &str) -> Uuid {
        let now = Instant::now();
        let mut unanswered = self.unanswered();
        unanswered.retain(|_, (_, made)| now.duration_since(*made) < KEPT);
        unanswered.entry(path.to_owned()).or_insert_with(|| (Uuid::new_v4(), now)).0
    }

    /// Takes note that the rotation with this token has its answer.
    pub(super) fn answered(&self, path: &str, token: Uuid) {
        let mut unanswered = self.unanswered();
        if unanswered.get(path).is_some_and(|(kept, _)| *kept == token) {
            unanswered.remove(path);
        }
    }

    fn unanswered(&self) -> MutexGuard<'_, HashMap<String, (Uuid, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_for_its_secret_until_there_is_an_answer_or_nobody_waits_for_one() {
        let rotations = Rotations::default();
        let one = rotations.token("db");
        assert_eq!(rotations.token("db"), one);
        assert_ne!(rotations.token("other"), one);
        rotations.answered("db", one);
        let two = rotations.token("db");
        assert_ne!(two, one);
        rotations.answered("db", one);
        assert_eq!(rotations.token("db"), two, "an answer to another does not end it");
        advance(KEPT).await;
        assert_ne!(rotations.token("db"), two);
    }
}
