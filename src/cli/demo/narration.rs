//! What a demo tells: in plain words, or one JSON object per claim. A claim that does not hold ends the demo.
//! Knows nothing of what the claims are about.

use std::time::Duration;

use serde_json::json;

use crate::cli::{failure::Failure, output::Output};

/// What a look at a claim came to: what was seen, in a sentence, or why it does not hold.
pub type Seen = Result<String, Failure>;

/// The telling of one demo.
pub struct Narration<'a> {
    output: &'a Output,
    held: usize,
}

impl<'a> Narration<'a> {
    /// Begins to tell.
    pub fn new(output: &'a Output) -> Self {
        Self { output, held: 0 }
    }

    /// Says what is done next, after an empty line; only in words.
    pub fn say(&self, text: &str) -> Result<(), Failure> {
        if self.output.is_json() { Ok(()) } else { self.output.text(&format!("\n{text}")) }
    }

    /// Says whether a claim holds, and what was seen.
    ///
    /// # Errors
    /// When it does not.
    pub fn claim(&mut self, claim: &str, seen: Seen) -> Result<(), Failure> {
        let (holds, seen) = match seen {
            Ok(seen) => (true, seen),
            Err(Failure::Told(told)) => (false, format!("{} ({})", told.detail, told.code)),
            Err(gone) => return Err(gone),
        };
        let object = json!({ "claim": claim, "holds": holds, "seen": seen });
        let word = if holds { "holds" } else { "FAILS" };
        self.output.answer(&object, || format!("  {word}  {claim}\n         {seen}"))?;
        if !holds {
            let hint = "with --keep, the logs of the nodes are left to read";
            return Err(Failure::new("claim_failed", format!("this does not hold: {claim}")).with_hint(hint));
        }
        self.held += 1;
        Ok(())
    }

    /// Says how it ended.
    pub fn end(self, took: Duration) -> Result<(), Failure> {
        self.say(&format!("All {} claims hold. It took {} s.", self.held, took.as_secs()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::cli::Exit;

    #[test]
    fn a_claim_that_does_not_hold_ends_the_demo_with_1() {
        for json in [false, true] {
            let output = Output::new(json);
            let mut narration = Narration::new(&output);
            narration.claim("one is one", Ok("1 = 1".to_owned())).unwrap();
            let seen = Failure::new("claim_failed", "1 is not 2");
            let failure = narration.claim("one is two", Err(seen)).unwrap_err();
            assert_eq!(output.failure(&failure), Exit::Failed);
            assert_eq!(narration.held, 1, "what does not hold is not counted");
            let Failure::Told(told) = failure else { panic!("it is told") };
            assert!(told.detail.contains("one is two"), "{}", told.detail);
        }
    }
}
