//! Walks a listing of the server page by page, until its end or a limit.
//! In text, rows are printed as pages arrive; as JSON, all pages become one document.
//! Knows nothing of HTTP but the names `limit`, `cursor` and `next`.

use clap::Args;
use covault_model::limits::PAGE_MAX;
use serde_json::Value;

use super::{
    client::{Call, Client},
    failure::Failure,
    output::Output,
    progress::Progress,
    table::Table,
};

/// How much of a listing is wanted.
#[derive(Args, Clone)]
pub struct PagingArgs {
    /// Stop after so many rows. All of them by default.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Go on where an earlier listing stopped: its `next`, as `--json` shows it.
    #[arg(long, value_name = "CURSOR")]
    cursor: Option<String>,
}

/// A listing: where it is, what its rows are called in an answer, and how one row looks in a table.
pub struct Listing<R> {
    /// The request for a page, without limit and cursor.
    pub call: Call,
    /// The member of an answer that holds the rows.
    pub rows: &'static str,
    /// The names of the table's columns.
    pub header: &'static [&'static str],
    /// The cells of one row.
    pub row: R,
}

impl<R: Fn(&Value) -> Vec<String>> Listing<R> {
    /// Prints a listing that comes in one answer.
    ///
    /// # Errors
    /// Whatever the server refuses.
    pub fn print_whole(self, client: &Client, output: &Output) -> Result<(), Failure> {
        let body = client.send(&self.call)?.body;
        if output.is_json() {
            return output.document(&body);
        }
        let rows = rows_of(&body, self.rows)?;
        output.rows(&mut Table::new(self.header), &rows.iter().map(&self.row).collect::<Vec<_>>())
    }

    /// Prints a listing that comes in pages.
    ///
    /// # Errors
    /// Whatever the server refuses; rows of earlier pages are printed by then.
    pub fn print_pages(self, client: &Client, paging: &PagingArgs, output: &Output) -> Result<(), Failure> {
        let fetch = |limit: u64, cursor: Option<&str>| {
            let call = self.call.clone().query("limit", Some(limit)).query("cursor", cursor);
            let reply = client.send(&call)?;
            if cursor.is_none() && reply.cut_off {
                output.note("warning: this node is cut off from its majority; newer versions may exist");
            }
            Ok(reply.body)
        };
        let progress = Progress::behind_rows(&format!("reading {}", self.rows));
        if output.is_json() {
            let mut whole = Whole { rows: self.rows, document: None };
            walk(paging, self.rows, fetch, |page, rows| {
                progress.add(rows.len() as u64);
                whole.take(page, rows);
                Ok(())
            })?;
            return output.document(&whole.document.unwrap_or_default());
        }
        let mut table = Table::new(self.header);
        walk(paging, self.rows, fetch, |_, rows| {
            progress.add(rows.len() as u64);
            output.rows(&mut table, &rows.iter().map(&self.row).collect::<Vec<_>>())
        })
    }
}

/// All pages as one document: the members of the last page, with the rows of all.
struct Whole {
    rows: &'static str,
    document: Option<Value>,
}

impl Whole {
    fn take(&mut self, page: &Value, rows: &[Value]) {
        let earlier =
            self.document.take().and_then(|mut document| match document.get_mut(self.rows)?.take() {
                Value::Array(rows) => Some(rows),
                _ => None,
            });
        let mut all = earlier.unwrap_or_default();
        all.extend_from_slice(rows);
        let mut document = page.clone();
        document[self.rows] = Value::Array(all);
        self.document = Some(document);
    }
}

fn rows_of<'a>(page: &'a Value, name: &str) -> Result<&'a [Value], Failure> {
    let rows = page.get(name).and_then(Value::as_array);
    rows.map(Vec::as_slice).ok_or_else(|| Failure::unexpected(format!("the answer has no list named {name}")))
}

/// Fetches page after page and hands each to `take`, with its rows.
fn walk(
    paging: &PagingArgs,
    rows_name: &str,
    fetch: impl Fn(u64, Option<&str>) -> Result<Value, Failure>,
    mut take: impl FnMut(&Value, &[Value]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut cursor = paging.cursor.clone();
    let mut left = paging.limit.unwrap_or(u64::MAX);
    loop {
        let page = fetch(left.min(PAGE_MAX as u64), cursor.as_deref())?;
        let rows = rows_of(&page, rows_name)?;
        take(&page, rows)?;
        left = left.saturating_sub(rows.len() as u64);
        match page.get("next").and_then(Value::as_str) {
            Some(next) if cursor.as_deref() == Some(next) => {
                return Err(Failure::unexpected("the listing does not move on"));
            }
            Some(next) if left > 0 => cursor = Some(next.to_owned()),
            _ => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::cell::RefCell;

    use serde_json::json;

    use super::*;

    /// A server of the numbers below `end`; a cursor is the number to begin with.
    fn numbers(end: u64, page_max: u64) -> impl Fn(u64, Option<&str>) -> Result<Value, Failure> {
        move |limit, cursor| {
            let from: u64 = cursor.map_or(0, |text| text.parse().unwrap());
            let to = (from + limit.min(page_max)).min(end);
            let next = (to < end).then(|| to.to_string());
            Ok(json!({"name": "n", "rows": (from..to).collect::<Vec<_>>(), "next": next}))
        }
    }

    fn check(end: u64, page_max: u64, paging: &PagingArgs, expected: std::ops::Range<u64>) -> Value {
        let mut whole = Whole { rows: "rows", document: None };
        walk(paging, "rows", numbers(end, page_max), |page, rows| {
            whole.take(page, rows);
            Ok(())
        })
        .unwrap();
        let document = whole.document.unwrap();
        assert_eq!(document["rows"], json!(expected.collect::<Vec<_>>()));
        document
    }

    fn paging(limit: Option<u64>, cursor: Option<&str>) -> PagingArgs {
        PagingArgs { limit, cursor: cursor.map(str::to_owned) }
    }

    #[test]
    fn all_pages_become_one_document() {
        let document = check(25, 10, &paging(None, None), 0..25);
        assert_eq!(document["name"], "n");
        assert_eq!(document["next"], Value::Null);
        check(20, 10, &paging(None, None), 0..20);
        check(0, 10, &paging(None, None), 0..0);
    }

    #[test]
    fn a_limit_ends_on_a_row_from_which_one_can_go_on() {
        let document = check(25, 10, &paging(Some(12), None), 0..12);
        assert_eq!(document["next"], "12");
        check(25, 10, &paging(None, Some("12")), 12..25);
        check(25, 10, &paging(Some(100), None), 0..25);
    }

    #[test]
    fn pages_are_handed_on_as_they_come() {
        let sizes = RefCell::new(Vec::new());
        let take = |_: &Value, rows: &[Value]| {
            sizes.borrow_mut().push(rows.len());
            Ok(())
        };
        walk(&paging(None, None), "rows", numbers(25, 10), take).unwrap();
        assert_eq!(*sizes.borrow(), [10, 10, 5]);
    }

    #[test]
    fn a_listing_that_does_not_move_on_is_an_error() {
        let stuck = |_: u64, _: Option<&str>| Ok(json!({"rows": [1], "next": "same"}));
        assert!(walk(&paging(None, None), "rows", stuck, |_, _| Ok(())).is_err());
        let shapeless = |_: u64, _: Option<&str>| Ok(json!({"other": []}));
        assert!(walk(&paging(None, None), "rows", shapeless, |_, _| Ok(())).is_err());
    }
}
