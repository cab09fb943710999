//! Asking several who should all know.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::CONNECT;
use crate::store::StoreError;

/// The next one is asked when the one before has not answered for this long.
const NEXT: Duration = Duration::from_millis(100);

/// The first answer. In random order, so that nobody who is wrong is believed for long; one who is silent holds nobody up.
pub(super) async fn first<T, F>(mut asked: Vec<F>) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    fastrand::shuffle(&mut asked);
    let mut answers: FuturesUnordered<_> = (0..)
        .zip(asked)
        .map(|(turn, asking)| async move {
            sleep(NEXT * turn).await;
            asking.await
        })
        .collect();
    let answer = async {
        let mut error = StoreError::Unavailable(None);
        while let Some(answer) = answers.next().await {
            match answer {
                Ok(answer) => return Ok(answer),
                Err(reason) => error = reason,
            }
        }
        Err(error)
    };
    timeout(CONNECT, answer).await.unwrap_or(Err(StoreError::Unavailable(None)))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use super::*;

    type Asking = Pin<Box<dyn Future<Output = Result<u8, StoreError>>>>;

    #[tokio::test]
    async fn the_silent_and_the_failing_hold_nobody_up() {
        for _ in 0..5 {
            let asked: Vec<Asking> = vec![
                Box::pin(std::future::pending()),
                Box::pin(async { Err(StoreError::Unavailable(None)) }),
                Box::pin(async { Ok(7) }),
            ];
            assert!(matches!(first(asked).await, Ok(7)));
        }
    }

    #[tokio::test]
    async fn when_nobody_answers_it_ends() {
        let asked: Vec<Asking> = vec![Box::pin(std::future::pending()), Box::pin(std::future::pending())];
        assert!(first(asked).await.is_err());
        assert!(first(Vec::<Asking>::new()).await.is_err());
    }
}
