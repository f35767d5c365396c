//! What tokenize and detokenize cost on one node as the number of mappings grows, and what a mapping takes of the
//! disk: documents of ten fields with new values, durable before each answer; tokens brought back a thousand at a
//! time. From the document to the document, without HTTP. `cargo bench --bench tokens`; `COVAULT_TOKENS_MAX` says up to
//! how many mappings. The data is in `target/tokens`, which must be on the disk that is meant.
//! Knows nothing of goals.

#![allow(missing_docs, reason = "a program about the project")]

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use covault::{
    host::Machine,
    node::{Node, NodeConfig},
    tokens::{Document, Placed, Sought, json_of, propose},
    vault::{Asker, RequestId, TokenRequest, Vault},
};
use covault_model::{
    field::{FieldRule, Format},
    name::{CallerName, FieldPointer, FieldType},
};
use serde_json::value::RawValue;

/// Clients that wait for their answers.
const CLIENTS: u64 = 64;
/// Documents of a request that fills the vault up.
const DOCUMENTS_AT_ONCE: u64 = 100;
/// Tokens of a request that brings values back.
const TOKENS_AT_ONCE: usize = 1000;
const RUN: Duration = Duration::from_secs(5);
const LEVELS: [u64; 5] = [10_000, 100_000, 1_000_000, 3_000_000, 10_000_000];

#[tokio::main(flavor = "multi_thread")]
async fn main() {
    let most = std::env::var("COVAULT_TOKENS_MAX").ok().and_then(|text| text.parse().ok());
    let most: u64 = most.unwrap_or(1_000_000);
    let folder = Path::new("target/tokens");
    let _ = fs::remove_dir_all(folder);
    let config =
        NodeConfig { create: true, token_values_per_second: None, ..NodeConfig::at(&folder.join("data")) };
    let node = Node::start(config, Arc::new(Machine)).await.expect("a new node starts");
    let owner = CallerName::parse("bench").expect("a caller's name");
    let session = node.local_session(owner).await.expect("a caller of this program");
    let asker = Asker { session, request: RequestId::parse("bench").expect("a request's id") };
    let bench =
        Arc::new(Bench { vault: node.vault().clone(), asker, rules: rules(), next: AtomicU64::new(0) });
    println!(
        "mappings   tokenize/s (10 fields)  p50 ms  p99 ms   known/s   detokenize/s (1,000)  bytes each"
    );
    for level in LEVELS.into_iter().filter(|level| *level <= most) {
        bench.fill_to(level).await;
        let (fresh, p50, p99) = bench.tokenize(true).await;
        let (known, ..) = bench.tokenize(false).await;
        let opened = bench.detokenize(level).await;
        let (mappings, disk) = bench.size();
        let each = disk / mappings;
        println!(
            "{mappings:>9}   {fresh:>21.0}  {p50:>6.2}  {p99:>6.2}  {known:>8.0}   {opened:>20.0}  {each:>10}"
        );
    }
    node.stop().await;
    fs::remove_dir_all(folder).expect("the data is removed");
}

struct Bench {
    vault: Vault,
    asker: Asker,
    rules: Vec<FieldRule>,
    /// The next number that no document had.
    next: AtomicU64,
}

fn rules() -> Vec<FieldRule> {
    let rule = |at: u32| {
        let pointer = FieldPointer::parse(&format!("/*/field{at}")).expect("a pointer");
        let kind = FieldType::parse("value").expect("a type");
        FieldRule { pointer, format: Format::Opaque, kind }
    };
    (0..10).map(rule).collect()
}

/// Documents with these numbers, ten fields each, and some that are none.
fn documents(numbers: std::ops::Range<u64>) -> String {
    let field = |number: u64, at: u64| format!("\"field{at}\":\"{:016}\"", number * 10 + at);
    let document = |number: u64| {
        let fields: Vec<String> = (0..10).map(|at| field(number, at)).collect();
        format!("{{\"id\":{number},{},\"amount\":12.50,\"note\":\"kept as it is\"}}", fields.join(","))
    };
    format!("[{}]", numbers.map(document).collect::<Vec<_>>().join(","))
}

