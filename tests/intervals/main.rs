//! Interval subscriptions: who is told, who waits, and when the set of subscriptions changes.

mod bounds;
mod collision;
mod common;
mod historic;
mod kinds;
mod may_not_sleep;
mod membership;
mod phases;
mod properties;
#[path = "../support/property.rs"]
mod property;
mod ranges;
mod release;
#[path = "../support/mod.rs"]
mod support;
