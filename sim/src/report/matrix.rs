//! Coverage as a table: a row for each kind of fault, a column for each kind of operation, in each cell how often they
//! met and what came of it. A cell where they never met is marked. Knows nothing of single runs.

use std::fmt::Write;

use super::text::escaped;
use crate::coverage::{CALM, Coverage, Outcomes};

/// The table.
pub fn draw(coverage: &Coverage) -> String {
    let mut table = String::from("<table class=\"matrix\"><thead><tr><th></th><th>times</th>");
    for kind in coverage.asked.keys() {
        put(&mut table, format_args!("<th>{}</th>", escaped(kind)));
    }
    table.push_str("</tr></thead><tbody>");
    let faults = coverage.faults.keys().map(String::as_str);
    for fault in std::iter::once(CALM).chain(faults) {
        row(&mut table, coverage, fault);
    }
    table.push_str("</tbody></table>");
    table
}

fn row(table: &mut String, coverage: &Coverage, fault: &str) {
    let times = coverage.faults.get(fault).map_or("–".to_owned(), u64::to_string);
    put(table, format_args!("<tr><th>{}</th><td class=\"times\">{times}</td>", escaped(fault)));
    for kind in coverage.asked.keys() {
        let met = coverage.met.get(fault).and_then(|row| row.get(kind)).copied().unwrap_or_default();
        cell(table, &format!("{kind} during {fault}"), &met);
    }
    table.push_str("</tr>");
}

fn cell(table: &mut String, what: &str, met: &Outcomes) {
    let all = met.all();
    if all == 0 {
        put(table, format_args!("<td class=\"never\" title=\"{}: never\">0</td>", escaped(what)));
        return;
    }
    let parts = [
        ("done", met.done),
        ("refused", met.refused),
        ("unknown", met.unknown),
        ("unreached", met.unreached),
    ];
    let said: Vec<String> = parts.iter().map(|(name, count)| format!("{name} {count}")).collect();
    put(table, format_args!("<td title=\"{}: {}\">{all}<i>", escaped(what), said.join(", ")));
    for (name, count) in parts.iter().filter(|(_, count)| 0 < *count) {
        put(table, format_args!("<b class=\"o-{name}\" style=\"flex:{count}\"></b>"));
    }
    table.push_str("</i></td>");
}

fn put(table: &mut String, args: std::fmt::Arguments<'_>) {
    table.write_fmt(args).expect("a text can grow");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_the_count_and_the_outcomes_and_a_pair_that_never_met_is_marked() {
        let mut coverage = Coverage::default();
        let met = Outcomes { done: 3, refused: 1, ..Outcomes::default() };
        coverage.faults.insert("crash".into(), 2);
        coverage.asked.insert("create".into(), met);
        coverage.met.entry("crash".into()).or_default().insert("create".into(), met);
        let table = draw(&coverage);
        assert!(
            table.contains("title=\"create during crash: done 3, refused 1, unknown 0, unreached 0\">4<i>")
        );
        assert!(table.contains("class=\"never\" title=\"create during no fault: never\""));
        assert!(table.contains("<th>crash</th><td class=\"times\">2</td>"));
    }
}
