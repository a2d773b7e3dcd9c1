//! The thread that the control API lives on.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, watch};

use super::{Api, Backend, connection, routes};
use crate::server::service::Watchdog;
use crate::server::socket::peer::Admission;

/// How many threads may block for the API at once.
const BLOCKING_MAX: usize = 16;

/// How long to wait after the system had no descriptor for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long connections may take to end when the daemon stops.
const STOP_PATIENCE: Duration = Duration::from_secs(2);

/// Bounds on clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// How many may be connected at once; further ones wait in the socket's queue.
    pub connections_max: u32,
    /// How long a client may take to send the head of a request; also how long a connection may be idle.
    pub head_patience: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { connections_max: 256, head_patience: Duration::from_secs(30) }
    }
}

/// The running control API. Dropping it stops it.
#[derive(Debug)]
pub struct Control {
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Control {
    /// Starts answering on a socket. `ended` is called if the thread ends for any reason but [`Control::stop`].
    pub fn start(
        listener: UnixListener,
        backend: Arc<dyn Backend>,
        admission: Admission,
        limits: Limits,
        ended: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<Control> {
        listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .max_blocking_threads(BLOCKING_MAX)
            .thread_name("control-work")
            .build()?;
        let (stop, stopped) = watch::channel(false);
        let router = routes::router(Api::new(backend));
        let server = Server { router, admission: Arc::new(admission), limits, stop: stopped.clone() };
        let thread = std::thread::Builder::new().name("control".to_owned()).spawn(move || {
            // Whether it returns or panics, whoever waits for requests must hear of it.
            let guard = Ended { tell: Some(ended), stopped };
            if let Err(error) = runtime.block_on(server.run(listener)) {
                log::error!("the control socket cannot be used any more: {error}");
            }
            // Requests that are still being worked on do not hold the daemon up.
            runtime.shutdown_timeout(STOP_PATIENCE);
            drop(guard);
        })?;
        Ok(Control { stop, thread: Some(thread) })
    }

    /// Takes no more connections, lets answers end, bounded, and returns when the thread has ended.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            // A panic in there was logged by the panic hook; there is nothing left to stop.
            let _ = thread.join();
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.end();
    }
}

/// Tells that the thread has ended unasked.
struct Ended<F: FnOnce()> {
    tell: Option<F>,
    stopped: watch::Receiver<bool>,
}

impl<F: FnOnce()> Drop for Ended<F> {
    fn drop(&mut self) {
        if !*self.stopped.borrow()
            && let Some(tell) = self.tell.take()
        {
            tell();
        }
    }
}

struct Server {
    router: axum::Router,
    admission: Arc<Admission>,
    limits: Limits,
    stop: watch::Receiver<bool>,
}

impl Server {
    async fn run(self, listener: UnixListener) -> std::io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let _watchdog = Watchdog::start();
        let places_max = self.limits.connections_max.max(1);
        let places = Arc::new(Semaphore::new(places_max as usize));
        let mut stop = self.stop.clone();
        loop {
            // A place first: who cannot be served yet waits in the kernel's queue and costs nothing.
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                () = connection::stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, place)) => {
                    let served = connection::serve(
                        stream,
                        self.router.clone(),
                        Arc::clone(&self.admission),
                        self.limits,
                        self.stop.clone(),
                    );
                    tokio::spawn(async move {
                        served.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    // Out of descriptors or memory: both come back when connections close.
                    log::error!("cannot accept a connection: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        // Every place is free again when the last connection has ended.
        let _ = tokio::time::timeout(STOP_PATIENCE, places.acquire_many(places_max)).await;
        Ok(())
    }
}

async fn accept(
    listener: &tokio::net::UnixListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    if places.available_permits() == 0 {
        log::warn!("as many clients are connected as [server] connections_max allows; the next one waits");
    }
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}
