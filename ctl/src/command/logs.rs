//! `ctl logs`: what the nodes of a run have logged and printed.

use std::path::Path;

use protocol::{EventKind, LogLine, LogList, exit, path};

use crate::args::LogsCommand;
use crate::client::Client;
use crate::client::events::Next;
use crate::error::Error;
use crate::render::{log, units};
use crate::screen::Screen;
use crate::session::Session;

pub(super) async fn perform(command: &LogsCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    let session = Session::of_service(socket);
    let mut printer = Printer { client: &session.client, command, next: 1, screen, all: LogList::default() };
    printer.catch_up().await?;
    if command.follow {
        printer.follow().await?;
    } else if printer.screen.json {
        printer.all.next = printer.next;
        printer.screen.print_json(&printer.all)?;
    }
    Ok(exit::OK)
}

struct Printer<'a> {
    client: &'a Client,
    command: &'a LogsCommand,
    /// Number of the first line not yet printed.
    next: u64,
    screen: &'a mut Screen,
    /// The one document that --json prints when nothing is followed.
    all: LogList,
}

impl Printer<'_> {
    /// Prints every line the daemon has by now; it may hand them out in pieces.
    async fn catch_up(&mut self) -> Result<(), Error> {
        loop {
            let list: LogList = self.client.get(&path::run_logs(&self.command.run.id, self.next)).await?;
            self.all.missed += list.missed;
            if list.missed > 0 {
                let lost = units::count(list.missed, "line");
                self.screen.warn(&format!("{lost} are gone: a run's log is bounded, the oldest lines go first"));
            }
            for line in &list.lines {
                self.print(line)?;
            }
            if list.lines.is_empty() || list.next <= self.next {
                self.next = self.next.max(list.next);
                return Ok(());
            }
            self.next = list.next;
        }
    }

    fn print(&mut self, line: &LogLine) -> Result<(), Error> {
        if self.command.node.as_ref().is_some_and(|node| line.node.as_ref() != Some(node)) {
            return Ok(());
        }
        match (self.screen.json, self.command.follow) {
            (true, true) => self.screen.print_json_line(line),
            (true, false) => {
                self.all.lines.push(line.clone());
                Ok(())
            }
            (false, follow) => {
                let text = log::line(line, self.screen.out_paint);
                self.screen.print(&text)?;
                if follow { self.screen.finish() } else { Ok(()) }
            }
        }
    }

    /// Goes on as lines come, until the run is over. Events may overlap with what is printed, or leave a gap: the lines'
    /// own numbers decide, and the daemon is asked for what is missing.
    async fn follow(&mut self) -> Result<(), Error> {
        let id = &self.command.run.id;
        let mut events = self.client.events(&path::run_events(id, 0)).await?;
        loop {
            match events.next().await? {
                Next::Event(received) => match &received.event.kind {
                    EventKind::Log { line } if line.number == self.next || line.number == 0 => {
                        self.print(line)?;
                        self.next += u64::from(line.number > 0);
                    }
                    EventKind::Log { line } if line.number > self.next => self.catch_up().await?,
                    EventKind::RunFinished { .. } => return self.catch_up().await,
                    _ => {}
                },
                Next::End => return self.catch_up().await,
                Next::Cut(why) => {
                    return Err(Error::new(
                        exit::UNREACHABLE,
                        "connection-lost",
                        format!("lost sight of run {id}: the daemon does not answer any more"),
                    )
                    .cause(why)
                    .hint(format!("`ctl logs {id}` shows what is kept")));
                }
            }
        }
    }
}
