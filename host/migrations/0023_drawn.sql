-- canaries are judged by the runs that drew their lot, and a canary that the host ended is left by its conversations also
-- where a host died meanwhile.

-- the run named the channel itself, or its conversation did when it was pinned: it says nothing of a share.
alter table runs add column channel_named boolean not null default false;
-- the run was given less time or fuel by who started it: that it ran out of it is not the version's failure.
alter table runs add column bounds_named boolean not null default false;
-- its first run named the channel.
alter table conversations add column channel_named boolean not null default false;

-- the runs that drew the canary, found without those that named it.
create index runs_drawn_canary_idx on runs (org_id, agent_id, version, created_at)
  where channel = 'canary' and not channel_named;

-- versions that the host ended as canaries: open conversations are moved off them until none was found for a while.
create table withdrawn_canaries (
  org_id uuid not null,
  agent_id uuid not null,
  version integer not null,
  -- by the database's clock, which all hosts share.
  withdrawn_at timestamptz not null,
  constraint withdrawn_canaries_pkey primary key (org_id, agent_id, version),
  constraint withdrawn_canaries_agent_fkey foreign key (org_id, agent_id) references agents (org_id, id)
);
create index withdrawn_canaries_time_idx on withdrawn_canaries (withdrawn_at);
