//! Hostile guests: a corpus of rows, each a guest and how it must end, run alone, many at once and many in a row beside
//! a polite neighbour; and the scenarios that need more than one guest. Nothing here is judged by the clock: figures
//! are printed.

mod cancel;
mod corpus;
mod crowd;
mod neighbour;
mod row;
mod rows;
mod same;
mod streams;
