-- where a run stands in a trace: what its lives are children of, on whichever host they are; null without traces.
alter table runs add column traceparent text;
