//! Entries: put, listed, read, deleted. The same source again replaces its entry; the same content again changes
//! nothing. Every change takes the next generation of its organization, which is how indexes learn of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use utoipa::ToSchema;

use super::chunks::{self, Chunk, Outline};
use super::{ChunkId, Config, EntryId, Knowledge, store};
use crate::identity::Caller;
use crate::identity::organizations::is_name;
use crate::kit::http::{Cursor, Page};
use crate::kit::{Error, Result};
use crate::ledger::audit::{Action, Target, record};

const TYPE_DEFAULT: &str = "note";

/// An entry without its content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Entry {
    #[schema(value_type = String)]
    pub id: EntryId,
    pub title: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub tags: Vec<String>,
    /// Where it came from, such as a path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    pub content_bytes: i32,
    /// How many passages it was cut into.
    pub chunks: i32,
    #[serde(with = "time::serde::rfc3339")]
    pub created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339")]
    pub updated_at: OffsetDateTime,
}

/// An entry with its content.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntryWithContent {
    #[serde(flatten)]
    pub entry: Entry,
    pub content: String,
}

/// An entry to put.
#[derive(Clone, Debug, Default, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEntry {
    /// The first heading of the content where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Markdown or plain text, at most 2 MiB.
    pub content: String,
    #[serde(default)]
    pub tags: Vec<String>,
    /// An open set: `note`, `rule`, `reference`… `note` where absent.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Where it comes from. A later entry with the same source replaces this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
}

/// What a put did.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = PutEntry)]
pub struct Put {
    #[serde(flatten)]
    pub entry: Entry,
    /// Whether anything is different from before.
    pub changed: bool,
    /// Whether the entry is a new one.
    #[serde(skip)]
    pub created: bool,
}

/// Which entries to list.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// 1 to 200; 50 where absent.
    pub limit: Option<u32>,
    /// Only entries with this tag.
    pub tag: Option<String>,
    /// Only entries of this type.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Only the entry from this source.
    pub source: Option<String>,
}

/// An entry checked and cut, ready to be written.
pub(super) struct Prepared {
    pub(super) title: String,
    pub(super) content: String,
    pub(super) tags: Vec<String>,
    pub(super) kind: String,
    pub(super) source: Option<String>,
    pub(super) digest: Vec<u8>,
    pub(super) chunks: Vec<(ChunkId, Chunk)>,
}

impl Knowledge {
    /// Puts an entry. `assigned` is the id a new one takes, so that a repeated request finds what the first made.
    pub async fn put(
        &self,
        caller: &Caller,
        assigned: Option<EntryId>,
        new: NewEntry,
    ) -> Result<Put> {
        let prepared = self.prepare(new).await?;
        let now = self.clock.now();
        let mut tx = self.db.begin().await?;
        // The row's lock orders the organization's changes: what is found now is still so at the end.
        let generation = store::advance(&mut *tx, caller.org).await?;
        let (source, digest) = (prepared.source.as_deref(), &prepared.digest);
        let stored = store::find(&mut *tx, caller.org, assigned, source).await?;
        let (id, created) = match stored {
            Some((entry, stored)) if stored == *digest => {
                return Ok(Put {
                    entry,
                    changed: false,
                    created: false,
                });
            }
            Some((entry, _)) => {
                store::replace(&mut *tx, caller.org, (entry.id, generation), &prepared, now)
                    .await?;
                store::delete_chunks(&mut *tx, caller.org, entry.id).await?;
                (entry.id, false)
            }
            None => {
                let id = assigned.unwrap_or_else(|| self.ids.next());
                store::insert(&mut *tx, caller.org, (id, generation), &prepared, now).await?;
                (id, true)
            }
        };
        store::insert_chunks(&mut *tx, caller.org, id, &prepared).await?;
        let entry = store::get(&mut *tx, caller.org, id).await?.entry;
        let action = match created {
            true => Action::KnowledgeEntryCreated,
            false => Action::KnowledgeEntryUpdated,
        };
        let detail = json!({ "content_bytes": entry.content_bytes, "source": entry.source });
        let did = caller.did(action, target(id)).at(now).detail(&detail);
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(Put {
            entry,
            changed: true,
            created,
        })
    }

