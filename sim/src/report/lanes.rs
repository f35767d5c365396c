//! A run as a drawing: time from left to right, a lane for each node, in it when it served and led, what was done to it,
//! and a mark for each operation that it was asked for. Every mark tells more when it is pointed at. Inline SVG; colours
//! come from the page. Knows nothing of other runs.

use std::fmt::Write;

use super::{
    marks::{Fates, Mark},
    spans::{self, Span},
    text::escaped,
};
use crate::{
    fault::Fault,
    story::{Event, Operation, Story, What},
    telling,
    verdict::Verdict,
};

const WIDTH: f64 = 1200.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 12.0;
/// Above the lanes: what concerns all of them.
const TOP: f64 = 34.0;
const LANE: f64 = 62.0;
const GAP: f64 = 8.0;
const AXIS: f64 = 28.0;
/// Rows within a lane.
const LABEL_ROW: f64 = 11.0;
const WRITE_ROW: f64 = 26.0;
const FAILED_ROW: f64 = 40.0;
const READ_ROW: f64 = 52.0;
/// Waiting shorter than that is not drawn, in microseconds.
const WAIT_US: u64 = 200_000;
/// A label is drawn where it has so much room for each letter.
const LETTER: f64 = 5.6;

/// The drawing of a run.
pub fn draw(story: &Story, verdict: &Verdict) -> String {
    let end_us = story.events.last().map_or(1, |event| event.at_us).max(1);
    let labelled = vec![0.0; story.plan.nodes];
    let mut canvas = Canvas { svg: String::new(), end_us, nodes: story.plan.nodes, labelled };
    canvas.open();
    for span in spans::serving(story, end_us) {
        canvas.serves(&span);
    }
    for span in spans::faults(story, end_us) {
        canvas.harmed(&span);
    }
    for span in spans::reigns(story, end_us) {
        canvas.leads(&span);
    }
    let fates = Fates::of(story);
    for operation in story.operations() {
        canvas.operation(&operation, fates.mark(&operation));
    }
    for event in &story.events {
        match &event.what {
            What::Garbled { node, .. } => canvas.hostile(*node, event, "garbled"),
            What::Knocked { node, .. } => canvas.hostile(*node, event, "knocked"),
            What::Lied { node, .. } => canvas.hostile(*node, event, "lied"),
            What::Whole => canvas.moment(event.at_us, "moment", "whole", "the cluster is whole; harm begins"),
            What::Healed => canvas.moment(event.at_us, "moment", "made good", "everything is made good"),
            _ => {}
        }
    }
    for violation in &verdict.violations {
        canvas.moment(violation.at_us, "violation", &violation.rule, &violation.says);
    }
    canvas.close()
}

struct Canvas {
    svg: String,
    end_us: u64,
    nodes: usize,
    /// How far labels reach in each lane: one that begins before stands a row lower.
    labelled: Vec<f64>,
}

impl Canvas {
    fn x(&self, at_us: u64) -> f64 {
        let part = at_us.min(self.end_us) as f64 / self.end_us as f64;
        LEFT + part * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, node: usize) -> f64 {
        TOP + node as f64 * (LANE + GAP)
    }

    fn bottom(&self) -> f64 {
        self.y(self.nodes) - GAP
    }

    fn put(&mut self, args: std::fmt::Arguments<'_>) {
        self.svg.write_fmt(args).expect("a text can grow");
    }

    fn open(&mut self) {
        let height = self.bottom() + AXIS;
        self.put(format_args!(
            "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" xmlns=\"http://www.w3.org/2000/svg\">"
        ));
        for node in 0..self.nodes {
            let (y, middle) = (self.y(node), self.y(node) + LANE / 2.0 + 4.0);
            let width = WIDTH - LEFT - RIGHT;
            self.put(format_args!(
                "<text class=\"node\" x=\"6\" y=\"{middle}\">node {node}</text>\
                 <rect class=\"down\" x=\"{LEFT}\" y=\"{y}\" width=\"{width}\" height=\"{LANE}\"><title>node {node} does not serve</title></rect>"
            ));
        }
        self.axis();
    }

    fn axis(&mut self) {
        let seconds = self.end_us / 1_000_000;
        let every = if 120 < seconds { 10 } else { 5 };
        let (top, bottom) = (TOP, self.bottom());
        for second in (0..=seconds).step_by(every) {
            let (x, label) = (self.x(second * 1_000_000), bottom + 18.0);
            self.put(format_args!(
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{x:.1}\" y=\"{label}\">{second} s</text>"
            ));
        }
    }

