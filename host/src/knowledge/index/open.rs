//! One index on disk: its schema, how text becomes words, and the generation it stands at, which lives in the commit.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use tantivy::schema::{
    FAST, Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer,
    TextAnalyzer,
};
use tantivy::{Index, IndexReader, ReloadPolicy, TantivyDocument, TantivyError};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::Fault;
use crate::kit::Error;
use crate::knowledge::store::Change;

/// Grows with every change of the schema or of how text becomes words: an older index is rebuilt.
const FORMAT: u32 = 1;
const WORDS: &str = "english";
const WORD_BYTES_MAX: usize = 64;

/// How often title and headings count against the body. BM25 over one field with its important parts repeated
/// (BM25F) lets block-max WAND skip most of a large index, which separate boosted fields would not.
const TITLE_WEIGHT: usize = 2;
const HEADING_WEIGHT: usize = 2;

#[derive(Clone, Copy, Debug)]
pub(in crate::knowledge) struct Fields {
    /// What is searched: title, headings, tags and body.
    pub(super) text: Field,
    pub(super) tag: Field,
    pub(super) entry: Field,
    /// The chunk's id in two halves.
    pub(super) chunk: [Field; 2],
}

pub(in crate::knowledge) struct OpenIndex {
    pub(super) index: Index,
    pub(super) reader: IndexReader,
    pub(super) fields: Fields,
    /// What `reader` shows; it may show more, never less.
    generation: AtomicI64,
    /// The last writer, merging what it wrote. The next one waits for it; searches do not.
    merging: Mutex<Option<Writing>>,
}

type Writing = JoinHandle<Result<(), TantivyError>>;

impl OpenIndex {
    /// Opens the index in `folder` and proves its files, or makes an empty one.
    pub(super) fn open(folder: &Path) -> Result<Self, TantivyError> {
        let (schema, fields) = schema();
        fs::create_dir_all(folder)?;
        let directory = tantivy::directory::MmapDirectory::open(folder)?;
        // Fails where the schema on disk is another.
        let index = Index::open_or_create(directory, schema)?;
        if let Some(file) = index.validate_checksum()?.into_iter().next() {
            return Err(TantivyError::SystemError(format!(
                "{} is damaged",
                file.display()
            )));
        }
        index.tokenizers().register(WORDS, analyzer());
        let generation = committed(&index)?;
        let reader = index
            .reader_builder()
            .reload_policy(ReloadPolicy::Manual)
            .try_into()?;
        Ok(Self {
            index,
            reader,
            fields,
            generation: AtomicI64::new(generation),
            merging: Mutex::default(),
        })
    }

    pub(in crate::knowledge) fn generation(&self) -> i64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Shows what was committed last.
    pub(super) fn reload(&self) -> Result<(), TantivyError> {
        let generation = committed(&self.index)?;
        self.reader.reload()?;
        self.generation.fetch_max(generation, Ordering::AcqRel);
        Ok(())
    }

    pub(super) async fn merging(&self, writing: Writing) {
        *self.merging.lock().await = Some(writing);
    }

    /// Waits for the last writer's merges.
    pub(super) async fn merged(&self) -> Result<(), Fault> {
        let writing = self.merging.lock().await.take();
        match writing {
            Some(writing) => Ok(writing.await.map_err(Error::internal)??),
            None => Ok(()),
        }
    }

    pub(super) fn document(&self, chunk: Uuid, change: &Change) -> TantivyDocument {
        let Fields {
            text,
            tag,
            entry,
            chunk: halves,
        } = self.fields;
        let mut document = TantivyDocument::new();
        document.add_text(entry, change.entry.simple().to_string());
        let (high, low) = chunk.as_u64_pair();
        document.add_u64(halves[0], high);
        document.add_u64(halves[1], low);
        for name in &change.tags {
            document.add_text(tag, name);
            document.add_text(text, name);
        }
        for _ in 0..TITLE_WEIGHT {
            document.add_text(text, &change.title);
        }
        for _ in 0..HEADING_WEIGHT {
            document.add_text(text, change.heading.as_deref().unwrap_or_default());
        }
        document.add_text(text, change.content.as_deref().unwrap_or_default());
        document
    }
}

/// The payload of a commit at `generation`.
pub(super) fn payload(generation: i64) -> String {
    format!("{FORMAT}:{generation}")
}

/// The generation of the last commit; 0 for an index that was never written.
pub(super) fn committed(index: &Index) -> Result<i64, TantivyError> {
    let Some(payload) = index.load_metas()?.payload else {
        return Ok(0);
    };
    payload
        .strip_prefix(&format!("{FORMAT}:"))
        .and_then(|generation| generation.parse().ok())
        .ok_or_else(|| TantivyError::SystemError(format!("its format is `{payload}`")))
}

/// Text to words, the same for what is searched and what is asked.
pub(in crate::knowledge) fn analyzer() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(WORD_BYTES_MAX))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

fn schema() -> (Schema, Fields) {
    let mut schema = Schema::builder();
    let words = TextFieldIndexing::default()
        .set_tokenizer(WORDS)
        .set_index_option(IndexRecordOption::WithFreqs);
    let fields = Fields {
        text: schema.add_text_field("text", TextOptions::default().set_indexing_options(words)),
        tag: schema.add_text_field("tag", STRING),
        entry: schema.add_text_field("entry", STRING),
        chunk: [
            schema.add_u64_field("chunk_high", FAST),
            schema.add_u64_field("chunk_low", FAST),
        ],
    };
    (schema.build(), fields)
}
