//! Brokers and queues.

mod beanstalkd;
mod liiklus;
mod rabbitmq;
mod temporal;
