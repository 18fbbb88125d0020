-- what a node says of itself, for operators and for the nodes beside it. a host of before leaves it empty.

alter table nodes add column version text;
-- the newest contract its guests may be written against: what it can run.
alter table nodes add column contract text;
alter table nodes add column address text;
-- places for runs, and how many of them were free at the last heartbeat.
alter table nodes add column places integer;
alter table nodes add column free integer;
-- how old its heartbeat may be, as it was configured.
alter table nodes add column dead_after_ms bigint;
alter table nodes add column draining_at timestamptz;
