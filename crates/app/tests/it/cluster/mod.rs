//! The operator on a real control plane: the test bed of this repository.

mod bed;
mod conditions;
mod life;
mod operator;
mod source;
mod world;
