//! Where in the store the secrets of an index stand: not each of them, but in which stretch of some that stand side by
//! side. The path of every secret took three times the memory of what an index else has.
//! Knows nothing of items, and of the disk only in which order secrets stand there.

use std::mem;

use covault_model::name::SecretPath;

/// Secrets that a stretch is made of.
pub const LEN: u32 = 16;
/// A stretch of more than so many is to be cut.
const LEN_MAX: u32 = 4 * LEN;

/// Stretches side by side, so that every secret there may be is in one.
#[derive(Default)]
pub struct Stretches {
    /// By number.
    all: Vec<Stretch>,
    /// Their numbers, in the order of the secrets.
    rising: Vec<u32>,
    /// The numbers of those that are to be cut.
    long: Vec<u32>,
}

struct Stretch {
    /// It begins here and goes on to where the next one begins; what comes before the first will be in it, too.
    first: SecretPath,
    /// How many secrets of the index it has.
    len: u32,
}

/// The secrets from one on, or from the first, and before another, or to the last.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The first one.
    pub from: Option<SecretPath>,
    /// The first one that is not among them.
    pub until: Option<SecretPath>,
}

impl Stretches {
    /// Counts a secret that comes after all that were counted; gives the number of its stretch.
    pub fn append(&mut self, path: &SecretPath) -> u32 {
        match self.rising.last() {
            Some(last) if self.all[*last as usize].len < LEN => self.count(*last),
            _ => self.begin(path.clone()),
        }
    }

    /// Counts a secret; gives the number of its stretch.
    pub fn insert(&mut self, path: &SecretPath) -> u32 {
        let Some(number) = self.rising.get(self.rank_after(path).saturating_sub(1)).copied() else {
            return self.begin(path.clone());
        };
        let stretch = &mut self.all[number as usize];
        if *path < stretch.first {
            // It is before the first stretch.
            stretch.first = path.clone();
        }
        self.count(number)
    }

    /// Where a stretch lies.
    pub fn span(&self, number: u32) -> Span {
        let first = |number: &u32| self.all[*number as usize].first.clone();
        let after = self.rank_after(&self.all[number as usize].first);
        Span { from: (1 < after).then(|| first(&number)), until: self.rising.get(after).map(first) }
    }

    /// The number of one that is to be cut, if there is one, and where its secrets are. It is not told again before
    /// [`Self::was_cut`].
    pub fn long(&mut self) -> Option<(u32, Span)> {
        let number = self.long.pop()?;
        // What is before the first stretch and not counted yet may be much.
        let from = Some(self.all[number as usize].first.clone());
        Some((number, Span { from, ..self.span(number) }))
    }

    /// Cuts off the beginning of a stretch, which has [`LEN`] secrets; what stays begins with `rest`. Gives the number of
    /// the piece.
    pub fn cut_off(&mut self, of: u32, rest: SecretPath) -> u32 {
        let (piece, rank) = (self.all.len() as u32, self.rank_after(&self.all[of as usize].first) - 1);
        let stretch = &mut self.all[of as usize];
        stretch.len = stretch.len.saturating_sub(LEN);
        let first = mem::replace(&mut stretch.first, rest);
        self.all.push(Stretch { first, len: LEN });
        self.rising.insert(rank, piece);
        piece
    }

    /// No more is cut off a stretch now; it has so many secrets, if they were counted.
    pub fn was_cut(&mut self, of: u32, counted: Option<u32>) {
        let stretch = &mut self.all[of as usize];
        stretch.len = counted.unwrap_or(stretch.len);
        if LEN_MAX < stretch.len {
            self.long.push(of);
        }
    }

    fn count(&mut self, number: u32) -> u32 {
        let stretch = &mut self.all[number as usize];
        stretch.len += 1;
        if stretch.len == LEN_MAX + 1 {
            self.long.push(number);
        }
        number
    }

    fn begin(&mut self, first: SecretPath) -> u32 {
        let (number, rank) = (self.all.len() as u32, self.rank_after(&first));
        self.rising.insert(rank, number);
        self.all.push(Stretch { first, len: 1 });
        number
    }

    /// How many stretches begin at or before `path`.
    fn rank_after(&self, path: &SecretPath) -> usize {
        self.rising.partition_point(|number| self.all[*number as usize].first <= *path)
    }
}
