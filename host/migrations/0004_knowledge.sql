-- knowledge: what an organization curates. the search index of a node is rebuilt from here and catches up by generation.

create table knowledge_orgs (
  org_id uuid not null,
  -- grows by one with every change of the org's entries; the row's lock puts changes in order.
  generation bigint not null,
  -- tombstones up to this generation are gone: an index that stands before it is rebuilt.
  forgotten_generation bigint not null default 0,
  constraint knowledge_orgs_pkey primary key (org_id),
  constraint knowledge_orgs_org_id_fkey foreign key (org_id) references organizations (id)
);

create table knowledge_entries (
  org_id uuid not null,
  id uuid not null,
  -- where it came from, such as a path; a second ingest of the same source replaces the entry.
  source text,
  title text not null,
  content text not null,
  tags text[] not null,
  type text not null,
  -- of title, content, tags and type together: the same again is no change.
  digest bytea not null,
  content_bytes integer not null,
  chunks integer not null,
  -- the generation that last changed it; a deleted entry stays as a tombstone without content until indexes passed it.
  generation bigint not null,
  deleted_at timestamptz,
  created_at timestamptz not null,
  updated_at timestamptz not null,
  constraint knowledge_entries_pkey primary key (org_id, id),
  constraint knowledge_entries_org_id_fkey foreign key (org_id) references organizations (id)
);
create unique index knowledge_entries_source_key on knowledge_entries (org_id, source) where deleted_at is null;
create index knowledge_entries_generation_idx on knowledge_entries (org_id, generation);
create index knowledge_entries_created_idx on knowledge_entries (org_id, created_at desc, id desc) where deleted_at is null;
create index knowledge_entries_deleted_idx on knowledge_entries (deleted_at) where deleted_at is not null;

create table knowledge_chunks (
  org_id uuid not null,
  id uuid not null,
  entry_id uuid not null,
  -- its place within the entry, from 0.
  position integer not null,
  -- the headings it stands under, outermost first, joined by ' > '.
  heading text not null,
  -- byte offsets into the entry's content.
  start_byte integer not null,
  end_byte integer not null,
  content text not null,
  constraint knowledge_chunks_pkey primary key (org_id, id),
  constraint knowledge_chunks_entry_fkey foreign key (org_id, entry_id)
    references knowledge_entries (org_id, id) on delete cascade
);
create index knowledge_chunks_entry_idx on knowledge_chunks (org_id, entry_id, position);
