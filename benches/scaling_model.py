"""A model of a training step by several ranks: when it ends, from what its parts cost.

It follows the program. The sums of the gradients go along the tree over the virtual shards
(crates/hardnet-train/src/trainer/tree.rs): the owner of a node's first shard receives the sum of the right half from the
owner of that half's first shard, after both have computed theirs. Rank 0 computes the change, and a binomial tree of the
ranks brings it to all (crates/hardnet-train/src/ranks.rs), each rank sending to one child after the other.

Times are in seconds. `shard` is the computing of a virtual shard; `add`, `change` and `hop` are what this processor needs
for the sums of a further shard, for the rest of a step, and for a message with gradients up the tree and one with the
change down, without the time on the link. `bytes` are those of a message, `rate` those that a link carries in a second in
each direction; none where ranks share memory, whose copies are in `hop`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    shard: float
    add: float
    change: float
    hop: float
    bytes: int
    rate: float | None = None

    @property
    def link(self):
        """The time of a message on a link that carries nothing else."""
        return self.bytes / self.rate if self.rate else 0.0


@dataclass(frozen=True)
class Step:
    """When rank 0 has computed its own shards, when it has the sums of all, and when all ranks have the change."""

    computed: float
    summed: float
    ended: float


def step(ranks, shards, costs):
    own = len([shard for shard in range(shards) if owner(shard, ranks, shards) == 0])
    computed = own * (costs.shard + costs.add)
    summed = sums(ranks, shards, costs)
    return Step(computed, summed, summed + costs.change + broadcast(ranks, costs))


def owner(shard, ranks, shards):
    return shard * ranks // shards


def sums(ranks, shards, costs):
    """When rank 0 has the sums of all shards."""
    clocks, sending, receiving = [0.0] * ranks, [0.0] * ranks, [0.0] * ranks

    def node(first, end):
        rank = owner(first, ranks, shards)
        if end - first == 1:
            clocks[rank] += costs.shard + costs.add
            return
        middle = first + (1 << (end - first - 1).bit_length()) // 2
        node(first, middle)
        node(middle, end)
        other = owner(middle, ranks, shards)
        if other != rank:
            begun = max(clocks[other], sending[other], receiving[rank])
            sending[other] = receiving[rank] = begun + costs.link
            clocks[rank] = max(clocks[rank], begun + costs.link) + costs.hop / 2

    node(0, shards)
    return clocks[0]


def broadcast(ranks, costs):
    """When the last rank has the change. A rank sends to its children one after the other, the farthest first."""

    def below(rank, distance):
        children = [rank + (1 << bit) for bit in reversed(range(distance.bit_length() - 1))]
        children = [child for child in children if child < ranks]
        arrivals = [(number + 1) * costs.link + costs.hop / 2 for number in range(len(children))]
        return max((at + below(child, child - rank) for at, child in zip(arrivals, children)), default=0.0)

    return below(0, 1 << (ranks - 1).bit_length())


def overlapped(ranks, shards, costs, backward=2 / 3):
    """The end of a step whose sums travel while the last shard's backward pass, a share of its computing, goes on: the
    most that buckets could hide."""
    found = step(ranks, shards, costs)
    return found.ended - min(found.summed - found.computed, backward * costs.shard)


def spread(ranks, shards, costs):
    """The end of a step in which each rank adds up a part of the values (reduce-scatter by halving, in the order of the
    same tree) and then has the others' parts sent: every link carries all values twice, whatever the number of ranks."""
    if ranks == 1:
        return step(1, shards, costs).ended
    own = -(-shards // ranks)
    return own * (costs.shard + costs.add) + costs.change + costs.hop + 2 * costs.link * (1 - 1 / ranks)
