//! Brokers and queues.

mod beanstalkd;
mod rabbitmq;
