-- charging for usage through a payment provider: which days have something to report, what is reported, who is which
-- customer there, and what was heard.

-- the first day that is reported: the one on which a host first ran with a provider.
create table billing_since (
  one boolean not null default true,
  day date not null,
  constraint billing_since_pkey primary key (one),
  constraint billing_since_one_check check (one)
);

-- days of usage, with what of them stands in rows to report.
create table billing_days (
  org_id uuid not null,
  day date not null,
  -- the day's sums changed, and nobody has looked since.
  waits boolean not null default true,
  runs bigint not null default 0,
  input_tokens bigint not null default 0,
  output_tokens bigint not null default 0,
  constraint billing_days_pkey primary key (org_id, day)
);
create index billing_days_waits_idx on billing_days (day, org_id) where waits;

-- triggers write them, so that what a host of before adds up is reported as well.
create function billing_days_mark() returns trigger language plpgsql as $$
begin
  insert into billing_days as d (org_id, day) select distinct org_id, day from changed order by org_id, day
  on conflict on constraint billing_days_pkey do update set waits = true where not d.waits;
  return null;
end $$;
create trigger usage_rollups_new after insert on usage_rollups
  referencing new table as changed for each statement execute function billing_days_mark();
create trigger usage_rollups_grown after update on usage_rollups
  referencing new table as changed for each statement execute function billing_days_mark();

-- what is reported, a row for each report: what a day's sums say of one meter beyond the rows before. never deleted, and
-- its id is the identifier at the provider.
create table billing_rows (
  org_id uuid not null,
  id uuid not null,
  meter text not null,
  day date not null,
  value bigint not null,
  -- when it is reported to have been used.
  at timestamptz not null,
  -- waiting: nothing of it can have arrived. attempted: it may have. exported: it has, or a person says so.
  -- reconcile: a person has to look.
  state text not null,
  -- why a person has to look.
  reason text,
  attempts integer not null default 0,
  -- answers that the provider keeps under its idempotency key and that were failures: the next attempt has another key.
  failed_answers integer not null default 0,
  -- the first attempt that may have arrived.
  first_attempt_at timestamptz,
  -- how often the provider said that it has it.
  exports integer not null default 0,
  settled_at timestamptz,
  -- who settled it by hand.
  settled_by text,
  -- what the provider said last.
  said text,
  constraint billing_rows_pkey primary key (org_id, id),
  constraint billing_rows_org_id_fkey foreign key (org_id) references organizations (id),
  constraint billing_rows_meter_check check (meter in ('runs', 'input_tokens', 'output_tokens')),
  constraint billing_rows_value_check check (value > 0),
  constraint billing_rows_state_check check (state in ('waiting', 'attempted', 'exported', 'reconcile'))
);
create unique index billing_rows_id_key on billing_rows (id);
create index billing_rows_day_idx on billing_rows (org_id, day, meter);
create index billing_rows_open_idx on billing_rows (org_id, at, id) where state in ('waiting', 'attempted');
create index billing_rows_reconcile_idx on billing_rows (org_id, at, id) where state = 'reconcile';

-- organizations as customers of the provider, and the queue of each: one host at a time reports for one of them.
create table billing_customers (
  org_id uuid not null,
  -- its name there; null until it is made.
  customer text,
  -- how often its making was given up, and when it was asked for first since.
  given_up integer not null default 0,
  asked_at timestamptz,
  failures integer not null default 0,
  not_before timestamptz,
  lease uuid,
  leased_until timestamptz,
  -- what decided the tier, and when that was made: what is older changes nothing.
  subscription text,
  heard_at timestamptz,
  constraint billing_customers_pkey primary key (org_id),
  constraint billing_customers_customer_key unique (customer),
  constraint billing_customers_org_id_fkey foreign key (org_id) references organizations (id)
);

-- events that were heard: one that comes again changes nothing.
create table billing_events (
  id text not null,
  at timestamptz not null,
  -- false where it was refused: it may be sent again once what was wrong is put right.
  taken boolean not null,
  constraint billing_events_pkey primary key (id)
);
create index billing_events_at_idx on billing_events (at);
