//! The thread that the control API lives on.

use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{Semaphore, mpsc, watch};

use super::{Api, Backend, connection, routes};
use crate::server::service::Pulse;
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
    own: mpsc::UnboundedSender<std::os::unix::net::UnixStream>,
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
        let (own, own_connections) = mpsc::unbounded_channel();
        let router = routes::router(Api::new(backend));
        let server = Server { router, admission: Arc::new(admission), limits, own_connections, stop: stopped.clone() };
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
        Ok(Control { stop, own, thread: Some(thread) })
    }

    /// A way to the control thread for the daemon itself: a connection handed over here is served like any other, but takes
    /// no client's place. False when the thread has ended.
    pub fn pulse(&self) -> Pulse {
        let own = self.own.clone();
        Box::new(move |connection| own.send(connection).is_ok())
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
    own_connections: mpsc::UnboundedReceiver<std::os::unix::net::UnixStream>,
    stop: watch::Receiver<bool>,
}

impl Server {
    async fn run(mut self, listener: UnixListener) -> std::io::Result<()> {
        let listener = tokio::net::UnixListener::from_std(listener)?;
        let places_max = self.limits.connections_max.max(1);
        let places = Arc::new(Semaphore::new(places_max as usize));
        let mut stop = self.stop.clone();
        loop {
            // A place first: who cannot be served yet waits in the kernel's queue and costs nothing.
            let accepted = tokio::select! {
                accepted = accept(&listener, &places) => accepted,
                Some(own) = self.own_connections.recv() => {
                    if let Ok(stream) = own.set_nonblocking(true).and_then(|()| tokio::net::UnixStream::from_std(own)) {
                        tokio::spawn(self.serve(stream));
                    }
                    continue;
                }
                () = connection::stopped(&mut stop) => break,
            };
            match accepted {
                Ok((stream, place)) => {
                    let served = self.serve(stream);
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

    /// One connection, from its first request to its last.
    fn serve(&self, stream: tokio::net::UnixStream) -> impl Future<Output = ()> + use<> {
        let (router, admission) = (self.router.clone(), Arc::clone(&self.admission));
        connection::serve(stream, router, admission, self.limits, self.stop.clone())
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
