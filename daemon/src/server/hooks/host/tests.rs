//! The server's end against a hook host that this test plays: one that answers, one that talks, one that lies.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::ask::MESSAGES_MAX;
use super::*;
use crate::ipc::channel::Channel;
use crate::ipc::message::{FromHookHost, LogRecord, TaskFailure, ToHookHost};
use crate::ipc::ring::WorkerRings;
use crate::ipc::ring::event::Event;
use crate::ipc::ring::indices::SLOTS;
use crate::ipc::ring::record::{Head, Task};

/// The host's end, with what it takes to play it.
struct Played {
    channel: Channel,
    rings: WorkerRings,
    sent: u64,
    words: Vec<u64>,
}

/// What a host was asked.
#[derive(Debug, PartialEq)]
enum Heard {
    Event { token: u64, argument: String },
    Message { token: u64 },
    GoOn,
}

fn pair() -> (Host, Played) {
    let (channel, socket) = HookChannel::pair().unwrap();
    let (rings, theirs) = DriverRings::create().unwrap();
    let host = Host::of(channel, rings, Process::pretended());
    let played = Played {
        channel: Channel::from_socket(socket),
        rings: WorkerRings::open(theirs).unwrap(),
        sent: 0,
        words: Vec::new(),
    };
    (host, played)
}

impl Played {
    /// Takes what is there next, and answers its parts.
    fn take(&mut self) -> Option<Heard> {
        let mut record = Record::default();
        loop {
            if !self.rings.take(&mut record) {
                return None;
            }
            match record.as_task().unwrap() {
                Task::Part(words) => {
                    self.words.extend_from_slice(words);
                    self.done(0);
                }
                Task::Event(head, words) => {
                    self.words.extend_from_slice(words);
                    let argument = Event::read(&self.words).unwrap().argument.to_owned();
                    self.words.clear();
                    return Some(Heard::Event { token: head.token, argument });
                }
                Task::Message(head) => return Some(Heard::Message { token: head.token }),
                Task::GoOn => return Some(Heard::GoOn),
                other => panic!("{other:?}"),
            }
        }
    }

    fn head(&self, token: u64) -> Head {
        Head { token, messages: self.sent }
    }

    fn done(&mut self, token: u64) {
        let mut record = Record::default();
        record.done(self.head(token), 7);
        self.rings.answer(&record);
    }

    fn say(&mut self, message: &FromHookHost) {
        self.channel.send(message, &[]).unwrap();
        self.sent += 1;
    }

    fn fail(&mut self, token: u64) {
        let failure = TaskFailure { message: format!("no {token}"), ..TaskFailure::default() };
        self.say(&FromHookHost::Failed { token, failure });
        let mut record = Record::default();
        record.answered_by_message(self.head(token), 7);
        self.rings.answer(&record);
    }
}

fn question(argument: &str) -> Question<'_> {
    Question { place: (1, 2), argument, inputs: &[], has_more: false }
}

fn log(token: u64) -> FromHookHost {
    FromHookHost::Log(LogRecord { level: 3, target: "t".to_owned(), message: "m".to_owned(), token })
}

const PATIENCE: Duration = Duration::from_secs(60);

/// The answer, which is there.
fn answer(host: &mut Host) -> Result<Answer, String> {
    host.answer(PATIENCE, Duration::ZERO, &mut |_, _| {}).map(|answered| answered.answer).map_err(|lost| lost.0)
}

#[test]
fn questions_of_any_length_are_answered_in_their_order() {
    let (mut host, mut played) = pair();
    let texts: Vec<String> = [0, 1, 480, 481, 486, 487, 488, 990, 2_000].map(|length| "x".repeat(length)).into();
    let tokens: Vec<u64> = texts.iter().map(|text| host.ask(&question(text)).unwrap().unwrap()).collect();
    host.publish();
    for (token, text) in tokens.iter().zip(&texts) {
        assert_eq!(played.take(), Some(Heard::Event { token: *token, argument: text.clone() }));
        if text.len() == 481 { played.fail(*token) } else { played.done(*token) }
    }
    for text in &texts {
        let answer = answer(&mut host).unwrap();
        assert_eq!(matches!(answer, Answer::Failed(_)), text.len() == 481, "{answer:?}");
    }
    assert!(host.asked.is_empty() && host.told.is_empty());
}

