//! The operator on a real control plane: the test bed of this repository.

mod access;
mod api;
mod bed;
mod conditions;
mod faults;
mod least;
mod life;
mod obstacles;
mod operator;
mod program;
mod reads;
mod roles;
mod settled;
mod source;
mod takeover;
mod world;
