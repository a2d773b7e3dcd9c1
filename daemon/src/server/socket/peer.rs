//! Who may talk to the daemon: decided by the kernel's word on who is at the other end (`SO_PEERCRED`).
//!
//! Root and the user the daemon runs as always may; others by `[server] allowed_uids` or by being in `[server] group`. This
//! stands behind the mode of the socket's file, and alone where there is no file.

use std::collections::BTreeSet;
use std::ffi::CString;

use nix::unistd::{Gid, Group, Uid, User, getgrouplist};

use super::SocketError;

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// Its process, where the kernel says.
    pub pid: Option<i32>,
}

/// The rule for letting peers in.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Root, the daemon's own user, and those the configuration lists.
    uids: BTreeSet<u32>,
    group: Option<Gid>,
}

impl Admission {
    /// Makes the rule for a daemon that runs as the user of this process.
    pub fn new(allowed_uids: &[u32], group: Option<Gid>) -> Admission {
        let always = [Uid::from_raw(0), Uid::effective()].map(Uid::as_raw);
        Admission { uids: allowed_uids.iter().copied().chain(always).collect(), group }
    }

    /// Makes a rule that lets only these in: tests run as users who always may.
    #[cfg(test)]
    pub(crate) fn only(uids: &[u32], group: Option<Gid>) -> Admission {
        Admission { uids: uids.iter().copied().collect(), group }
    }

    /// Says what can be said without asking the user database; none if that is needed.
    pub fn admits_at_once(&self, peer: Peer) -> Option<bool> {
        if self.uids.contains(&peer.uid) {
            return Some(true);
        }
        match self.group {
            None => Some(false),
            Some(group) if group.as_raw() == peer.gid => Some(true),
            Some(_) => None,
        }
    }

    /// Says whether a peer may use the daemon. May ask the user database, which can take its time.
    pub fn admits(&self, peer: Peer) -> bool {
        self.admits_at_once(peer).unwrap_or_else(|| self.group.is_some_and(|group| is_member(peer, group)))
    }
}

/// Whether the peer's user belongs to a group, by the user database.
fn is_member(peer: Peer, group: Gid) -> bool {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(peer.uid)) else { return false };
    let Ok(name) = CString::new(user.name) else { return false };
    getgrouplist(&name, user.gid).is_ok_and(|groups| groups.contains(&group))
}

/// Looks a group up by its name; none for the empty name.
pub fn find_group(name: &str) -> Result<Option<Gid>, SocketError> {
    if name.is_empty() {
        return Ok(None);
    }
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(Some(group.gid)),
        Ok(None) => Err(SocketError::new(
            format!("there is no group {name:?}, which [server] group names"),
            "make the group (groupadd), or leave the key empty",
        )),
        Err(error) => Err(SocketError::new(
            format!("cannot look up the group {name:?}, which [server] group names: {}", error.desc()),
            "check the machine's user database, or leave the key empty",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32) -> Peer {
        Peer { uid, gid, pid: None }
    }

    #[test]
    fn root_and_the_daemons_own_user_always_may() {
        let admission = Admission::new(&[], None);
        assert!(admission.admits(peer(0, 0)));
        assert!(admission.admits(peer(Uid::effective().as_raw(), 7)));
        assert!(!admission.admits(peer(4_000_000, 0)), "being in root's group is nothing");
    }

    #[test]
    fn others_may_when_the_configuration_says_so() {
        let admission = Admission::only(&[1001], Some(Gid::from_raw(50)));
        assert!(admission.admits(peer(1001, 9)), "by user");
        assert!(admission.admits(peer(4_000_000, 50)), "by its own group");
        assert!(!admission.admits(peer(4_000_000, 51)), "a user nobody knows is in no group");
    }

    #[test]
    fn the_user_database_says_who_is_a_member() {
        let roots_group = Admission::only(&[], Some(Gid::from_raw(0)));
        // The process runs under another group just now, but root belongs to its own.
        assert!(roots_group.admits(peer(0, 12_345)));
        assert_eq!(roots_group.admits_at_once(peer(0, 12_345)), None);
    }

    #[test]
    fn a_group_that_is_not_there_is_named() {
        assert_eq!(find_group("").ok(), Some(None));
        assert_eq!(find_group("root").ok(), Some(Some(Gid::from_raw(0))));
        let error = find_group("no-such-group").expect_err("no such group");
        assert!(error.message.contains("no-such-group"), "{error}");
    }
}
