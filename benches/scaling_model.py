"""A model of a training step by several ranks: when it ends, from what its parts cost.

It follows the program (crates/hardnet-train/src/trainer/all_reduce.rs). Each rank computes its virtual shards and adds
them up. Then the ranks exchange halves of their sums, quarters, and so on, until each has the sums over all ranks of its
part of the values (reduce-scatter), and get the other parts in as many messages (all-gather). Every rank computes the
change from them. With 2^k ranks that is 2 k messages in a row, with all values but one part each way. Where each rank has
one shard, the first message, with half of the values, travels while others are computed (all_reduce/early.rs).

Times are in seconds. `shard` is the computing of a virtual shard; `add`, `change` and `handling` are what this
processor needs for the sums of a further shard, for the rest of a step, and to send, receive and add all values once
each way. `bytes` are those of all values, `rate` those that a link carries in a second in each direction; none where
ranks share memory, whose copies are in `handling`. `crowd` ranks share a core, on which all add up and change at the
same time. `window` is the share of `shard` in which the first message can travel: that of the backward pass, two
thirds, or half of it where gradients come evenly, as they do where a rank `waits` in place of computing, which leaves
its core to the handling of messages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Costs:
    shard: float
    add: float
    change: float
    handling: float
    bytes: int
    rate: float | None = None
    crowd: float = 1.0
    window: float = 2 / 3
    waits: bool = False

    @property
    def link(self):
        """The time of all values on a link that carries nothing else."""
        return self.bytes / self.rate if self.rate else 0.0


@dataclass(frozen=True)
class Step:
    """When a rank has computed its shards, when it has the sums of its part, and when it has changed its weights."""

    computed: float
    summed: float
    ended: float


def step(ranks, shards, costs, overlap=True):
    own = -(-shards // ranks)
    computed = own * (costs.shard + costs.crowd * costs.add)
    # Messages go in parts, of which one is handled while another travels.
    handling = costs.handling / 2
    way = (1 - 1 / ranks) * max(costs.link, handling)
    # The first message has half of the values. A core that computes has no time to handle it.
    first = max(costs.link, handling) / 2 if costs.waits else max(costs.link - handling, 0) / 2
    hidden = min(first, costs.window * costs.shard) if overlap and ranks == shards > 1 else 0
    summed = computed + way - hidden
    return Step(computed, summed, summed + way + costs.crowd * costs.change)