impl Bench {
    /// Makes these documents' tokens; gives them.
    async fn take(&self, numbers: std::ops::Range<u64>) -> Vec<String> {
        let text = RawValue::from_string(documents(numbers)).expect("a document");
        let document = Document::new(&text);
        let found = document.fields(&self.rules).expect("all fields are there");
        let request = TokenRequest { values: found.len(), rules: &self.rules, key: None, says: b"" };
        let tokenized = self.vault.tokenize(&self.asker, request, |key| propose(key, &found)).await;
        let (proposal, _) = tokenized.expect("a node that takes writes");
        std::hint::black_box(document.with(proposal.placed.iter().map(Placed::part)));
        proposal.placed.into_iter().map(|placed| placed.token).collect()
    }

    async fn fill_to(self: &Arc<Self>, level: u64) {
        let mut filling = Vec::new();
        for _ in 0..8 {
            let bench = self.clone();
            filling.push(tokio::spawn(async move {
                loop {
                    let first = bench.next.fetch_add(DOCUMENTS_AT_ONCE, Relaxed);
                    if level <= first * 10 {
                        bench.next.fetch_sub(DOCUMENTS_AT_ONCE, Relaxed);
                        return;
                    }
                    bench.take(first..first + DOCUMENTS_AT_ONCE).await;
                }
            }));
        }
        for task in filling {
            task.await.expect("a task that fills");
        }
    }

    /// Values a second, and milliseconds of one document; of new values or of known ones.
    async fn tokenize(self: &Arc<Self>, fresh: bool) -> (f64, f64, f64) {
        let known = self.next.load(Relaxed).max(1);
        let begun = Instant::now();
        let mut running = Vec::new();
        for client in 0..CLIENTS {
            let bench = self.clone();
            running.push(tokio::spawn(async move {
                let mut took = Vec::new();
                let mut old = client * 7919;
                while begun.elapsed() < RUN {
                    old = (old + 104_729) % known;
                    let number = if fresh { bench.next.fetch_add(1, Relaxed) } else { old };
                    let asked = Instant::now();
                    bench.take(number..number + 1).await;
                    took.push(asked.elapsed().as_secs_f64() * 1000.0);
                }
                took
            }));
        }
        let mut took = Vec::new();
        for task in running {
            took.extend(task.await.expect("a client"));
        }
        let rate = took.len() as f64 * 10.0 / begun.elapsed().as_secs_f64();
        took.sort_by(f64::total_cmp);
        (rate, took[took.len() / 2], took[took.len() * 99 / 100])
    }

    /// Values a second, of tokens all over the table.
    async fn detokenize(self: &Arc<Self>, level: u64) -> f64 {
        let mut tokens = Vec::new();
        let step = (level / 10 / 2000).max(1);
        for number in (0..level / 10).step_by(step as usize) {
            tokens.extend(self.take(number..number + 1).await);
        }
        let rule = FieldRule { pointer: FieldPointer::default(), ..self.rules[0].clone() };
        let tokens = Arc::new((tokens, rule));
        let begun = Instant::now();
        let mut running = Vec::new();
        for client in 0..4 {
            let (bench, tokens) = (self.clone(), tokens.clone());
            running.push(tokio::spawn(async move {
                let (mut opened, mut from) = (0, client * 131);
                while begun.elapsed() < RUN {
                    let chosen = (0..TOKENS_AT_ONCE).map(|at| &tokens.0[(from + at * 37) % tokens.0.len()]);
                    let sought: Vec<Sought> =
                        chosen.map(|token| Sought::of(token, &tokens.1, None)).collect();
                    let values = bench.vault.detokenize(&bench.asker, &sought).await;
                    let (values, _) = values.expect("tokens that were given");
                    std::hint::black_box(values.iter().map(json_of).collect::<Vec<_>>());
                    (opened, from) = (opened + values.len(), from + TOKENS_AT_ONCE);
                }
                opened
            }));
        }
        let mut opened = 0;
        for task in running {
            opened += task.await.expect("a client");
        }
        opened as f64 / begun.elapsed().as_secs_f64()
    }

    /// How many mappings there are, and the bytes that the store takes for all it has.
    fn size(&self) -> (u64, u64) {
        let status = self.vault.observe().expect("a status");
        (status.mappings, status.disk_used)
    }
}
