//! A page about a program: its commands one after the other, each with its options.

use std::fmt::Write as _;
use std::io;

use clap::Command;
use clap_mangen::Man;

use crate::roff::{escape, section, title};

/// What a page is made of.
pub struct Page {
    /// The command line.
    pub command: Command,
    /// The section of the manual.
    pub section: u8,
    /// What no definition says, in roff.
    pub epilogue: &'static str,
    /// Other pages.
    pub see_also: &'static str,
}

impl Page {
    /// The page.
    pub fn render(self) -> io::Result<String> {
        let mut command = self.command;
        // Fills in what subcommands take from their parents, as help does.
        command.build();
        let name = command.get_name().to_owned();
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        let mut page = title(&name, self.section);
        page.push_str(&section("NAME"));
        let short = about.split(['.', ':']).next().unwrap_or_default();
        let _ = writeln!(page, "{name} \\- {}", escape(short).trim_end());
        let man = Man::new(command.clone());
        page.push_str(&rendered(|out| man.render_synopsis_section(out))?);
        page.push_str(&rendered(|out| man.render_description_section(out))?);
        page.push_str(&rendered(|out| man.render_options_section(out))?);
        page.push_str(&section("COMMANDS"));
        for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
            page.push_str(&subcommand(sub, &name)?);
        }
        page.push_str(&section("EXIT STATUS"));
        for (code, meaning) in protocol::exit::TABLE {
            let _ = write!(page, ".TP\n.B {code}\n{}", escape(meaning));
        }
        page.push_str(self.epilogue);
        page.push_str(&section("SEE ALSO"));
        page.push_str(self.see_also);
        page.push('\n');
        Ok(page)
    }
}

/// A command and those below it.
fn subcommand(command: &Command, parent: &str) -> io::Result<String> {
    let name = format!("{parent} {}", command.get_name());
    let mut text = format!(".SS \"{}\"\n", escape(&name).trim_end());
    let man = Man::new(command.clone());
    // The same sections as a page of its own would have, without their headings.
    for part in [
        rendered(|out| man.render_description_section(out))?,
        rendered(|out| man.render_synopsis_section(out))?,
        rendered(|out| man.render_options_section(out))?,
    ] {
        text.push_str(".PP\n");
        text.extend(part.lines().filter(|line| !line.starts_with(".SH ")).map(|line| format!("{line}\n")));
    }
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        text.push_str(&subcommand(sub, &name)?);
    }
    Ok(text)
}

fn rendered(render: impl FnOnce(&mut dyn io::Write) -> io::Result<()>) -> io::Result<String> {
    let mut bytes = Vec::new();
    render(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
