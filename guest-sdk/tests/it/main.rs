//! The SDK as its users meet it: agents and tools written with the attributes, run on the mock host.

mod agent_loop;
mod hello;
mod recorded;
mod refused;
mod tools;