    /// A box in a lane, or over several.
    fn span(&mut self, class: &str, times: (u64, u64), top: f64, height: f64, title: &str) {
        let x = self.x(times.0);
        let width = (self.x(times.1) - x).max(1.0);
        let title = escaped(title);
        self.put(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{top}\" width=\"{width:.1}\" height=\"{height}\"><title>{title}</title></rect>"
        ));
    }

    fn serves(&mut self, span: &Span<usize>) {
        let title = format!("node {} serves, {}", span.of, times(span));
        self.span("up", (span.from_us, span.to_us), self.y(span.of), LANE, &title);
    }

    fn leads(&mut self, span: &Span<(usize, u64)>) {
        let (node, term) = span.of;
        let title = format!("node {node} leads in term {term}, {}", times(span));
        self.span("leads", (span.from_us, span.to_us), self.y(node) + LANE - 5.0, 5.0, &title);
    }

    /// On each node that the fault names, or over all lanes.
    fn harmed(&mut self, span: &Span<&Fault>) {
        let places = span.of.places();
        let title = format!("{}, {}", span.of, times(span));
        let room = self.x(span.to_us) - self.x(span.from_us);
        let kind = span.of.kind();
        let class = format!("fault f-{}", kind.replace(' ', "-"));
        let lanes: Vec<(usize, f64)> = match places.as_slice() {
            [] => vec![(0, self.bottom() - TOP)],
            nodes => nodes.iter().map(|node| (*node, LANE)).collect(),
        };
        for (lane, height) in lanes {
            self.span(&class, (span.from_us, span.to_us), self.y(lane), height, &title);
            if kind.len() as f64 * LETTER < room {
                self.label(lane, self.x(span.from_us) + 3.0, kind);
            }
        }
    }

    fn label(&mut self, lane: usize, x: f64, text: &str) {
        let row = if x < self.labelled[lane] { LABEL_ROW + 10.0 } else { LABEL_ROW };
        self.labelled[lane] = x + text.len() as f64 * LETTER;
        let y = self.y(lane) + row;
        self.put(format_args!("<text class=\"label\" x=\"{x:.1}\" y=\"{y:.1}\">{text}</text>"));
    }

    fn operation(&mut self, operation: &Operation<'_>, mark: Mark) {
        let x = self.x(operation.asked_us);
        let y = self.y(operation.asked.node) + mark_row(mark);
        let class = mark.class();
        let shape = match mark {
            Mark::Agreed => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.6\"/>"),
            Mark::Provisional | Mark::Adopted(_) | Mark::Superseded => {
                format!("<path d=\"M{x:.1} {:.1}l5 5-5 5-5-5z\"/>", y - 5.0)
            }
            Mark::Refused => {
                let (x, y) = (x - 2.2, y - 2.2);
                format!("<path d=\"M{x:.1} {y:.1}l4.4 4.4m0-4.4l-4.4 4.4\"/>")
            }
            Mark::Unknown => format!("<text x=\"{x:.1}\" y=\"{:.1}\">?</text>", y + 4.0),
            Mark::Read | Mark::Unread => {
                format!("<path d=\"M{x:.1} {:.1}v5\"/>", y - 2.5)
            }
        };
        let wait = self.wait(operation, y);
        let title = escaped(&tells(operation, mark));
        self.put(format_args!("<g class=\"{class}\">{wait}{shape}<title>{title}</title></g>"));
    }

    /// A wedge from above: somebody who is no client tries something.
    fn hostile(&mut self, node: usize, event: &Event, class: &str) {
        let (x, y) = (self.x(event.at_us), self.y(node));
        let said = telling::happened(&event.what).unwrap_or_default();
        let title = escaped(&format!("{:.3} s, {said}", event.at_us as f64 / 1e6));
        self.put(format_args!(
            "<g class=\"{class}\"><path d=\"M{:.1} {y}h6l-3 7z\"/><title>{title}</title></g>",
            x - 3.0
        ));
    }

    /// A line for as long as the client waited, if that was long and it waited to the end.
    fn wait(&self, operation: &Operation<'_>, y: f64) -> String {
        let waited_us = operation.told_us.saturating_sub(operation.asked_us);
        if waited_us < WAIT_US || operation.told_us == u64::MAX {
            return String::new();
        }
        let (from, to) = (self.x(operation.asked_us), self.x(operation.told_us));
        format!("<line class=\"wait\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y}\" y2=\"{y}\"/>")
    }

    /// A line through all lanes.
    fn moment(&mut self, at_us: u64, class: &str, label: &str, title: &str) {
        let (x, bottom) = (self.x(at_us), self.bottom());
        let anchor = if WIDTH * 0.8 < x { "end" } else { "start" };
        let (label, title, y) = (escaped(label), escaped(title), if class == "moment" { 28 } else { 13 });
        self.put(format_args!(
            "<g class=\"{class}\"><line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{y}\" y2=\"{bottom}\"/>\
             <text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"{anchor}\">{label}</text><title>{title}</title></g>"
        ));
    }

    fn close(mut self) -> String {
        self.svg.push_str("</svg>");
        self.svg
    }
}

fn mark_row(mark: Mark) -> f64 {
    match mark {
        Mark::Agreed | Mark::Provisional | Mark::Adopted(_) | Mark::Superseded => WRITE_ROW,
        Mark::Refused | Mark::Unknown => FAILED_ROW,
        Mark::Read | Mark::Unread => READ_ROW,
    }
}

fn times<T>(span: &Span<T>) -> String {
    format!("{:.2} s to {:.2} s", span.from_us as f64 / 1e6, span.to_us as f64 / 1e6)
}

fn tells(operation: &Operation<'_>, mark: Mark) -> String {
    let asked = operation.asked;
    let fate = match mark {
        Mark::Adopted(number) => format!("; adopted later as number {number}"),
        Mark::Superseded => "; superseded".to_owned(),
        _ => String::new(),
    };
    let keyed = asked.key.as_ref().map(|key| format!(" with key {key}")).unwrap_or_default();
    format!(
        "{:.3} s, client {} for {}: {}{keyed} → {}{fate}",
        operation.asked_us as f64 / 1e6,
        asked.client,
        asked.caller,
        telling::asks(&asked.ask),
        telling::answers(operation.told)
    )
}
