//! What the trigger makes of the figures of a queue.

use keda_core::sample::Sample;

use crate::trigger::float;

/// The figures of a queue, or of several together.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Figures {
    /// Messages in the queue.
    pub(super) messages: i64,
    /// Messages published per second.
    pub(super) publish_rate: f64,
    /// Messages delivered per second.
    pub(super) deliver_get_rate: f64,
}

impl Figures {
    /// A queue of which only the length is known.
    pub(super) fn of_length(messages: u32) -> Self {
        Figures { messages: i64::from(messages), ..Figures::default() }
    }
}

/// What to scale on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    QueueLength,
    MessageRate,
    DeliverGetRate,
    PublishedToDeliveredRatio,
    ExpectedQueueConsumptionTime,
}

impl Mode {
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        Ok(match name {
            "QueueLength" => Mode::QueueLength,
            "MessageRate" => Mode::MessageRate,
            "DeliverGetRate" => Mode::DeliverGetRate,
            "PublishedToDeliveredRatio" => Mode::PublishedToDeliveredRatio,
            "ExpectedQueueConsumptionTime" => Mode::ExpectedQueueConsumptionTime,
            other => {
                return Err(format!(
                    "trigger mode {other} must be one of QueueLength, MessageRate, DeliverGetRate, \
                    PublishedToDeliveredRatio or ExpectedQueueConsumptionTime"
                ));
            }
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Mode::QueueLength => "QueueLength",
            Mode::MessageRate => "MessageRate",
            Mode::DeliverGetRate => "DeliverGetRate",
            Mode::PublishedToDeliveredRatio => "PublishedToDeliveredRatio",
            Mode::ExpectedQueueConsumptionTime => "ExpectedQueueConsumptionTime",
        }
    }

    /// The value of the trigger. Where nothing is delivered, ratio and time have none: the activation value stands in,
    /// and the target is woken up if there is something to do.
    pub(super) fn sample(self, figures: Figures, activation: f64) -> Sample {
        let (messages, published, delivered) =
            (float(figures.messages), figures.publish_rate, figures.deliver_get_rate);
        match self {
            Mode::QueueLength => Sample::above(messages, activation),
            Mode::MessageRate => Sample { value: published, active: published > activation || messages > activation },
            Mode::DeliverGetRate => Sample::above(delivered, activation),
            Mode::PublishedToDeliveredRatio if published > 0.0 && delivered == 0.0 => {
                Sample { value: activation, active: true }
            }
            Mode::PublishedToDeliveredRatio if published > 0.0 => Sample::above(published / delivered, activation),
            Mode::PublishedToDeliveredRatio => Sample::above(0.0, activation),
            Mode::ExpectedQueueConsumptionTime if messages == 0.0 => Sample::above(0.0, activation),
            Mode::ExpectedQueueConsumptionTime if delivered == 0.0 => {
                Sample { value: activation, active: messages > 0.0 }
            }
            Mode::ExpectedQueueConsumptionTime => {
                Sample::above((published - delivered) / delivered + messages / delivered, activation)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mode_has_its_value_and_activity() {
        use Mode::{DeliverGetRate, ExpectedQueueConsumptionTime, MessageRate, PublishedToDeliveredRatio, QueueLength};
        let cases = [
            (QueueLength, (4, 0.0, 0.0), 4.0, (4.0, false)),
            (QueueLength, (5, 0.0, 0.0), 4.0, (5.0, true)),
            (MessageRate, (1, 0.0, 0.0), 0.0, (0.0, true)),
            (MessageRate, (0, 1.4, 0.0), 0.0, (1.4, true)),
            (DeliverGetRate, (9, 9.0, 2.0), 2.0, (2.0, false)),
            (PublishedToDeliveredRatio, (0, 3.0, 2.0), 0.5, (1.5, true)),
            (PublishedToDeliveredRatio, (0, 1.4, 0.0), 0.5, (0.5, true)),
            (PublishedToDeliveredRatio, (0, 0.0, 2.0), 0.5, (0.0, false)),
            (ExpectedQueueConsumptionTime, (30, 5.0, 1.0), 0.0, (34.0, true)),
            (ExpectedQueueConsumptionTime, (20, 0.0, 10.0), 0.0, (1.0, true)),
            (ExpectedQueueConsumptionTime, (5, 0.0, 0.0), 2.0, (2.0, true)),
            (ExpectedQueueConsumptionTime, (0, 7.0, 1.0), 2.0, (0.0, false)),
        ];
        for (mode, (messages, publish_rate, deliver_get_rate), activation, (value, active)) in cases {
            let figures = Figures { messages, publish_rate, deliver_get_rate };
            assert_eq!(mode.sample(figures, activation), Sample { value, active }, "{mode:?} {figures:?}");
        }
    }
}
