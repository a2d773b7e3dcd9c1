//! The channel against honest peers and against garbage.
#![allow(clippy::unwrap_used, reason = "tests")]

use proptest::prelude::*;

use super::super::client::{WorkerChannel, WorkerEvent};
use super::super::message::{
    BlockClaim, BlockPlace, BlockReference, ClaimedBytes, FromWorker, FromZygote, InputValue, Lasting, LogRecord,
    Operation, PLUGIN_BODY_MAX, Task, TaskFailure, ToWorker,
};
use super::*;

fn task(argument: String) -> ToWorker {
    let block = BlockReference {
        id: 3,
        format: "arrow".to_owned(),
        metadata: "{}".to_owned(),
        place: BlockPlace::Memfd { descriptor: 0, size: 4096 },
    };
    let inputs = vec![InputValue::Absent, InputValue::Json("[1]".to_owned()), InputValue::Block(block)];
    let operation = Operation::Call {
        node: 1,
        inputs,
        outputs: 2,
        lasting: Lasting::NONE,
        chunks: Vec::new(),
        partitions: Vec::new(),
    };
    ToWorker::Task(Task { token: u64::MAX, plugin: 0, argument, operation })
}

#[test]
fn messages_of_every_size_come_back_as_they_went() {
    let (left, right) = Channel::pair().unwrap();
    let file = memfd::create("test", memfd::Purpose::Data).unwrap();
    for size in [0, 10, codec::INLINE_MAX - 200, codec::INLINE_MAX, codec::INLINE_MAX + 1, 3 << 20] {
        let message = task("x".repeat(size));
        left.send(&message, &[file.as_fd(), right.as_fd()]).unwrap();
        let received: Received<ToWorker> = right.receive().unwrap();
        assert_eq!(received.message, message);
        assert_eq!(received.descriptors.len(), 2);
        assert_eq!(memfd::inode(&received.descriptors[0]).unwrap(), memfd::inode(&file).unwrap());
    }
}

#[test]
fn an_idle_peer_is_no_message_and_a_gone_peer_is_closed() {
    let (left, right) = Channel::pair().unwrap();
    assert!(left.try_receive::<FromWorker>().unwrap().is_none());
    assert!(left.receive_within::<FromWorker>(Duration::from_millis(1)).unwrap().is_none());
    drop(right);
    assert!(matches!(left.receive::<FromWorker>(), Err(ChannelError::Closed)));
    assert!(matches!(left.receive_within::<FromWorker>(Duration::MAX), Err(ChannelError::Closed)));
    assert!(matches!(left.send(&ToWorker::Quit, &[]), Err(ChannelError::Closed)));
}

#[test]
fn too_many_descriptors_are_not_sent() {
    let (left, right) = Channel::pair().unwrap();
    let many = vec![right.as_fd(); DESCRIPTORS_MAX + 1];
    assert!(matches!(left.send(&ToWorker::Quit, &many), Err(ChannelError::TooLarge { .. })));
    left.send(&task("x".repeat(1 << 20)), &many[1..]).unwrap();
    assert_eq!(right.receive::<ToWorker>().unwrap().descriptors.len(), DESCRIPTORS_MAX);
}

#[test]
fn a_peer_that_does_not_read_keeps_nobody() {
    let (server, worker) = WorkerChannel::pair().unwrap();
    let sent = (0..100_000).take_while(|token| server.grant(*token).is_ok()).count();
    assert!(sent > 1, "a peer may be a little behind");
    assert!(matches!(server.grant(1), Err(ChannelError::Behind)));
    assert!(matches!(server.refuse(1, "x".repeat(1 << 20)), Err(ChannelError::Behind)));
    // Once it has read, there is room again.
    let worker = Channel::from_socket(worker);
    while worker.try_receive::<ToWorker>().unwrap().is_some() {}
    server.quit().unwrap();
}

#[test]
fn what_a_plugin_may_send_is_bounded() {
    let (server, worker) = WorkerChannel::pair().unwrap();
    let worker = Channel::from_socket(worker);
    let failed = |length: usize, causes: usize| {
        let text = "ä".repeat(length / 2);
        let (kind, place, hint) = (text.clone(), text.clone(), text.clone());
        let failure = TaskFailure { kind, place, hint, message: text.clone(), causes: vec![text; causes] };
        FromWorker::Failed { token: 1, failure, saving: None }
    };
    worker.send(&failed(200_000, 40), &[]).unwrap();
    let WorkerEvent::Failed { failure, .. } = server.receive().unwrap() else { panic!("a failure") };
    let texts = [&failure.kind, &failure.place, &failure.hint, &failure.message];
    for text in texts.into_iter().chain(&failure.causes[..31]) {
        assert!(text.len() <= 64 << 10 && text.ends_with("(cut, it has 200000 bytes)"));
    }
    assert_eq!(failure.causes.len(), 32);
    assert_eq!(failure.causes[31], "… and 9 causes more");
    assert_eq!(failure.clone().cut(), failure);

    let record = LogRecord { level: 3, target: String::new(), message: "x".repeat(1 << 20), token: 0 };
    worker.send(&FromWorker::Log(record), &[]).unwrap();
    assert!(matches!(server.receive().unwrap(), WorkerEvent::Log(record) if record.message.len() <= 64 << 10));

    worker.send(&failed(5 << 20, 0), &[]).unwrap();
    assert!(matches!(server.receive(), Err(ChannelError::Frame(FrameProblem::BodySize { .. }))));
    let polite = worker.send_at_most(PLUGIN_BODY_MAX);
    assert!(matches!(polite.send(&failed(5 << 20, 0), &[]), Err(ChannelError::TooLarge { .. })));
}

