-- what was done, refused and delivered: append-only, one hash chain for each organization, signed now and then.

-- where an organization's chain ends. its row is the lock under which rows are appended.
create table audit_heads (
  org_id uuid not null,
  seq bigint not null,
  hash bytea not null,
  constraint audit_heads_pkey primary key (org_id),
  constraint audit_heads_org_id_fkey foreign key (org_id) references organizations (id),
  constraint audit_heads_hash_check check (octet_length(hash) = 32 and seq >= 0)
);

-- `hash` is the digest of the row before and of every column here; ledger/audit/chain.rs says how.
create table audit_entries (
  org_id uuid not null,
  -- 1, 2, 3… within the organization, whatever the source.
  seq bigint not null,
  source text not null,
  at timestamptz not null,
  -- `key`, `operator` or `host`, and which.
  actor text not null,
  actor_id text not null,
  action text not null,
  -- what kind of thing, and which.
  target text not null,
  target_id text not null,
  -- the names of the fields that were set; never their values.
  changed text[] not null,
  status text not null,
  -- why it was refused or failed.
  code text,
  request_id text,
  ip text,
  -- small, kept to the byte: it is part of the digest.
  detail json,
  hash bytea not null,
  constraint audit_entries_pkey primary key (org_id, seq),
  constraint audit_entries_source_check check (source in ('actions', 'provisioning', 'deliveries')),
  constraint audit_entries_hash_check check (octet_length(hash) = 32 and seq > 0)
);
create index audit_entries_at_idx on audit_entries (org_id, source, at desc, seq desc);

-- the keys that sign: the public half as it is shown, the secret half sealed with the host's master key.
create table audit_keys (
  id text not null,
  public_key bytea not null,
  secret_sealed bytea not null,
  created_at timestamptz not null,
  constraint audit_keys_pkey primary key (id)
);

-- "the chain of this organization had this hash at this row", signed.
create table audit_checkpoints (
  org_id uuid not null,
  seq bigint not null,
  hash bytea not null,
  at timestamptz not null,
  key_id text not null,
  signature bytea not null,
  constraint audit_checkpoints_pkey primary key (org_id, seq),
  constraint audit_checkpoints_key_id_fkey foreign key (key_id) references audit_keys (id)
);

create function audit_append_only() returns trigger language plpgsql as $$
begin
  raise exception '% is append-only: rows are never changed or removed', tg_table_name
    using errcode = 'insufficient_privilege', constraint = 'audit_append_only', table = tg_table_name;
end $$;

create function audit_head_forward() returns trigger language plpgsql as $$
begin
  if new.org_id is distinct from old.org_id or new.seq < old.seq or (new.seq = old.seq and new.hash <> old.hash) then
    raise exception 'the head of an audit chain only goes forward'
      using errcode = 'insufficient_privilege', constraint = 'audit_append_only', table = tg_table_name;
  end if;
  return new;
end $$;

create trigger audit_entries_append_only before update or delete or truncate on audit_entries
  for each statement execute function audit_append_only();
create trigger audit_checkpoints_append_only before update or delete or truncate on audit_checkpoints
  for each statement execute function audit_append_only();
create trigger audit_keys_append_only before update or delete or truncate on audit_keys
  for each statement execute function audit_append_only();
create trigger audit_heads_append_only before delete or truncate on audit_heads
  for each statement execute function audit_append_only();
create trigger audit_heads_forward before update on audit_heads
  for each row execute function audit_head_forward();
