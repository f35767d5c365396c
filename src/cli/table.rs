//! Aligned text: tables that may grow while they are printed, and lists of facts.
//! Knows nothing of where the text goes.

/// Columns between two spaces. The first batch of rows decides the widths, later ones only widen them,
/// so that rows can be printed before the last one is known.
pub struct Table {
    header: &'static [&'static str],
    widths: Vec<usize>,
    begun: bool,
}

impl Table {
    /// An empty table with these column names.
    pub fn new(header: &'static [&'static str]) -> Self {
        Self { header, widths: header.iter().map(|name| name.chars().count()).collect(), begun: false }
    }

    /// The lines of `rows`, after the header when they are the first. A row has one cell per column.
    pub fn lay_out(&mut self, rows: &[Vec<String>]) -> String {
        let rows: Vec<Vec<String>> =
            rows.iter().map(|row| row.iter().map(|cell| one_line(cell)).collect()).collect();
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let mut text = String::new();
        if !self.begun {
            self.begun = true;
            let names: Vec<String> = self.header.iter().map(|name| name.to_uppercase()).collect();
            self.push_line(&mut text, &names);
        }
        rows.iter().for_each(|row| self.push_line(&mut text, row));
        text
    }

    fn push_line(&self, text: &mut String, cells: &[String]) {
        let mut line = String::new();
        for (width, cell) in self.widths.iter().zip(cells) {
            line.push_str(cell);
            let used = cell.chars().count();
            line.extend(std::iter::repeat_n(' ', width.saturating_sub(used) + 2));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
}

/// Lines of `name  fact`, the facts under one another.
pub fn facts(pairs: &[(String, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, fact): &(String, String)| format!("{name:width$}  {}\n", one_line(fact));
    pairs.iter().map(line).collect()
}

/// The text with its control characters made visible, so that foreign text cannot steer a terminal.
/// Line breaks and tabs stay.
pub fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\t' => shown.push(c),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

fn one_line(cell: &str) -> String {
    visible(cell).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Vec<String> {
        cells.iter().map(|cell| (*cell).to_owned()).collect()
    }

    #[test]
    fn columns_stand_under_one_another_and_lines_have_no_tail() {
        let mut table = Table::new(&["number", "by"]);
        let text = table.lay_out(&[row(&["1", "web"]), row(&["1234567", "a"]), row(&["2", ""])]);
        assert_eq!(text, "NUMBER   BY\n1        web\n1234567  a\n2\n");
    }

    #[test]
    fn later_rows_keep_the_widths_and_do_not_repeat_the_header() {
        let mut table = Table::new(&["name", "state"]);
        assert_eq!(
            table.lay_out(&[row(&["db/password", "current"])]),
            "NAME         STATE\ndb/password  current\n"
        );
        assert_eq!(table.lay_out(&[row(&["a", "past"])]), "a            past\n");
    }

    #[test]
    fn width_is_counted_in_characters() {
        let mut table = Table::new(&["by", "id"]);
        assert_eq!(
            table.lay_out(&[row(&["müßig", "1"]), row(&["plain", "2"])]),
            "BY     ID\nmüßig  1\nplain  2\n"
        );
    }

    #[test]
    fn a_cell_cannot_break_its_line_or_steer_the_terminal() {
        let mut table = Table::new(&["description", "id"]);
        let text = table.lay_out(&[row(&["two\nlines", "1"]), row(&["\u{1b}[2J", "2"])]);
        assert_eq!(text.lines().count(), 3);
        assert!(!text.contains('\u{1b}'));
    }

    #[test]
    fn facts_stand_under_one_another() {
        let pairs = [("term".to_owned(), "3".to_owned()), ("applied".to_owned(), "17".to_owned())];
        assert_eq!(facts(&pairs), "term     3\napplied  17\n");
    }
}
