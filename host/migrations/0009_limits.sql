-- limits that an organization or one version of an agent was given, and the sets of limits that runs were started
-- with.

-- {"fuel": 1000000, …}: what is not in it is not set. one row at most for each organization.
create table org_limits (
  org_id uuid not null,
  limits jsonb not null,
  updated_at timestamptz not null,
  updated_by uuid not null,
  constraint org_limits_pkey primary key (org_id),
  constraint org_limits_org_id_fkey foreign key (org_id) references organizations (id)
);

create table version_limits (
  org_id uuid not null,
  agent_id uuid not null,
  version integer not null,
  limits jsonb not null,
  updated_at timestamptz not null,
  updated_by uuid not null,
  constraint version_limits_pkey primary key (org_id, agent_id, version),
  constraint version_limits_version_fkey foreign key (org_id, agent_id, version)
    references agent_versions (org_id, agent_id, number)
);

-- what bound a run when it started, each limit with its value and where it came from, by the digest of that text.
-- kept once, however many runs had it; no row is ever changed.
create table limit_sets (
  digest bytea not null,
  limits json not null,
  created_at timestamptz not null,
  constraint limit_sets_pkey primary key (digest)
);

-- a run goes on under these, whichever host takes it up and whatever was configured since. no foreign key: see runs.
-- null for runs that were started before there were any.
alter table runs add column limits_digest bytea;
