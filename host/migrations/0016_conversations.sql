-- conversations: what groups runs, keeps what was said in them, and pins the version that answers.

create table conversations (
  org_id uuid not null,
  id uuid not null,
  agent_id uuid not null,
  -- whose it is: to every other key it does not exist.
  key_id uuid not null,
  -- the version its runs take, and the channel it came by; null until its first run, the channel where it was named.
  version integer,
  channel text,
  -- how many runs it had: what was asked and answered in each is kept under its number.
  turns integer not null default 0,
  -- the run that goes on; there is one at a time.
  open_run uuid,
  created_at timestamptz not null,
  archived_at timestamptz,
  constraint conversations_pkey primary key (org_id, id),
  constraint conversations_agent_fkey foreign key (org_id, agent_id) references agents (org_id, id),
  constraint conversations_turns_check check (turns >= 0)
);
create index conversations_own_idx on conversations (org_id, agent_id, key_id, created_at desc, id desc);
-- who keeps a version in use.
create index conversations_version_idx on conversations (org_id, agent_id, version) where archived_at is null;

-- the user's row is written with the beginning of a run, the assistant's with its end. no foreign keys: see runs.
create table conversation_messages (
  org_id uuid not null,
  conversation_id uuid not null,
  turn integer not null,
  role text not null,
  -- [{"type": "text", "text": …}]
  content json not null,
  run_id uuid not null,
  version integer not null,
  -- why the run ended; of the assistant's row.
  stop_reason text,
  created_at timestamptz not null,
  constraint conversation_messages_pkey primary key (org_id, conversation_id, turn, role),
  constraint conversation_messages_role_check check (role in ('user', 'assistant')),
  constraint conversation_messages_end_check check ((role = 'assistant') = (stop_reason is not null))
);

-- null for a run that is of no conversation.
alter table runs add column conversation_id uuid;
