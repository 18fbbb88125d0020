//! The generated bindings of the contract's `guarded-agent` world, read from `wit/`.
//! Only `host/component.rs` and the expansion of `#[agent]` use them: nothing of them is API.

wit_bindgen::generate!({
    path: "../wit",
    world: "guarded-agent",
    pub_export_macro: true,
    default_bindings_module: "bulkhead_sdk::__private::bindings",
});
