//! The invariants by name: what `doctor --invariants` lists, and what tests plant violations of.

/// The invariants the database can answer for, by the names that ARCHITECTURE.md explains.
pub const CHECKED: &[(&str, &str)] = &[
    (
        "I1",
        "an ended run has exactly one terminal event, an open one has none",
    ),
    (
        "I2",
        "a run's events are numbered from 1 without a gap; the first is `started`, the last the terminal one",
    ),
    (
        "I3",
        "an open run is covered by a node that was alive within the last 30 s, or waits to go on since less than that",
    ),
    (
        "I4",
        "a run had more terms than deaths and no fewer than attempts; an outcome is of the effect that was begun",
    ),
    (
        "I5",
        "an ended run has exactly one usage row, which says what its last event and its generations say; an open one has none; sums are the rows",
    ),
    (
        "I6",
        "every billing row is exported once or waits, and the rows of a day are what was reported of it, no more than was used",
    ),
    (
        "I7",
        "every event that was announced becomes deliveries, and every delivery that waits will be sent",
    ),
    (
        "I8",
        "every audit row is what its hash was made of, none is missing, and checkpoints are signed over them",
    ),
    (
        "I9",
        "every event, step, intent and usage row belongs to a run of its own organization",
    ),
    ("I10", "no API key is in any event, step, output or log"),
    ("I13", "a run names a deployed version and kept limits"),
    (
        "I14",
        "no run was lost to a panic or another failure of the host itself",
    ),
    (
        "I15",
        "a run that a guardrail ended has one violation of its stop reason and one `blocked` event, others have none; who is told of it is told of both its events",
    ),
    (
        "I16",
        "a conversation has a question for each of its runs and an answer for each that ended; an open run of one is the one it waits for",
    ),
    (
        "I17",
        "what a conversation remembers is what the last of its ended runs to write it wrote; an archived one remembers nothing",
    ),
];
