//! What is noticed by the way while a source is read: requests that were sent, answers without a value.
//!
//! Clients and triggers [`note`] it where it happens, and know nothing of who wants it. The sampler collects it, for one
//! reading at a time.

use std::cell::RefCell;
use std::future::Future;
use std::time::Duration;

/// Something that happened during a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// An HTTP request was sent.
    Exchange {
        /// The status of the answer; `None` when there was none.
        status: Option<u16>,
        /// Time until the head of the answer was there, or until none was to be expected.
        took: Duration,
    },
    /// A source answered without a value.
    Empty {
        /// Whether that counts as 0, and not as an error.
        ignored: bool,
    },
}

tokio::task_local! {
    static NOTICES: RefCell<Vec<Notice>>;
}

/// Notes what happened. Outside of a reading nobody wants to know.
pub fn note(notice: Notice) {
    let _ = NOTICES.try_with(|notices| notices.borrow_mut().push(notice));
}

/// Carries out `work`, and gives what was noted meanwhile by the same task.
pub(crate) async fn collect<F: Future>(work: F) -> (F::Output, Vec<Notice>) {
    let collected = async {
        let output = work.await;
        (output, NOTICES.with(RefCell::take))
    };
    NOTICES.scope(RefCell::default(), collected).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_noted_belongs_to_the_reading_that_is_in_progress() {
        note(Notice::Empty { ignored: false });
        let ((), notices) = collect(async { note(Notice::Empty { ignored: true }) }).await;
        assert_eq!(notices, [Notice::Empty { ignored: true }]);
    }
}
