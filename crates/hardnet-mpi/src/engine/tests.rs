//! The engine over an imitation of MPI in one process.

use std::sync::mpsc::{Sender, channel};

use hardnet_train::Communicator;

use super::*;
use crate::mpi::Mpi;

/// Messages under way, by their receivers.
type Network = Arc<Mutex<Vec<VecDeque<(Waiting, Vec<u8>)>>>>;

struct Imitation {
    rank: usize,
    network: Network,
    ended: Sender<(usize, i32)>,
}

#[allow(unsafe_code)]
impl Calls for Imitation {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.network.lock().unwrap().len()
    }

    unsafe fn send(&self, message: &[u8], to: usize, tag: i32) -> Result<Request> {
        let waiting = Waiting { from: self.rank, tag, bytes: message.len() };
        self.network.lock().unwrap()[to].push_back((waiting, message.to_vec()));
        Ok(Request(0))
    }

    unsafe fn receive(&self, buffer: &mut [u8], waiting: Waiting) -> Result<Request> {
        let (found, message) = self.network.lock().unwrap()[self.rank].pop_front().unwrap();
        assert_eq!(found, waiting);
        buffer.copy_from_slice(&message);
        Ok(Request(0))
    }

    fn probe(&self) -> Result<Option<Waiting>> {
        Ok(self.network.lock().unwrap()[self.rank].front().map(|(waiting, _)| *waiting))
    }

    fn test(&self, _: &mut Request) -> Result<bool> {
        Ok(true)
    }

    fn abort(&self, code: i32) {
        self.ended.send((self.rank, code)).unwrap();
    }

    fn finalize(&self) -> Result<()> {
        self.ended.send((self.rank, 0)).unwrap();
        Ok(())
    }
}

const TIMEOUT: Duration = Duration::from_millis(1500);

/// `size` ranks, and a receiver of the codes with which they end. The engines of `dead` ranks do not run.
fn ranks(size: usize, dead: &[usize]) -> (Vec<Mpi>, Receiver<(usize, i32)>) {
    let network: Network = Arc::new(Mutex::new(vec![VecDeque::new(); size]));
    let (ended, ends) = channel();
    let start = |rank: usize| {
        let (network, ended, runs) = (Arc::clone(&network), ended.clone(), !dead.contains(&rank));
        Mpi::with(TIMEOUT, runs, move || Ok(Box::new(Imitation { rank, network, ended }))).unwrap()
    };
    ((0..size).map(start).collect(), ends)
}

#[test]
fn messages_arrive_in_their_order_and_all_ranks_end_together() {
    let (ranks, ends) = ranks(3, &[]);
    std::thread::scope(|scope| {
        for own in &ranks {
            let ends = &ends;
            let rank = own.rank();
            let work = move || {
                for number in 0..50 {
                    for to in (0..3).filter(|&to| to != rank) {
                        own.send(to, Arc::new(vec![rank as u8, number])).unwrap();
                    }
                }
                for number in 0..50 {
                    for from in (0..3).filter(|&from| from != rank) {
                        assert_eq!(own.receive(from).unwrap(), [from as u8, number]);
                    }
                }
                // Longer than the time-out, during which the engine alone says that the rank lives.
                std::thread::sleep(TIMEOUT * u32::from(rank == 1) * 2);
                own.finish().unwrap();
            };
            scope.spawn(work);
            let _ = ends;
        }
    });
    let mut codes: Vec<_> = ends.try_iter().collect();
    codes.sort_unstable();
    assert_eq!(codes, [(0, 0), (1, 0), (2, 0)]);
}

/// Around the length of a part, and between short ones.
#[test]
fn long_messages_arrive_whole() {
    let (ranks, _ends) = ranks(2, &[]);
    for length in [0, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 3 * PART_BYTES + 7, 1] {
        let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        ranks[1].send(0, Arc::new(message.clone())).unwrap();
        assert!(ranks[0].receive(1).unwrap() == message, "{length} bytes");
    }
}

/// No transfer is ever done.
struct Endless(Mutex<Vec<(usize, i32)>>);

#[allow(unsafe_code)]
impl Calls for Endless {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        3
    }

    unsafe fn send(&self, _: &[u8], to: usize, tag: i32) -> Result<Request> {
        self.0.lock().unwrap().push((to, tag));
        Ok(Request(0))
    }

    unsafe fn receive(&self, _: &mut [u8], _: Waiting) -> Result<Request> {
        Ok(Request(0))
    }

    fn probe(&self) -> Result<Option<Waiting>> {
        Ok(None)
    }

    fn test(&self, _: &mut Request) -> Result<bool> {
        Ok(false)
    }

    fn abort(&self, _: i32) {}

    fn finalize(&self) -> Result<()> {
        Ok(())
    }
}

/// Signs of life and reasons of failures do not wait for them.
#[test]
fn messages_are_sent_one_after_the_other() {
    let (calls, inbox, (_commands, receiver)) = (Endless(Mutex::default()), Inbox::default(), channel());
    let mut engine = Engine::new(&calls, &inbox, &receiver, TIMEOUT);
    let long = Arc::new(vec![0; PARTS_AT_A_TIME * PART_BYTES + 1]);
    engine.obey(Command::Send { to: 2, message: long }).unwrap();
    engine.obey(Command::Send { to: 1, message: Arc::default() }).unwrap();
    engine.turn().unwrap();
    engine.turn().unwrap();
    engine.obey(Command::Fail(String::new())).unwrap();
    let mut expected = vec![(2, PART); PARTS_AT_A_TIME];
    expected.extend([(1, FAILED), (2, FAILED)]);
    assert_eq!(*calls.0.lock().unwrap(), expected);
    engine.outgoing.clear();
    engine.turn().unwrap();
    expected.extend([(2, DATA), (1, DATA)]);
    assert_eq!(*calls.0.lock().unwrap(), expected);
}

#[test]
fn a_silent_rank_is_named_by_all() {
    for dead in [0, 2] {
        let (ranks, _ends) = ranks(4, &[dead]);
        std::thread::scope(|scope| {
            for own in ranks.iter().filter(|own| own.rank() != dead) {
                scope.spawn(move || {
                    // None of them waits for the dead one.
                    let from = if own.rank() == 3 { 1 } else { 3 };
                    let error = own.receive(from).unwrap_err();
                    assert_eq!(error, CommunicationError::Silent { rank: dead, seconds: 1 });
                });
            }
        });
    }
}

#[test]
fn a_failure_ends_the_others_and_an_abort_all() {
    let (ranks, ends) = ranks(3, &[]);
    std::thread::scope(|scope| {
        for own in [&ranks[0], &ranks[2]] {
            scope.spawn(move || {
                let error = own.receive(2 - own.rank()).unwrap_err();
                assert_eq!(error.to_string(), "rank 1 failed: the disk is full");
                assert!(own.finish().is_err() && own.send(1, Arc::default()).is_err());
            });
        }
        ranks[1].fail("the disk is full");
        ranks[1].abort(2);
    });
    assert_eq!(ends.recv_timeout(Duration::from_secs(5)), Ok((1, 2)));
}
