-- channels beyond stable: a canary with its share, the way back, the history of moves; labels and deleted versions.

-- the version some of the runs take, and how many: each conversation, or run of none, chooses by a hash of its id.
alter table agent_channels add column canary integer;
alter table agent_channels add column weight double precision;
-- the versions that were stable before, the latest last: what a rollback goes back to.
alter table agent_channels add column earlier integer[] not null default '{}';
alter table agent_channels add constraint agent_channels_canary_fkey foreign key (org_id, agent_id, canary)
  references agent_versions (org_id, agent_id, number);
alter table agent_channels add constraint agent_channels_weight_check
  check ((canary is null) = (weight is null) and (weight is null or (weight > 0 and weight <= 1)));

-- one row for each move of a channel; no row is ever changed.
create table agent_channel_moves (
  org_id uuid not null,
  id uuid not null,
  agent_id uuid not null,
  action text not null,
  channel text not null,
  -- where the channel pointed afterwards, and before; null where it pointed nowhere.
  version integer,
  previous integer,
  weight double precision,
  -- open conversations that chose again.
  repinned bigint not null,
  -- what the version was allowed to ask for beyond the stable one.
  approved text[] not null,
  -- the key that did it; null where the host did.
  moved_by uuid,
  -- why the host did it.
  reason text,
  moved_at timestamptz not null,
  constraint agent_channel_moves_pkey primary key (org_id, id),
  constraint agent_channel_moves_agent_fkey foreign key (org_id, agent_id) references agents (org_id, id),
  constraint agent_channel_moves_action_check check (action in ('promoted', 'canary_updated', 'rolled_back')),
  constraint agent_channel_moves_channel_check check (channel in ('stable', 'canary'))
);
create index agent_channel_moves_time_idx on agent_channel_moves (org_id, agent_id, moved_at desc, id desc);

-- a name beside the number, which never changes.
alter table agent_versions add column label text;
alter table agent_versions add constraint agent_versions_label_check check (label ~ '^[A-Za-z][A-Za-z0-9._-]{0,62}$');
-- its row stays, because runs name it; its bytes go once nothing needs them.
alter table agent_versions add column deleted_at timestamptz;
create unique index agent_versions_label_key on agent_versions (org_id, agent_id, label);
create index agent_versions_digest_idx on agent_versions (digest);
create index agent_versions_deleted_idx on agent_versions (digest) where deleted_at is not null;

-- when the bytes were taken away; the same bytes uploaded again bring them back.
alter table components add column collected_at timestamptz;
create index components_collected_idx on components (digest) where collected_at is not null;
