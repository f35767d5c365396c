//! Which region is asked, and which when it does not answer. Knows nothing of what is asked.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use url::Url;

use crate::{
    providers::address,
    types::{ProviderError, SecretsError},
};

/// So long another region stands in before the first is tried again, by one request.
const STAND_IN: Duration = Duration::from_secs(60);

/// A region and where it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) name: String,
    pub(super) url: Url,
}

/// The regions that hold the secrets, the first before its replicas.
#[derive(Debug)]
pub(super) struct Regions {
    first: Region,
    others: Vec<Region>,
    answering: Mutex<Answering>,
}

/// Who answered last, and since when it has been asked before the others.
#[derive(Debug, Clone, Copy)]
struct Answering {
    index: usize,
    since: Instant,
}

impl Regions {
    pub(super) fn new(first: Region, others: Vec<Region>) -> Self {
        Self { first, others, answering: Mutex::new(Answering { index: 0, since: Instant::now() }) }
    }

    pub(super) fn first(&self) -> &Region {
        &self.first
    }

    /// The region of this name.
    pub(super) fn named(&self, name: &str) -> Option<&Region> {
        self.all().find(|region| region.name == name)
    }

    /// The names of all, in the configuration's order.
    pub(super) fn names(&self) -> Vec<String> {
        self.all().map(|region| region.name.clone()).collect()
    }

    /// Where they are asked, in the configuration's order.
    pub(super) fn place(&self) -> String {
        let addresses: Vec<_> = self.all().map(|region| address(&region.url)).collect();
        addresses.join(" ")
    }

    /// All of them, in the order in which they are to be asked now.
    pub(super) fn order(&self) -> Vec<&Region> {
        let mut answering = self.answering();
        let mut order: Vec<&Region> = self.all().collect();
        if answering.index > 0 && STAND_IN <= answering.since.elapsed() {
            answering.since = Instant::now();
        } else {
            let answers = order.remove(answering.index);
            order.insert(0, answers);
        }
        order
    }

    /// Asks `region` before the others from now on.
    pub(super) fn remember(&self, region: &Region) {
        let mut answering = self.answering();
        let index = self.all().position(|known| known == region).unwrap_or(0);
        if index != answering.index {
            tracing::warn!(region = region.name, "another region of AWS answers");
            *answering = Answering { index, since: Instant::now() };
        }
    }

    fn all(&self) -> impl Iterator<Item = &Region> {
        std::iter::once(&self.first).chain(&self.others)
    }

    fn answering(&self) -> MutexGuard<'_, Answering> {
        self.answering.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether another region may do better: nothing came back, or the region is not available. What a region refuses,
/// another is not asked for.
pub(super) fn is_away(error: &SecretsError) -> bool {
    matches!(
        error,
        SecretsError::Network(_) | SecretsError::Provider(ProviderError::ProviderUnavailable { .. })
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions() -> Regions {
        let region = |name: &str| Region {
            name: name.into(),
            url: Url::parse(&format!("https://{name}.example/")).unwrap(),
        };
        Regions::new(region("one"), vec![region("two"), region("three")])
    }

    fn order(regions: &Regions) -> Vec<String> {
        regions.order().into_iter().map(|region| region.name.clone()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_answered_is_asked_first_and_the_first_again_after_a_minute_by_one_request() {
        let regions = regions();
        assert_eq!(order(&regions), ["one", "two", "three"]);
        regions.remember(regions.named("two").unwrap());
        assert_eq!(order(&regions), ["two", "one", "three"]);
        tokio::time::advance(STAND_IN).await;
        assert_eq!(order(&regions), ["one", "two", "three"]);
        assert_eq!(order(&regions), ["two", "one", "three"], "a second request took the risk as well");
        regions.remember(regions.first());
        assert_eq!(order(&regions), ["one", "two", "three"]);
    }
}
