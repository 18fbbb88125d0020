//! Every limit of knowledge, and where the indexes of this node live. Read once at start.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Knowledge, ingest};

/// What an operator may set under `knowledge`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The folder of the search indexes, one folder for each organization; where empty, `index` in the data folder.
    /// It belongs to one host, and everything in it is rebuilt from the database where it is missing.
    pub index: PathBuf,
    /// The most bytes of an entry's content.
    pub entry_bytes_max: usize,
    /// The most bytes of a title.
    pub title_bytes_max: usize,
    /// The most bytes of a source.
    pub source_bytes_max: usize,
    /// The most tags of an entry.
    pub tags_max: usize,
    /// The most bytes of a tag.
    pub tag_bytes_max: usize,
    /// A section shorter than this is put together with the one after it.
    pub section_chars_min: usize,
    /// A chunk is closed at the first good boundary from here…
    pub chunk_chars_min: usize,
    /// …and never longer than this.
    pub chunk_chars_max: usize,
    /// The most bytes of a query's text.
    pub query_bytes_max: usize,
    /// A query's words beyond this many are not looked for.
    pub query_words_max: usize,
    /// The most tags a query may ask for.
    pub query_tags_max: usize,
    /// The most hits of one search.
    pub hits_max: u32,
    /// The most bytes of passages one search hands to a guest.
    pub hits_bytes_max: usize,
    /// Searches at work at once on this node; more wait.
    pub searches_at_once: usize,
    /// Entries being cut at once on this node; more wait. Apart from searches: a hostile entry takes a second.
    pub cuts_at_once: usize,
    /// The most indexes held open.
    pub open_indexes_max: u64,
    /// An index nobody searched for so long is closed.
    pub idle_seconds: u64,
    /// Memory of the writer of one index while it catches up; at least 15 MB.
    pub writer_memory_bytes: usize,
    /// How long a search waits for another writer of its index before it is refused: there is one only where two
    /// hosts share a data folder.
    pub writer_wait_ms: u64,
    /// Tombstones of deleted entries are kept so long; an index that slept longer is rebuilt.
    pub tombstone_days: u32,
    /// Limits of reading a directory.
    pub ingest: ingest::Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            index: PathBuf::new(),
            entry_bytes_max: 2 << 20,
            title_bytes_max: 512,
            source_bytes_max: 1024,
            tags_max: 32,
            tag_bytes_max: 64,
            section_chars_min: 150,
            chunk_chars_min: 800,
            chunk_chars_max: 1200,
            query_bytes_max: 4096,
            query_words_max: 64,
            query_tags_max: 16,
            hits_max: 32,
            hits_bytes_max: 1 << 20,
            searches_at_once: 8,
            cuts_at_once: 2,
            open_indexes_max: 256,
            idle_seconds: 600,
            writer_memory_bytes: 15_000_000,
            writer_wait_ms: 10_000,
            tombstone_days: 30,
            ingest: ingest::Limits::default(),
        }
    }
}

impl Config {
    /// Tiny limits, so that a test reaches each of them with a few bytes.
    pub fn for_test() -> Self {
        Self {
            entry_bytes_max: 64 << 10,
            title_bytes_max: 128,
            source_bytes_max: 128,
            tags_max: 4,
            tag_bytes_max: 16,
            searches_at_once: 2,
            cuts_at_once: 1,
            open_indexes_max: 4,
            idle_seconds: 5,
            writer_wait_ms: 200,
            ingest: ingest::Limits::for_test(),
            ..Self::default()
        }
    }

    /// The most bytes a JSON body with an entry can need: each byte of text may come escaped as `\n` or `\"`.
    pub fn body_bytes_max(&self) -> usize {
        self.entry_bytes_max * 2 + (64 << 10)
    }
}

impl Knowledge {
    pub fn config(&self) -> &Config {
        &self.config
    }
}
