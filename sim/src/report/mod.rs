//! Runs on one page of HTML that needs nothing else: no script, no network. An overview of what was tried, then a
//! drawing for each run. Knows nothing of how runs are made.

mod lanes;
mod marks;
mod matrix;
mod spans;
mod text;

use std::{collections::BTreeMap, fmt::Write};

use text::escaped;

use crate::{story::Story, summary::Summary, telling, verdict::Verdict};

/// How the page looks.
const STYLE: &str = include_str!("page.css");
/// What the marks mean.
const LEGEND: &str = include_str!("legend.html");

/// A page that is being put together; runs stand in the order of their seeds.
#[derive(Default)]
pub struct Page {
    /// What all runs came to together.
    pub summary: Summary,
    runs: BTreeMap<u64, String>,
}

/// The drawing of a run, for [`Page::add`]. The story is not needed any more.
pub fn draw(story: &Story, verdict: &Verdict) -> String {
    lanes::draw(story, verdict)
}

impl Page {
    /// Takes a run in; it has no drawing if there is no story of it.
    pub fn add(&mut self, verdict: &Verdict, drawn: Option<String>) {
        self.summary.add(verdict);
        let seed = verdict.plan.seed;
        let (class, said) = if verdict.holds() { ("held", "every rule held") } else { ("ill", "failed") };
        let mut run =
            format!("<section id=\"seed-{seed}\"><h2>Seed {seed} <span class=\"{class}\">{said}</span></h2>");
        for violation in &verdict.violations {
            let (at, rule) = (violation.at_us as f64 / 1e6, escaped(&violation.rule));
            put(
                &mut run,
                format_args!("<p class=\"ill\">{rule} at {at:.3} s: {}</p>", escaped(&violation.says)),
            );
        }
        let plan = telling::plan(&verdict.plan);
        put(&mut run, format_args!("<details><summary>{}</summary><pre>", escaped(&plan[0])));
        put(&mut run, format_args!("{}</pre></details>", escaped(&plan[1..].join("\n"))));
        run.push_str(drawn.as_deref().unwrap_or("<p>There is no story of this run.</p>"));
        run.push_str("</section>\n");
        self.runs.insert(seed, run);
    }

    /// The page.
    pub fn html(&self) -> String {
        let mut html = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\"><title>Simulated runs of Covault</title>\
             <style>\n{STYLE}</style></head><body><main>\n<h1>Simulated runs of Covault</h1>\n"
        );
        html.push_str(&self.totals());
        html.push_str("<h2>Which faults met which operations</h2><p class=\"key\">");
        for name in ["done", "refused", "unknown", "unreached"] {
            put(&mut html, format_args!("<span><b class=\"o-{name}\"></b>{name}</span>"));
        }
        html.push_str("<span><b class=\"never\"></b>never met</span></p><div class=\"wide\">");
        html.push_str(&matrix::draw(&self.summary.coverage));
        html.push_str("</div>\n");
        html.push_str(LEGEND);
        self.runs.values().for_each(|run| html.push_str(run));
        html.push_str("</main></body></html>\n");
        html
    }

    fn totals(&self) -> String {
        let summary = &self.summary;
        let faults: u64 = summary.coverage.faults.values().sum();
        let violations: u64 = summary.violations.values().sum();
        let numbers = [
            ("seeds", summary.seeds),
            ("failed", summary.failing.len() as u64),
            ("violations", violations),
            ("simulated seconds", summary.simulated_us / 1_000_000),
            ("operations", summary.coverage.operations()),
            ("faults", faults),
        ];
        let mut totals = String::from("<dl class=\"totals\">");
        for (name, number) in numbers {
            put(&mut totals, format_args!("<div><dt>{name}</dt><dd>{number}</dd></div>"));
        }
        totals.push_str("</dl>\n");
        for seed in &summary.failing {
            put(&mut totals, format_args!("<a class=\"ill\" href=\"#seed-{seed}\">seed {seed}</a> "));
        }
        totals
    }
}

fn put(html: &mut String, args: std::fmt::Arguments<'_>) {
    html.write_fmt(args).expect("a text can grow");
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        checkers::Violation,
        fault::Fault,
        plan::Plan,
        story::{Lie, Told, What},
        telling::tests::{create, story},
        verdict,
    };

    /// A run in which everything happens that is drawn, and in which every text would be markup if it could.
    fn page() -> String {
        let mut story = story();
        story.push(1_000_000, What::Serves { node: 1, boot: 0 });
        story.push(1_500_000, What::Leads { node: 1, term: 4 });
        story.push(2_000_000, What::Harmed(Fault::Island(vec![0, 2])));
        story.push(3_000_000, create(0, "<script>alert(1)</script>"));
        let body = json!({ "code": "<b>" });
        story.push(4_000_000, What::Told { op: 0, told: Told::Answer { status: 409, body, majority: None } });
        let (node, told) = (2, "no <answer>".into());
        story.push(5_000_000, What::Lied { node, lie: Lie::Forged, taken: false, told });
        story.push(9_000_000, What::Mended(Fault::Island(vec![0, 2])));
        story.push(9_500_000, What::Healed);
        let wrong = Violation { rule: "E1 & E2".into(), at_us: 4_000_000, says: "\"<i>\"".into() };
        let verdict = Verdict::on(&story, vec![wrong]);
        let mut page = Page::default();
        page.add(&verdict, Some(draw(&story, &verdict)));
        let hung = Verdict::without_a_story(Plan::draw(8), verdict::HUNG, "it <hung>".into());
        page.add(&hung, None);
        page.html()
    }

    #[test]
    fn the_page_shows_nodes_faults_leaders_operations_and_violations() {
        let page = page();
        for part in [
            "node 0</text>",
            "node 2</text>",
            "nodes [0, 2] are cut off, 2.00 s to 9.00 s",
            "node 1 serves, 1.00 s to 9.50 s",
            "node 1 leads in term 4, 1.50 s to 9.50 s",
            "class=\"refused\"><line class=\"wait\"",
            "E1 &amp; E2",
            "create during island: done 0, refused 1",
            "lie during island: done 0, refused 1",
            "<g class=\"lied\"><path",
            "node 2 is told a lie (Forged) with a stolen key: taken false, no &lt;answer&gt;",
            "There is no story of this run.",
            "it &lt;hung&gt;",
            "<div><dt>failed</dt><dd>2</dd></div>",
        ] {
            assert!(page.contains(part), "{part} is not on the page");
        }
    }

    #[test]
    fn texts_of_a_run_are_no_markup_on_the_page() {
        let page = page();
        assert!(page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"));
        assert!(!page.contains("<script") && !page.contains("<hung>"));
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let page = page().replace("http://www.w3.org/2000/svg", "");
        for part in ["http:", "https:", "src=", "url(", "@import", "<link"] {
            assert!(!page.contains(part), "{part} is on the page");
        }
    }

    #[test]
    fn every_tag_of_a_drawing_is_closed() {
        let page = page();
        for tag in ["svg", "g", "title", "text", "section", "table", "tr"] {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn runs_stand_in_the_order_of_their_seeds() {
        let page = page();
        assert!(page.find("id=\"seed-1\"") < page.find("id=\"seed-8\""));
    }
}