    pub async fn list(&self, caller: &Caller, query: &ListQuery) -> Result<Page<Entry>> {
        let filters = [&query.tag, &query.kind, &query.source];
        if filters
            .iter()
            .any(|f| f.as_ref().is_some_and(|f| f.contains('\0')))
        {
            return Err(Error::invalid("A filter cannot hold a NUL character."));
        }
        let filter = format!("entries {} {filters:?}", caller.org);
        let (limit, start) = self
            .cursors
            .read(query.cursor.as_deref(), query.limit, &filter)?;
        let rows = store::list(&self.db, caller.org, query, start, limit + 1).await?;
        Ok(self.cursors.page(rows, limit, &filter, |entry| {
            let (at, id) = (entry.created_at, entry.id.0);
            (Cursor { at, id }, entry)
        }))
    }

    pub async fn get(&self, caller: &Caller, id: EntryId) -> Result<EntryWithContent> {
        store::get(&self.db, caller.org, id).await
    }

    pub async fn delete(&self, caller: &Caller, id: EntryId) -> Result<()> {
        let mut tx = self.db.begin().await?;
        let generation = store::advance(&mut *tx, caller.org).await?;
        if !store::bury(&mut *tx, caller.org, (id, generation), self.clock.now()).await? {
            return Err(Error::not_found("entry"));
        }
        store::delete_chunks(&mut *tx, caller.org, id).await?;
        let did = caller.did(Action::KnowledgeEntryDeleted, target(id));
        record(&mut tx, &[did]).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Checks an entry and cuts it; a long one takes a thread for a while, so that is bounded.
    async fn prepare(&self, new: NewEntry) -> Result<Prepared> {
        check(&new, &self.config)?;
        let permit = Arc::clone(&self.cutting)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        let (ids, config) = (self.ids.clone(), Arc::clone(&self.config));
        let cutting = self.tasks.spawn_blocking(move || {
            let _permit = permit;
            let outline = Outline::of(&new.content);
            let title = new
                .title
                .or_else(|| outline.title(&new.content, config.title_bytes_max))
                .ok_or_else(|| blank("/title"))?;
            let mut tags = new.tags;
            tags.sort_unstable();
            tags.dedup();
            let kind = new.kind.unwrap_or_else(|| TYPE_DEFAULT.to_owned());
            let chunks = chunks::cut(&new.content, &title, &outline, &config);
            let mut parts = vec![title.as_str(), new.content.as_str(), kind.as_str()];
            parts.extend(tags.iter().map(String::as_str));
            Ok(Prepared {
                digest: digest(&parts),
                title,
                content: new.content,
                tags,
                kind,
                source: new.source,
                chunks: chunks
                    .into_iter()
                    .map(|chunk| (ids.next(), chunk))
                    .collect(),
            })
        });
        cutting.await.map_err(Error::internal)?
    }
}

fn target(id: EntryId) -> Target {
    Target::new("knowledge_entry", id)
}

fn digest(parts: &[&str]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().to_vec()
}

fn blank(pointer: &str) -> Error {
    Error::unprocessable("The entry is empty.").field(pointer, "must hold text that can be read")
}

fn check(new: &NewEntry, config: &Config) -> Result<()> {
    let refuse = |pointer: &str, detail: String| {
        Err(Error::unprocessable("The entry cannot be kept.").field(pointer, detail))
    };
    if new.content.len() > config.entry_bytes_max {
        return refuse(
            "/content",
            format!("must be at most {} bytes: split it", config.entry_bytes_max),
        );
    }
    if new.content.contains('\0') {
        return refuse("/content", "cannot hold a NUL character".into());
    }
    if new.content.trim().is_empty() {
        return Err(blank("/content"));
    }
    let lines = [
        ("/title", new.title.as_ref(), config.title_bytes_max),
        ("/source", new.source.as_ref(), config.source_bytes_max),
    ];
    for (pointer, text, bytes_max) in lines {
        if text.is_some_and(|text| !is_line(text, bytes_max)) {
            return refuse(pointer, line_rule(bytes_max));
        }
    }
    if new.kind.as_deref().is_some_and(|kind| !is_name(kind)) {
        return refuse(
            "/type",
            "use a-z, 0-9 and `-`, a letter first, at most 63".into(),
        );
    }
    if new.tags.len() > config.tags_max {
        return refuse("/tags", format!("must be at most {}", config.tags_max));
    }
    for (place, tag) in new.tags.iter().enumerate() {
        if !is_line(tag, config.tag_bytes_max) {
            return refuse(&format!("/tags/{place}"), line_rule(config.tag_bytes_max));
        }
    }
    Ok(())
}

fn is_line(text: &str, bytes_max: usize) -> bool {
    text.len() <= bytes_max && !text.trim().is_empty() && !text.chars().any(char::is_control)
}

fn line_rule(bytes_max: usize) -> String {
    format!("must be 1 to {bytes_max} bytes, not blank, without control characters")
}
