//! The oracle is the sum of one process.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hardnet_model::GradientObserver;

use super::super::tree::Terms;
use super::*;
use crate::communicator::{Communicator, InProcess, in_process};

/// A shard's sum: values whose sums depend on their order in every bit. Every shard of `skipped` has none.
fn shard(number: usize, length: usize, skipped: usize) -> Option<(Head, Vec<f32>)> {
    if number % 5 < skipped {
        return None;
    }
    let value = |at: usize| ((number * 7 + at * 13) as f32).sin() * 10f32.powi((number % 5) as i32 * 2 - 4);
    let weight = f64::from(value(length)).abs();
    let totals = Totals { weight, loss: weight * 0.3, correct: number, images: number + 2 };
    Some((Head { totals, present: vec![true, number != 3, false] }, (0..length).map(value).collect()))
}

struct Shards {
    length: usize,
    skipped: usize,
}

impl Terms for Shards {
    type Value = Option<(Head, Vec<f32>)>;

    fn term(&mut self, number: usize) -> Result<Self::Value> {
        Ok(shard(number, self.length, self.skipped))
    }

    fn add(&mut self, left: Self::Value, right: Self::Value) -> Result<Self::Value> {
        let ((mut head, mut values), (other, right)) = match (left, right) {
            (Some(left), Some(right)) => (left, right),
            (left, right) => return Ok(left.or(right)),
        };
        head.totals.add(&other.totals);
        head.present.iter_mut().zip(other.present).for_each(|(one, other)| *one &= other);
        values.iter_mut().zip(right).for_each(|(one, other)| *one += other);
        Ok(Some((head, values)))
    }
}

