//! The generated bindings of the contract's worlds, read from `wit/`: `guarded-agent` here, `guardrail` below.
//! Only `host/` and the expansions of `#[agent]` and `#[guardrail]` use them: nothing of them is API.

wit_bindgen::generate!({
    path: "../wit",
    world: "guarded-agent",
    pub_export_macro: true,
    default_bindings_module: "bulkhead_sdk::__private::bindings",
});

/// Those of a guardrail component.
pub mod guardrail {
    wit_bindgen::generate!({
        path: "../wit",
        world: "guardrail",
        pub_export_macro: true,
        default_bindings_module: "bulkhead_sdk::__private::bindings::guardrail",
    });
}