#[test]
fn what_finds_no_room_is_asked_later() {
    let (mut host, mut played) = pair();
    let long = "x".repeat(1_000);
    let mut asked = 0;
    while host.ask(&question(&long)).unwrap().is_some() {
        asked += 1;
    }
    assert_eq!(asked, SLOTS / 3, "three slots each");
    host.publish();
    while let Some(Heard::Event { token, .. }) = played.take() {
        played.done(token);
    }
    for _ in 0..asked {
        assert!(matches!(answer(&mut host), Ok(Answer::Plain)));
    }
    // Too long for the ring: as messages, and not more than the socket has room for.
    let longer = "x".repeat(10_000);
    for _ in 0..MESSAGES_MAX {
        let token = host.ask(&question(&longer)).unwrap().unwrap();
        host.publish();
        assert_eq!(played.take(), Some(Heard::Message { token }));
        let received = played.channel.receive::<ToHookHost>().unwrap();
        assert!(matches!(received.message, ToHookHost::Event { argument, .. } if argument == longer));
    }
    assert_eq!(host.ask(&question(&longer)).unwrap(), None);
    host.go_on();
    host.publish();
    assert_eq!(played.take(), Some(Heard::GoOn));
}

#[test]
fn what_a_hook_says_is_heard_before_its_answer_is_taken() {
    let (mut host, mut played) = pair();
    let tokens = [0, 1].map(|_| host.ask(&question("{}")).unwrap().unwrap());
    host.publish();
    for token in tokens {
        played.take();
        played.say(&log(token));
        played.done(token);
    }
    let mut heard = Vec::new();
    for token in tokens {
        host.answer(PATIENCE, Duration::ZERO, &mut |of, _| heard.push(of)).unwrap();
        assert_eq!(heard.last(), Some(&token));
    }
    assert_eq!(heard, tokens);
}

#[test]
fn a_hook_that_logs_without_pause_is_late_all_the_same() {
    let (mut host, mut played) = pair();
    host.ask(&question("{}")).unwrap();
    for _ in 0..3 {
        played.say(&log(1));
    }
    let mut heard = 0;
    let late = host.answer(Duration::ZERO, Duration::ZERO, &mut |_, _| heard += 1);
    assert_eq!(late.unwrap_err().0, TOO_LATE);
    assert_eq!(heard, 1, "there is always another line");
}

#[test]
fn what_was_answered_before_the_end_counts() {
    let (mut host, mut played) = pair();
    for _ in 0..3 {
        host.ask(&question("{}")).unwrap();
    }
    host.publish();
    for _ in 0..2 {
        let Some(Heard::Event { token, .. }) = played.take() else { panic!("it was asked") };
        played.done(token);
    }
    drop(played);
    assert!(matches!(answer(&mut host), Ok(Answer::Plain)));
    assert!(matches!(answer(&mut host), Ok(Answer::Plain)));
    assert!(answer(&mut host).is_err());
}

#[test]
fn a_host_that_lies_is_lost() {
    type Lie = fn(&mut Played);
    let lies: [(&str, Lie); 6] = [
        ("another token", |played| played.done(7)),
        ("more answers than questions", |played| (0..3).for_each(|_| played.done(1))),
        ("messages that did not come", |played| {
            played.sent = 9;
            played.done(1);
        }),
        ("a failure without its message", |played| {
            let mut record = Record::default();
            record.answered_by_message(played.head(1), 0);
            played.rings.answer(&record);
        }),
        ("well, and failed", |played| {
            let failure = TaskFailure::default();
            played.say(&FromHookHost::Failed { token: 1, failure });
            played.done(1);
        }),
        ("ready again", |played| played.say(&FromHookHost::Ready { pid: 1 })),
    ];
    for (name, lie) in lies {
        let (mut host, mut played) = pair();
        host.ask(&question("{}")).unwrap();
        host.publish();
        played.take();
        lie(&mut played);
        assert!(answer(&mut host).is_err(), "{name}");
    }
    // More messages than questions: they are not kept.
    let (mut host, mut played) = pair();
    host.ask(&question("{}")).unwrap();
    for token in 1..10 {
        played.say(&FromHookHost::Failed { token, failure: TaskFailure::default() });
    }
    assert!(answer(&mut host).is_err());
    assert!(host.told.len() <= 1);
}
