//! Known bugs that can be put into a running vault, so that the simulator can show that it finds them. They are there
//! in builds with the feature `mutants` only, which no build of the program has; there too none is on unless it was
//! turned on. Without the feature every question is answered by the compiler, with no.

macro_rules! mutants {
    ($($mutant:ident $name:literal $says:literal,)*) => {
        /// A known bug.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Mutant {
            $(#[doc = $says] $mutant,)*
        }

        impl Mutant {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$mutant,)*];

            /// What it is called on a command line.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$mutant => $name,)*
                }
            }

            /// What is wrong with a vault that has it.
            pub const fn says(self) -> &'static str {
                match self {
                    $(Self::$mutant => $says,)*
                }
            }
        }
    };
}

mutants! {
    MajorityOfOne "majority-of-one" "A peer that cannot be reached is counted as one that has the entry.",
    UnsyncedLog "unsynced-log" "An entry is taken to be on the disk before it is synced.",
    ForgottenVote "forgotten-vote" "A vote is not written to the disk.",
    CreateTwice "create-twice" "A create of a name that exists is carried out.",
    AnyCondition "any-condition" "An update is carried out whatever version it was to follow.",
    OutOfOrder "out-of-order" "A version is agreed although a later one was.",
    ForgottenKey "forgotten-key" "A request that comes again with its idempotency key is carried out again.",
    HalfOfMany "half-of-many" "Of many names those that are free are made, although others are taken.",
    DestroyedStays "destroyed-stays" "A destroyed payload is not erased.",
    OpenHistory "open-history" "The history of a secret is shown to whoever asks.",
    LostMarks "lost-marks" "Marks that other nodes made are dropped.",
    StaleMiss "stale-miss" "A miss, and a read that is to be confirmed, is answered from what this node has.",
    EarlyToken "early-token" "Mappings are said to be on a majority's disks that are on one.",
    SharedTokens "shared-tokens" "Tokens do not depend on whose they are.",
    UnconditionalEpoch "unconditional-epoch" "An epoch is activated again and again without a look at the active one.",
    StaleView "stale-view" "Labels are not put into the view.",
    ForgedRecords "forged-records" "Records count whoever signed them.",
    BlindMiss "blind-miss" "A token is said not to be there by a node that holds it to be from the future.",
}

#[cfg(feature = "mutants")]
mod on {
    use core::sync::atomic::{AtomicUsize, Ordering};

    use super::Mutant;

    /// The one that is on, as its place; none beyond the last.
    static ON: AtomicUsize = AtomicUsize::new(usize::MAX);

    impl Mutant {
        /// Turns it on, in place of another.
        pub fn turn_on(self) {
            ON.store(self as usize, Ordering::Relaxed);
        }

        /// Whether it is on.
        pub fn is_on(self) -> bool {
            ON.load(Ordering::Relaxed) == self as usize
        }
    }
}

#[cfg(not(feature = "mutants"))]
impl Mutant {
    /// It is not.
    pub const fn is_on(self) -> bool {
        false
    }
}
