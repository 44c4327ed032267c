//! The operator on a real control plane: the test bed of this repository.

mod access;
mod bed;
mod conditions;
mod faults;
mod life;
mod operator;
mod reads;
mod source;
mod takeover;
mod world;
