-- what agents keep for a conversation: texts under keys, as the runs that have ended left them.

create table conversation_memory (
  org_id uuid not null,
  conversation_id uuid not null,
  -- in the order of its bytes, as guests are told keys.
  key text collate "C" not null,
  value text not null,
  -- the run that wrote it, and when.
  run_id uuid not null,
  written_at timestamptz not null,
  -- whether the version that wrote it keeps personal data from clients.
  hides_pii boolean not null,
  constraint conversation_memory_pkey primary key (org_id, conversation_id, key)
);
