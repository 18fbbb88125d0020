//! What `sync.rs` beside the scheduler names, of loom's make.

pub(super) use loom::sync::{Condvar, Mutex, MutexGuard};

/// Loom switches wherever it may; that a thread gives way adds no order, and loom's own would take some away.
pub(super) fn yield_now() {}

/// As much of tokio's oneshot as the scheduler uses: the receiver hears that the sender is gone.
pub(super) mod oneshot {
    use std::future::Future;
    use std::marker::PhantomData;
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use loom::sync::Mutex;

    #[derive(Default)]
    struct State {
        closed: bool,
        waiter: Option<Waker>,
    }

    pub(in super::super) struct Sender<T>(Arc<Mutex<State>>, PhantomData<T>);

    pub(in super::super) struct Receiver<T>(Arc<Mutex<State>>, PhantomData<T>);

    pub(in super::super) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let state = Arc::new(Mutex::new(State::default()));
        (
            Sender(Arc::clone(&state), PhantomData),
            Receiver(state, PhantomData),
        )
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut state = self.0.lock().expect("nobody panics under it");
            state.closed = true;
            let waiter = state.waiter.take();
            drop(state);
            if let Some(waiter) = waiter {
                waiter.wake();
            }
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = ();

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            let mut state = self.0.lock().expect("nobody panics under it");
            if state.closed {
                return Poll::Ready(());
            }
            state.waiter = Some(cx.waker().clone());
            Poll::Pending
        }
    }
}
