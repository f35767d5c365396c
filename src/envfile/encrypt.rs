//! A file with its `enc(…)` calls turned into secrets and references to them. The value of a name comes from
//! beside the file, from a plain line `NAME=value` in it, or from the call itself; from one of them only.
//! Keeps F3 (what stands in the way is told with its place, and then nothing is done) and S1: values are wiped, and have
//! no `Debug`.
//! Knows nothing of how secrets are made.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use covault_model::name::SecretName;
use zeroize::Zeroizing;

use super::{
    call::{Call, Reference},
    file::{Assignment, EnvFile},
    format::Format,
    mistake::{Mistake, Reason, Refused},
};

/// Values by the names of their secrets.
pub type Values = BTreeMap<SecretName, Zeroizing<String>>;

/// What encrypting a file comes to.
pub struct Encryption {
    /// The file with references in place of values.
    pub content: Zeroizing<String>,
    /// The secrets to be made, in the order in which the file asks for them.
    pub secrets: Vec<(SecretName, Zeroizing<String>)>,
}

/// A file in which every plain value is asked to be encrypted.
pub struct Sealable {
    /// The file with `enc(NAME)` in place of values.
    pub content: Zeroizing<String>,
    /// The values.
    pub values: Values,
}

/// A value that a file has for a name.
enum Given<'f> {
    /// In a plain line of this name.
    Line(&'f Assignment),
    /// In `enc(NAME=…)`.
    Inline(&'f Range<usize>),
}

/// What a file has for names; some have nothing.
type AllGiven<'f> = BTreeMap<&'f SecretName, Vec<Given<'f>>>;

impl EnvFile {
    /// The file with each `enc(NAME…)` as `secret(NAME)`, and what is to be stored under the names. `beside` has
    /// values that do not stand in the file.
    ///
    /// # Errors
    /// Names without a value, all of them; names with more than one; a value of `beside` that is not asked for; a
    /// plain line that cannot be read; what stands beside a call and could not be read when that is expanded.
    pub fn encrypt(&self, mut beside: Values) -> Result<Encryption, Refused> {
        let (names, given) = (self.names_to_encrypt(), self.given());
        let count =
            |name: &SecretName| given.get(name).map_or(0, Vec::len) + usize::from(beside.contains_key(name));
        let without: Vec<_> = self
            .enc_calls()
            .filter(|(_, name, _)| count(name) == 0)
            .map(|(place, name, _)| (place.start, name, Reason::NoValue))
            .collect();
        if !without.is_empty() {
            return Err(Refused::Unresolved(self.unresolved(without)));
        }
        let twice: Vec<_> = names.iter().filter(|name| 1 < count(name)).map(|name| (*name).clone()).collect();
        if !twice.is_empty() {
            return Err(Refused::Duplicate(twice));
        }
        let mut secrets = Vec::with_capacity(names.len());
        for name in &names {
            let value = match given.get(name).and_then(|given| given.first()) {
                Some(given) => self.given_value(given)?,
                None => beside.remove(*name).unwrap_or_default(),
            };
            secrets.push(((*name).clone(), value));
        }
        // To expand it again, what stands beside a reference has to be read.
        for assignment in self.written_in(Format::Dotenv) {
            self.value_of(assignment)?;
        }
        match beside.into_keys().next() {
            Some(name) => Err(Refused::Unused(name)),
            None => Ok(Encryption { content: self.with(&self.encrypted_places(&given)), secrets }),
        }
    }

    /// Asks for every plain value that is not empty to be encrypted, under `prefix` and its key. What stands in
    /// the file as `enc(…)` or `secret(…)` stays, and so does a line that gives an `enc(…)` its value: it is
    /// encrypted under the name which that has.
    ///
    /// # Errors
    /// A value that cannot be read, a key that is no name, one that comes twice.
    pub fn ask_for_all(&self, prefix: &str) -> Result<Sealable, Mistake> {
        let (mut places, mut values) = (Vec::new(), Values::new());
        let asked_for = self.names_to_encrypt();
        for assignment in self.assignments().iter().filter(|assignment| assignment.is_plain()) {
            let (at, key) = (assignment.key.start, &self.text()[assignment.key.clone()]);
            let value = self.value_of(assignment)?;
            if value.is_empty() || asked_for.iter().any(|name| name.as_str() == key) {
                continue;
            }
            let name = SecretName::parse(&format!("{prefix}{key}"))
                .map_err(|_| self.mistake(at, "The prefix and this key make no name of a secret."))?;
            places.push((assignment.content(), Zeroizing::new(format!("enc({name})"))));
            if values.insert(name, value).is_some() {
                return Err(self.mistake(at, "This key comes a second time."));
            }
        }
        Ok(Sealable { content: self.with(&places), values })
    }

    /// The references that must lead to a secret which is there already: all but those to what is made.
    pub fn references_beside<'f>(&'f self, made: &[(SecretName, Zeroizing<String>)]) -> Vec<&'f Reference> {
        let is_made = |reference: &&Reference| {
            reference.version.is_none() && made.iter().any(|(name, _)| *name == reference.name)
        };
        self.references().filter(|reference| !is_made(reference)).collect()
    }

    /// The `enc(…)` calls: place, name, and where the value is that they carry.
    fn enc_calls(&self) -> impl Iterator<Item = (&Range<usize>, &SecretName, Option<&Range<usize>>)> {
        self.assignments().iter().flat_map(Assignment::calls).filter_map(|(place, call)| match call {
            Call::Enc(name, value) => Some((place, name, value.as_ref())),
            Call::Secret(_) => None,
        })
    }

    /// Each name once, in the order of the file.
    fn names_to_encrypt(&self) -> Vec<&SecretName> {
        let mut seen = BTreeSet::new();
        self.enc_calls().map(|(_, name, _)| name).filter(|name| seen.insert(*name)).collect()
    }

    /// What the file itself gives for the names that it asks for.
    fn given(&self) -> AllGiven<'_> {
        let mut given = AllGiven::new();
        for (_, name, value) in self.enc_calls() {
            given.entry(name).or_default().extend(value.map(Given::Inline));
        }
        for assignment in self.assignments().iter().filter(|assignment| assignment.is_plain()) {
            let name = SecretName::parse(&self.text()[assignment.key.clone()]);
            if let Some(found) = name.ok().and_then(|name| given.get_mut(&name)) {
                found.push(Given::Line(assignment));
            }
        }
        given
    }

    fn given_value(&self, given: &Given<'_>) -> Result<Zeroizing<String>, Mistake> {
        match given {
            Given::Line(assignment) => self.value_of(assignment),
            Given::Inline(place) => Ok(Zeroizing::new(self.text()[(*place).clone()].replace("\\)", ")"))),
        }
    }

    /// Where references come, in the order of the file.
    fn encrypted_places(&self, given: &AllGiven<'_>) -> Vec<(Range<usize>, Zeroizing<String>)> {
        let reference = |name: &SecretName| Zeroizing::new(format!("secret({name})"));
        let calls = self.enc_calls().map(|(place, name, _)| (place.clone(), reference(name)));
        let lines = given.iter().flat_map(|(name, found)| {
            found.iter().filter_map(|given| match given {
                Given::Line(assignment) => Some((assignment.content(), reference(name))),
                Given::Inline(_) => None,
            })
        });
        let mut places: Vec<_> = calls.chain(lines).collect();
        places.sort_by_key(|(place, _)| place.start);
        places
    }
}