fn receive_raw(bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> Result<Received<FromWorker>, ChannelError> {
    let (left, right) = Channel::pair().unwrap();
    packet::send(left.as_fd(), &[IoSlice::new(bytes)], descriptors, true).unwrap();
    right.receive()
}

#[test]
fn attached_bodies_are_not_taken_on_trust() {
    let body = codec::encode(&FromWorker::Ready { pid: 1 }).unwrap();
    let size = body.len() as u64;
    let sealed = sealed_body(&body).unwrap();
    let announce = codec::attached_packet;
    assert!(receive_raw(&announce(size), &[sealed.as_fd()]).is_ok());
    let refused = |bytes: &[u8], descriptors: &[BorrowedFd<'_>]| receive_raw(bytes, descriptors).unwrap_err();

    assert!(matches!(refused(&announce(size), &[]), ChannelError::Protocol(_)));
    assert!(matches!(refused(&announce(size + 1), &[sealed.as_fd()]), ChannelError::Protocol(_)));
    assert!(matches!(refused(&announce(1 << 60), &[sealed.as_fd()]), ChannelError::Frame(_)));
    assert!(matches!(refused(&announce(size)[..9], &[sealed.as_fd()]), ChannelError::Frame(_)));
    let open = memfd::create("test", memfd::Purpose::Data).unwrap();
    memfd::reserve(&open, size).unwrap();
    assert!(matches!(refused(&announce(size), &[open.as_fd()]), ChannelError::Protocol(_)));
    let (pipe, _write) = nix::unistd::pipe().unwrap();
    assert!(matches!(refused(&announce(size), &[pipe.as_fd()]), ChannelError::Protocol(_)));
    assert!(matches!(refused(&[0; codec::PACKET_MAX + 1], &[]), ChannelError::Protocol(_)));
    assert!(matches!(refused(b"GET / HTTP/1.1\r\n", &[]), ChannelError::Frame(_)));
}

#[test]
fn a_claim_names_a_descriptor_that_is_there_and_only_once() {
    let file = memfd::create("test", memfd::Purpose::Data).unwrap();
    let claim = |descriptor| BlockClaim {
        port: 0,
        format: "text".to_owned(),
        metadata: String::new(),
        bytes: ClaimedBytes::Memfd { file: descriptor, size: 0 },
    };
    for (claims, fine) in [
        (vec![claim(0)], true),
        (vec![claim(1), claim(0)], true),
        (vec![claim(2)], false),
        (vec![claim(u32::MAX)], false),
        (vec![claim(0), claim(0)], false),
    ] {
        let (server, worker) = WorkerChannel::pair().unwrap();
        let worker = Channel::from_socket(worker);
        let done = FromWorker::Done { token: 1, outputs: claims, answer: String::new(), chunks: Vec::new() };
        worker.send(&done, &[file.as_fd(), file.as_fd()]).unwrap();
        let event = server.receive();
        assert_eq!(matches!(event, Ok(WorkerEvent::Done { .. })), fine, "{event:?}");
        assert_eq!(matches!(event, Err(ChannelError::Protocol(_))), !fine);
    }
}

#[test]
fn several_threads_may_send_on_one_channel() {
    let (left, right) = Channel::pair().unwrap();
    std::thread::scope(|scope| {
        for level in 1..=4 {
            let left = &left;
            scope.spawn(move || {
                for count in 0..100 {
                    let message = "x".repeat(count * 700);
                    let record = LogRecord { level, target: "t".to_owned(), message, token: 0 };
                    left.send(&FromWorker::Log(record), &[]).unwrap();
                }
            });
        }
        let mut next = [0; 4];
        for _ in 0..400 {
            let FromWorker::Log(record) = right.receive().unwrap().message else { panic!("a log record") };
            let count = &mut next[usize::from(record.level) - 1];
            assert_eq!(record.message.len(), *count * 700);
            *count += 1;
        }
    });
}

proptest! {
    #[test]
    fn garbage_is_an_error_or_a_message_and_never_a_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 1..2000), framed in any::<bool>(), small in any::<bool>()
    ) {
        if framed && bytes.len() >= 2 {
            bytes[..2].copy_from_slice(&codec::inline_header());
        }
        if small {
            // Small numbers are tags and lengths that exist.
            bytes.iter_mut().skip(2).for_each(|byte| *byte %= 12);
        }
        let _ = receive_raw(&bytes, &[]);
        let body = bytes.get(2..).unwrap_or_default();
        let _ = codec::decode::<FromZygote>(body);
        let _ = codec::decode::<ToWorker>(body);
        let _ = codec::decode::<super::super::message::FromHookHost>(body);
        let _ = codec::decode::<super::super::message::ToZygote>(body);
    }

    /// A message with one byte changed is another message or an error.
    #[test]
    fn damaged_messages_never_panic(place in any::<prop::sample::Index>(), value in any::<u8>()) {
        let mut body = codec::encode(&task("argument".to_owned())).unwrap();
        let index = place.index(body.len());
        body[index] = value;
        let _ = codec::decode::<ToWorker>(&body);
        let _ = codec::decode::<ToWorker>(&body[..index]);
    }
}
