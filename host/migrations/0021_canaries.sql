-- canaries that judge themselves: what one may be worse in than stable, since when its runs count, and who looked last.

create table agent_canaries (
  org_id uuid not null,
  agent_id uuid not null,
  -- the version that is judged; where the canary is another one by now, the row means nothing.
  version integer not null,
  -- its runs count from here on.
  since timestamptz not null,
  -- how many runs it and stable must have had each.
  min_runs integer not null,
  -- parts of one above stable's.
  failure_rate_above double precision,
  block_rate_above double precision,
  -- times stable's.
  p95_times double precision,
  cost_times double precision,
  -- one node at a time looks: whoever moves this on.
  judged_at timestamptz not null,
  constraint agent_canaries_pkey primary key (org_id, agent_id),
  constraint agent_canaries_agent_fkey foreign key (org_id, agent_id) references agents (org_id, id),
  constraint agent_canaries_min_check check (min_runs > 0),
  constraint agent_canaries_above_check check (failure_rate_above >= 0 and block_rate_above >= 0),
  constraint agent_canaries_times_check check (p95_times >= 1 and cost_times >= 1)
);
create index agent_canaries_judged_idx on agent_canaries (judged_at);

-- a canary's runs, found without those of stable, which are nearly all and pay nothing for it.
create index runs_canary_idx on runs (org_id, agent_id, version, created_at) where channel = 'canary';