/// What each rank finds.
fn all_reduced<C: Communicator + 'static>(
    communicators: Vec<C>,
    virtual_shards: usize,
    count: usize,
    early: Option<usize>,
    mut shards: impl FnMut() -> Shards,
) -> Vec<Option<(Head, Vec<f32>)>> {
    std::thread::scope(|scope| {
        let start = |rank: C| {
            let mut shards = shards();
            scope.spawn(move || {
                let ranks = Ranks::new(Arc::new(rank));
                let mut all_reduce = AllReduce::new(ranks, virtual_shards, count, shards.length);
                for node in all_reduce.own_nodes() {
                    let sum = tree::sum(&mut shards, node.clone()).unwrap();
                    // All but two values are gradients.
                    let gradients = shards.length.saturating_sub(2);
                    let early = early.and_then(|pieces| Some((pieces, all_reduce.early_sender(&node, gradients)?)));
                    if let (Some((pieces, early)), Some((_, values))) = (&early, &sum) {
                        observe(early, *pieces, values);
                    }
                    all_reduce.give(node, sum, early.as_ref().map(|(_, early)| early)).unwrap();
                }
                all_reduce.finish(|_, _, values| values.iter_mut().for_each(|value| *value *= 2.0)).unwrap()
            })
        };
        let threads: Vec<_> = communicators.into_iter().map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Gives gradients as a backward pass does, in so many pieces; of an odd number, not those of the first parameters.
fn observe(early: &EarlySender, pieces: usize, values: &[f32]) {
    let count = early.gradients();
    for piece in (pieces % 2..pieces).rev() {
        let range = count * piece / pieces..count * (piece + 1) / pieces;
        early.take(range.clone(), &values[range]);
    }
}

/// The sums of some steps, to the last bit. Also if some ranks have no shard, or there are fewer values than ranks.
fn assert_sums(size: usize, virtual_shards: usize, count: usize, length: usize, skipped: usize) {
    let shards = || Shards { length, skipped };
    let mut expected = tree::sum(&mut shards(), 0..count).unwrap();
    if let Some((_, values)) = &mut expected {
        values.iter_mut().for_each(|value| *value *= 2.0);
    }
    for early in [None, Some(1), Some(4), Some(5)] {
        let found = all_reduced(in_process(size, Duration::from_secs(20)), virtual_shards, count, early, shards);
        for (rank, found) in found.into_iter().enumerate() {
            let what = format!("rank {rank} of {size}, {count} of {virtual_shards} shards, {length} values, {early:?}");
            let bits = |sums: &Option<(Head, Vec<f32>)>| {
                let bits = |values: &Vec<f32>| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
                sums.as_ref().map(|(head, values)| (head.clone(), bits(values)))
            };
            assert_eq!(bits(&found), bits(&expected), "{what}");
        }
    }
}

#[test]
fn all_ranks_get_the_sums_of_one_process() {
    for virtual_shards in [1, 2, 3, 4, 5, 7, 8, 12, 16, 23] {
        for size in 1..=virtual_shards.min(9) {
            for count in [1, virtual_shards / 2, virtual_shards - 1, virtual_shards] {
                if count > 0 {
                    assert_sums(size, virtual_shards, count, 37, 0);
                }
            }
        }
    }
    for size in [16, 21, 32] {
        assert_sums(size, 64, 61, 100, 0);
    }
}

#[test]
fn skipped_shards_add_nothing() {
    for (size, virtual_shards) in [(2, 4), (3, 8), (4, 8), (5, 7), (8, 8), (6, 23)] {
        for skipped in 1..=5 {
            assert_sums(size, virtual_shards, virtual_shards, 37, skipped);
            assert_sums(size, virtual_shards, 1, 37, skipped);
        }
    }
}

#[test]
fn there_may_be_fewer_values_than_ranks() {
    for length in 0..9 {
        for (size, virtual_shards) in [(4, 4), (8, 8), (7, 16), (3, 8)] {
            assert_sums(size, virtual_shards, virtual_shards, length, 0);
        }
    }
}

/// Counts messages and bytes that are sent.
#[derive(Debug)]
struct Counting(InProcess, Arc<[AtomicUsize; 2]>);

impl Communicator for Counting {
    fn rank(&self) -> usize {
        self.0.rank()
    }

    fn size(&self) -> usize {
        self.0.size()
    }

    fn send(&self, to: usize, message: Arc<Vec<u8>>) -> std::result::Result<(), CommunicationError> {
        self.1[0].fetch_add(1, Ordering::SeqCst);
        self.1[1].fetch_add(message.len(), Ordering::SeqCst);
        self.0.send(to, message)
    }

    fn receive(&self, from: usize) -> std::result::Result<Vec<u8>, CommunicationError> {
        self.0.receive(from)
    }

    fn fail(&self, reason: &str) {
        self.0.fail(reason);
    }
}

/// Sent by the rank that sends most of both.
fn sent(size: usize, virtual_shards: usize, length: usize) -> (usize, usize) {
    let counts: Vec<Arc<[AtomicUsize; 2]>> = (0..size).map(|_| Arc::default()).collect();
    let ranks = in_process(size, Duration::from_secs(20)).into_iter().zip(&counts);
    let ranks = ranks.map(|(rank, counts)| Counting(rank, Arc::clone(counts))).collect();
    all_reduced(ranks, virtual_shards, virtual_shards, None, || Shards { length, skipped: 0 });
    let most = |at: usize| counts.iter().map(|count| count[at].load(Ordering::SeqCst)).max().unwrap_or(0);
    (most(0), most(1))
}

/// With a power of two of ranks each sends all values twice but for its own part, and one message a level and way. With
/// other numbers it is up to four times.
#[test]
fn what_a_rank_sends_does_not_grow_with_the_number_of_ranks() {
    for levels in 1..6 {
        let (size, length) = (1 << levels, 6400);
        for virtual_shards in [size, 4 * size] {
            let (messages, bytes) = sent(size, virtual_shards, length);
            assert_eq!(messages, 2 * levels);
            assert!(bytes <= 8 * (length - length / size) + 100 * levels, "{bytes} bytes of {size} ranks");
        }
    }
    for (size, virtual_shards) in [(3, 8), (5, 8), (7, 8), (12, 16), (3, 23), (11, 23)] {
        let (messages, bytes) = sent(size, virtual_shards, 6400);
        assert!(messages <= 15 && bytes <= 4 * 25_600, "{messages} messages, {bytes} bytes of {size} ranks");
    }
}

/// Messages with values 4 to 10 of a half, as a rank may send them and as it may not.
#[test]
fn messages_with_other_values_than_expected_are_refused() {
    let node = 0..1;
    let (head, _) = shard(1, 0, 0).unwrap();
    let values = [0.5; 12];
    let piece = |range: Range<usize>| Message::encode_piece(&node, range.start, &values[..range.len()]);
    let last = |range: Range<usize>| Message::encode(&node, Some(&head), range.start, &values[..range.len()]);
    let skipped = || Message::encode(&node, None, 0, &[]);
    let add = |own: Option<Option<Head>>, messages: &[Vec<u8>]| {
        let own = own.map(|head| Part { head, range: 0..4, first: 0, values: vec![0.0; 4] });
        let messages = messages.iter().map(|bytes| Message::decode(bytes.clone())).collect::<Option<Vec<_>>>()?;
        Side::new(own).add(4..10, messages)
    };
    for messages in [vec![last(4..10)], vec![piece(7..10), last(4..7)], vec![piece(4..10), last(4..4)], vec![skipped()]]
    {
        assert!(add(None, &messages).is_some(), "{messages:?}");
    }
    assert!(add(Some(Some(head.clone())), &[last(4..10)]).is_some() && add(Some(None), &[skipped()]).is_some());
    for messages in [
        vec![],
        vec![last(4..9)],
        vec![last(3..9)],
        vec![last(4..11)],
        vec![piece(8..10), last(4..7)],
        vec![piece(6..10), last(4..7)],
        vec![piece(4..10), last(0..0)],
        vec![piece(11..11), last(4..10)],
        vec![piece(4..10), skipped()],
        vec![[last(4..10), vec![0]].concat()],
        vec![Message::encode_piece(&node, usize::MAX, &values[..6]), last(4..10)],
    ] {
        assert!(add(None, &messages).is_none(), "{messages:?}");
    }
    // The ranks of a half agree on whether it was skipped.
    assert!(add(Some(None), &[last(4..10)]).is_none() && add(Some(Some(head.clone())), &[skipped()]).is_none());
    for length in 0..last(4..10).len() {
        let _ = Message::decode(last(4..10)[..length].to_vec());
    }
}
