//! Questions that are on their way: all who ask the same meanwhile wait for one answer. Whoever came first asks; if he
//! goes away, the next one does. An answer to a question that has been invalidated meanwhile is nobody's but theirs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{OnceCell, Semaphore};

use super::CacheKey;

/// The questions on their way.
pub(crate) struct Flights<T>(Mutex<HashMap<CacheKey<'static>, Arc<Question<T>>>>);

/// One of them.
struct Question<T> {
    answer: OnceCell<T>,
    /// Whether it was asked anew, by one who may not have what was there before.
    is_anew: bool,
    /// Has nothing to give; closed when its store has failed once and is asked again.
    calm: Semaphore,
}

impl<T> Question<T> {
    fn new(is_anew: bool) -> Arc<Self> {
        Arc::new(Self { answer: OnceCell::new(), is_anew, calm: Semaphore::const_new(0) })
    }
}

impl<T: Clone> Flights<T> {
    pub fn new() -> Self {
        Self(Mutex::new(HashMap::new()))
    }

    /// Waits with the others who ask `key`, or is the first.
    pub fn join(&self, key: &CacheKey<'_>) -> Flight<'_, T> {
        let key = key.clone().into_owned();
        let question = self.running().entry(key.clone()).or_insert_with(|| Question::new(false)).clone();
        Flight { flights: self, key, question }
    }

    /// Asks `key` anew: an answer that is on its way already is not good enough for who asks from now on.
    pub fn begin(&self, key: &CacheKey<'_>) -> Flight<'_, T> {
        let key = key.clone().into_owned();
        let question = Question::new(true);
        self.running().insert(key.clone(), question.clone());
        Flight { flights: self, key, question }
    }

    /// Whether somebody asks `key` right now.
    pub fn is_running(&self, key: &CacheKey<'_>) -> bool {
        self.running().contains_key(&key.clone().into_owned())
    }

    /// Has the answers to `dropped` questions kept by nobody, and does `then` before another may land.
    pub fn cancel(&self, dropped: impl Fn(&CacheKey<'static>) -> bool, then: impl FnOnce()) {
        let mut running = self.running();
        running.retain(|key, _| !dropped(key));
        then();
    }

    fn running(&self) -> MutexGuard<'_, HashMap<CacheKey<'static>, Arc<Question<T>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits for an answer.
pub(crate) struct Flight<'a, T: Clone> {
    flights: &'a Flights<T>,
    key: CacheKey<'static>,
    question: Arc<Question<T>>,
}

impl<T: Clone> Flight<'_, T> {
    /// The answer: that of whoever asks already, or of `ask`.
    pub async fn answer(&self, ask: impl Future<Output = T>) -> T {
        self.question.answer.get_or_init(|| ask).await.clone()
    }

    /// Whether it is that of one who may not have what was there before.
    pub fn is_anew(&self) -> bool {
        self.question.is_anew
    }

    /// Says that the store has failed: who can do without its answer need not wait while it is asked again.
    pub fn trouble(&self) {
        self.question.calm.close();
    }

    /// Waits until the store has failed.
    pub async fn troubled(&self) {
        // It is given only by being closed, which is an error here.
        let _ = self.question.calm.acquire().await;
    }

    /// Ends the question. Does `keep` if nothing was invalidated since it began, and before anything is.
    pub fn land(&self, keep: impl FnOnce()) {
        self.land_and_cancel(
            |_| false,
            |still_good| {
                if still_good {
                    keep();
                }
            },
        );
    }

    /// Ends the question and has the answers to `dropped` questions kept by nobody, then does `then`, which is told
    /// whether nothing was invalidated since it began, and before anything is.
    pub fn land_and_cancel(&self, dropped: impl Fn(&CacheKey<'static>) -> bool, then: impl FnOnce(bool)) {
        let mut running = self.flights.running();
        let still_good = running.get(&self.key).is_some_and(|question| Arc::ptr_eq(question, &self.question));
        if still_good {
            running.remove(&self.key);
        }
        running.retain(|key, _| !dropped(key));
        then(still_good);
    }
}

impl<T: Clone> Drop for Flight<'_, T> {
    /// A question that all have gone away from is no longer on its way. It is let go of before another one looks how many
    /// are left.
    fn drop(&mut self) {
        let mut running = self.flights.running();
        let question = std::mem::replace(&mut self.question, Question::new(false));
        let mine = running.get(&self.key).is_some_and(|running| Arc::ptr_eq(running, &question));
        if mine && Arc::strong_count(&question) == 2 {
            running.remove(&self.key);
        }
        drop(question);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::ProviderType;

    #[test]
    fn a_question_that_all_have_gone_away_from_is_no_longer_on_its_way() {
        let flights = Flights::<u8>::new();
        let key = CacheKey::current(ProviderType::Vault, "db");
        let both = (flights.join(&key), flights.join(&key));
        assert!(flights.is_running(&key));
        drop(both.0);
        assert!(flights.is_running(&key));
        drop(both.1);
        assert!(!flights.is_running(&key));
    }

    #[test]
    fn who_goes_away_from_an_older_question_leaves_the_newer_one_on_its_way() {
        let flights = Flights::<u8>::new();
        let key = CacheKey::current(ProviderType::Vault, "db");
        let (older, newer) = (flights.join(&key), flights.begin(&key));
        drop(older);
        assert!(flights.is_running(&key));
        let mut kept = false;
        newer.land(|| kept = true);
        assert!(kept && !flights.is_running(&key));
    }
}
