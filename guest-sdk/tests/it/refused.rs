//! Wrong agents and tools, and the sentences they are refused with: each file in `refused/` beside what the compiler
//! says. `TRYBUILD=overwrite cargo test -p bulkhead-sdk --test it` writes the sentences anew.

#[test]
fn wrong_functions_are_refused_with_a_sentence_where_they_are_wrong() {
    trybuild::TestCases::new().compile_fail("tests/refused/*.rs");
}
