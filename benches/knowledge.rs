//! How fast knowledge is put and indexed, and how long a search over many chunks takes. Text is made of words by
//! Zipf's law: some stand in nearly every chunk, most in few. `-- 20000` asks for another number of chunks.

use std::path::Path;
use std::time::{Duration, Instant};

use bulkhead::identity::{Caller, Scope};
use bulkhead::kit::{OrgId, Tasks};
use bulkhead::knowledge::{Knowledge, NewEntry, Query};
use bulkhead_benches::{Bench, percentile, show, table};

const CHUNKS: usize = 100_000;
const VOCABULARY: f64 = 50_000.0;
const SECTIONS_PER_ENTRY: usize = 50;
/// About 1,000 bytes: one chunk.
const WORDS_PER_SECTION: usize = 150;
const SEARCHES: usize = 2_000;
const ASKERS: usize = 8;

fn main() {
    let asked = std::env::args().find_map(|argument| argument.parse().ok());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(asked.unwrap_or(CHUNKS)));
}

async fn measure(chunks: usize) {
    let bench = Bench::start(|_| {}).await;
    let made = bench.host.app.identity.create_organization("acme").await;
    let (org, key, _) = made.expect("the database is fresh");
    let caller = Caller::new(org, "acme".into(), key.id, [Scope::Admin].into());
    let knowledge = bench.host.app.knowledge.clone();
    let mut words = Words(42);
    let (chunks, putting) = fill(&knowledge, &caller, chunks, &mut words).await;
    // The first search builds the whole index.
    let indexing = ask(&knowledge, org, &mut words).await;
    for _ in 0..SEARCHES / 4 {
        ask(&knowledge, org, &mut words).await;
    }
    let mut searches = Vec::with_capacity(SEARCHES);
    for _ in 0..SEARCHES {
        searches.push(ask(&knowledge, org, &mut words).await);
    }
    let together = ask_together(&knowledge, org).await;
    let rate = |time: Duration| format!("{:.0}", chunks as f64 / time.as_secs_f64());
    let row = vec![
        chunks.to_string(),
        rate(putting),
        rate(indexing),
        format!(
            "{:.1} MiB",
            size(&knowledge.config().index) as f64 / 1_048_576.0
        ),
        show(percentile(&mut searches, 0.5)),
        show(percentile(&mut searches, 0.99)),
        show(percentile(&mut searches, 1.0)),
        format!("{:.0}", SEARCHES as f64 / together.as_secs_f64()),
    ];
    bench.stop().await;
    table(
        "Search",
        "`cargo bench --bench knowledge`: host and PostgreSQL (fsync on) on this machine, called in process; chunks of \
         about 1,000 bytes of Zipf-distributed words from 50,000, put 50 at a time; questions of 3 to 6 such words, \
         2,000 after 500 to warm up, one at a time, then by 8 askers.",
        &[
            "chunks",
            "put, chunks/s",
            "indexed, chunks/s",
            "index",
            "search p50",
            "p99",
            "max",
            "searches/s by 8",
        ],
        &[row],
    );
}

async fn fill(
    knowledge: &Knowledge,
    caller: &Caller,
    chunks: usize,
    words: &mut Words,
) -> (usize, Duration) {
    let started = Instant::now();
    let mut made = 0;
    while made < chunks {
        let new = NewEntry {
            content: page(words),
            ..NewEntry::default()
        };
        let put = knowledge.put(caller, None, new).await;
        made += put.expect("the page is fine").entry.chunks as usize;
    }
    (made, started.elapsed())
}

async fn ask(knowledge: &Knowledge, org: OrgId, words: &mut Words) -> Duration {
    let count = 3 + words.next() % 4;
    let text: Vec<String> = (0..count).map(|_| words.word()).collect();
    let query = Query {
        text: format!("how do i {}?", text.join(" ")),
        limit: 8,
        tags: Vec::new(),
    };
    let started = Instant::now();
    let hits = knowledge.search(org, &query).await;
    hits.expect("it can be searched");
    started.elapsed()
}

async fn ask_together(knowledge: &Knowledge, org: OrgId) -> Duration {
    let tasks = Tasks::current();
    let started = Instant::now();
    let mut askers = Vec::with_capacity(ASKERS);
    for asker in 0..ASKERS {
        let knowledge = knowledge.clone();
        askers.push(tasks.spawn(async move {
            let mut words = Words(1_000 + asker as u64);
            for _ in 0..SEARCHES / ASKERS {
                ask(&knowledge, org, &mut words).await;
            }
        }));
    }
    for asker in askers {
        asker.await.expect("it searches");
    }
    started.elapsed()
}

fn page(words: &mut Words) -> String {
    let mut page = format!("# {} {}\n\n", words.word(), words.word());
    for _ in 0..SECTIONS_PER_ENTRY {
        page.push_str(&format!("## {} {}\n\n", words.word(), words.word()));
        for place in 1..=WORDS_PER_SECTION {
            page.push_str(&words.word());
            page.push_str(if place % 12 == 0 { ".\n" } else { " " });
        }
        page.push_str("\n\n");
    }
    page
}

/// Words that look random and are the same in every run.
struct Words(u64);

impl Words {
    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// The word of rank r comes with a probability of about 1/r.
    fn word(&mut self) -> String {
        const SYLLABLES: [&str; 10] =
            ["ba", "ke", "li", "mo", "nu", "pra", "ste", "vi", "zo", "ru"];
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let mut rank = VOCABULARY.powf(share) as usize;
        let mut word = String::new();
        while rank > 0 {
            word.push_str(SYLLABLES[rank % 10]);
            rank /= 10;
        }
        word
    }
}

fn size(folder: &Path) -> u64 {
    let items = std::fs::read_dir(folder).into_iter().flatten().flatten();
    items
        .map(|item| match item.metadata() {
            Ok(meta) if meta.is_dir() => size(&item.path()),
            Ok(meta) => meta.len(),
            Err(_) => 0,
        })
        .sum()
}
