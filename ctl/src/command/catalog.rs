//! `ctl catalog`: what a catalog makes of names, and what is there.

use std::path::Path;

use protocol::{CatalogList, CatalogRequest, ExistsList, Filter, VersionList, exit, path};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::show;
use crate::args::{CatalogCommand, DaemonArgs, PipelineArgs, RunArgs};
use crate::error::Error;
use crate::render::catalog;
use crate::render::paint::Paint;
use crate::screen::Screen;
use crate::session::Session;
use crate::source;

pub(super) async fn perform(command: &CatalogCommand, socket: Option<&Path>, screen: &mut Screen) -> Result<u8, Error> {
    match command {
        CatalogCommand::List(list) => {
            let question = Question { path: path::CATALOG, pipeline: &list.pipeline, names: &[], daemon: &list.daemon };
            question.ask(socket, screen, |list: &CatalogList, paint| catalog::list(list, paint)).await
        }
        CatalogCommand::Resolve(resolve) => {
            let (pipeline, names) = (&resolve.pipeline, &*resolve.names);
            let question = Question { path: path::CATALOG, pipeline, names, daemon: &resolve.daemon };
            question.ask(socket, screen, |list: &CatalogList, paint| catalog::resolved(list, paint)).await
        }
        CatalogCommand::Exists(exists) => {
            let (pipeline, names) = (&exists.pipeline, &*exists.names);
            let question = Question { path: path::CATALOG_EXISTS, pipeline, names, daemon: &exists.daemon };
            let list = question.answer::<ExistsList>(socket).await?;
            show(screen, &list, catalog::exists)?;
            let all = list.datasets.iter().all(|dataset| dataset.exists == Some(true));
            Ok(if all { exit::OK } else { exit::NOT_FOUND })
        }
        CatalogCommand::Versions(versions) => {
            let (pipeline, names) = (&versions.pipeline, &*versions.names);
            let question = Question { path: path::CATALOG_VERSIONS, pipeline, names, daemon: &versions.daemon };
            question.ask(socket, screen, |list: &VersionList, paint| catalog::versions(list, paint)).await
        }
    }
}

/// What is asked, and of whom.
struct Question<'a> {
    path: &'static str,
    pipeline: &'a PipelineArgs,
    names: &'a [String],
    daemon: &'a DaemonArgs,
}

impl Question<'_> {
    async fn ask<T: Serialize + DeserializeOwned>(
        &self,
        socket: Option<&Path>,
        screen: &mut Screen,
        render: impl FnOnce(&T, Paint) -> String,
    ) -> Result<u8, Error> {
        let answer = self.answer::<T>(socket).await?;
        show(screen, &answer, render)
    }

    async fn answer<T: DeserializeOwned>(&self, socket: Option<&Path>) -> Result<T, Error> {
        let submission = source::submission(self.pipeline, &RunArgs::default())?;
        if submission.filter != Filter::default() {
            return Err(Error::usage("`ctl catalog` looks at the whole pipeline, whichever nodes run")
                .hint("leave the filters out, and name the datasets that are of interest"));
        }
        let request = CatalogRequest { submission, datasets: self.names.to_vec() };
        let session = Session::open(socket, self.daemon)?;
        let answer = session.client.post::<T>(self.path, &request).await;
        session.close(answer).await.map_err(|error| error.about(&request.submission))
    }
}
