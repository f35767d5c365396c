//! The rules of existence once more, in the plainest words: each secret is a list of places, each
//! idempotency key an answer. `small_worlds` holds `plan` against it, command by command.
//! Knows nothing of rows, writes or searches.

use std::collections::BTreeMap;

use covault_model::{
    command::{Action, Command, NewSecret, NewVersion},
    id::Digest,
    line::Place,
    name::{CallerName, SecretPath},
    record::Idempotency,
    refusal::{CallerMistake, NoAuthority, Refusal},
    registry::Outcome,
};

/// All that the log so far has agreed.
#[derive(Debug, Clone, Default)]
pub struct Oracle {
    histories: BTreeMap<SecretPath, Vec<Place>>,
    answers: BTreeMap<(CallerName, Digest), (Digest, Outcome)>,
}

impl Oracle {
    /// The agreed versions of a secret, the one with number 1 first; empty when the name is free.
    pub fn history(&self, secret: &SecretPath) -> &[Place] {
        self.histories.get(secret).map_or(&[], Vec::as_slice)
    }

    /// What the command must be answered.
    pub fn answer(&mut self, command: &Command) -> Result<Outcome, Refusal> {
        let Some(Idempotency(key, request)) = command.idempotency else {
            return self.act(&command.action);
        };
        let key = (command.by.clone(), key);
        match self.answers.get(&key) {
            Some((first, outcome)) if *first == request => Ok(outcome.clone()),
            Some(_) => Err(CallerMistake::IdempotencyConflict.into()),
            None => {
                let outcome = self.act(&command.action)?;
                self.answers.insert(key, (request, outcome.clone()));
                Ok(outcome)
            }
        }
    }

    fn act(&mut self, action: &Action) -> Result<Outcome, Refusal> {
        match action {
            Action::Create(secrets) => self.create(secrets),
            Action::Agree(new) => self.agree(new),
            Action::Destroy(secret, _) if self.history(secret).is_empty() => {
                Err(CallerMistake::NotFound.into())
            }
            Action::Destroy(..) => Ok(Outcome::Done),
            other => panic!("not a command about secrets: {other:?}"),
        }
    }

    fn create(&mut self, secrets: &[NewSecret]) -> Result<Outcome, Refusal> {
        let mut created = self.histories.clone();
        let (mut agreed, mut taken, mut named) = (Vec::new(), Vec::new(), Vec::new());
        for new in secrets {
            let before = self.histories.get(&new.path).and_then(|history| history.first());
            let history = created.entry(new.path.clone()).or_default();
            let first_time_here = !named.contains(&&new.path);
            named.push(&new.path);
            if first_time_here && before == Some(&new.version.place()) {
                agreed.push((new.version.place().id, 1));
            } else if history.is_empty() {
                history.push(new.version.place());
                agreed.push((new.version.place().id, 1));
            } else {
                taken.push(new.path.name.clone());
            }
        }
        if !taken.is_empty() {
            return Err(CallerMistake::SecretExists(taken).into());
        }
        self.histories = created;
        Ok(Outcome::Agreed(agreed))
    }

    fn agree(&mut self, new: &NewVersion) -> Result<Outcome, Refusal> {
        let place = new.version.place();
        let none = || Refusal::from(CallerMistake::NotFound);
        let history = self.histories.get_mut(&new.path).ok_or_else(none)?;
        let last = *history.last().ok_or_else(none)?;
        if let Some(at) = history.iter().position(|held| *held == place) {
            return Ok(Outcome::Agreed(vec![(place.id, at as u64 + 1)]));
        }
        if new.condition.as_ref().is_some_and(|condition| !condition.is_met_by(&last.id)) {
            return Err(CallerMistake::VersionMismatch.into());
        }
        if place.time <= last.time {
            return Err(NoAuthority::StaleTime.into());
        }
        history.push(place);
        Ok(Outcome::Agreed(vec![(place.id, history.len() as u64)]))
    }
}
