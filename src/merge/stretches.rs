//! Where in the store the secrets of an index stand: not each of them, but in which stretch of some that stand side by
//! side. The path of every secret took three times the memory of what an index else has.
//! Knows nothing of items, and of the disk only in which order secrets stand there.

use covault_model::name::SecretPath;

/// Secrets that a stretch is made of.
const LEN: u32 = 16;
/// A stretch of more than so many is to be cut.
const LEN_MAX: u32 = 2 * LEN;

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

/// A stretch that is being cut, into pieces of [`LEN`].
pub struct Cut {
    /// Its number.
    pub of: u32,
    /// The number of the last piece.
    piece: u32,
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
            // It is before the first stretch. Pieces that are cut off it are to come after what stays in it.
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

    /// Begins to cut a stretch that has become too long, if there is one.
    pub fn begin_cut(&mut self) -> Option<Cut> {
        let of = self.long.pop()?;
        self.all[of as usize].len = 0;
        Some(Cut { of, piece: of })
    }

    /// Counts the next secret of a stretch that is being cut; gives the number of the piece that it is in.
    pub fn cut(&mut self, cut: &mut Cut, path: SecretPath) -> u32 {
        if self.all[cut.piece as usize].len < LEN {
            return self.count(cut.piece);
        }
        cut.piece = self.begin(path);
        cut.piece
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
