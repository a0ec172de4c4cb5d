"""The next shards are fetched while some are read, where the cache holds both."""

import time

import pytest
from packed_folders import dataset, same
from served_shards import asked, kept

from i2i_forge.data.stream import Stream
from i2i_forge.errors import DataError

MIX = 2


def stream(**options):
    return Stream(dataset("webdataset", **options).sources("train"), batch=2, seed=4)


def groups(reader):
    """The shards of each group, by name, in the order of the first epoch."""
    (source,) = reader.sources
    shards = source.shards.listing.shards
    return [[shards[s].address.rpartition("/")[2] for s in group] for group in reader._order(0, 0).groups]


def wait_for(count, server):
    """Until so many shards were asked for, and a moment for those that should not be."""
    deadline = time.monotonic() + 60
    while len(asked(server)) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.3)
    return sorted(asked(server))


def test_the_next_shards_come_while_some_are_read(server, many):
    reader = stream(**many)
    first, second, *later = groups(reader)
    assert later and not asked(server)
    reader.batch(0)
    assert wait_for(2 * MIX, server) == sorted(first + second)
    before, steps = len(asked(server)), int(reader._order(0, 0).starts[1]) // 2
    for step in range(1, steps):
        reader.batch(step)
    assert len(asked(server)) == before  # all were there


def test_the_numbers_are_those_of_a_cache_without_room(server, many):
    (source,) = dataset("webdataset", **many).sources("train")
    sizes = sorted(shard.size for shard in source.shards.listing.shards)
    small = stream(**many, cache_gb=(sum(sizes[-MIX:]) + 10) / 1e9)
    expected = [small.batch(step) for step in range(10)]
    assert len(kept(small.sources[0].shards.cache)) <= MIX
    ample = stream(**many)
    assert all(same(ample.batch(step), batch) for step, batch in enumerate(expected))


def test_without_room_nothing_is_fetched_ahead(server, many):
    (source,) = dataset("webdataset", **many).sources("train")
    sizes = sorted(shard.size for shard in source.shards.listing.shards)
    reader = stream(**many, cache_gb=(sum(sizes[-MIX:]) + 10) / 1e9)
    reader.batch(0)
    first = groups(reader)[0]
    assert set(wait_for(1, server)) <= set(first)


def test_a_failure_ahead_is_met_when_the_shard_is_read(server, many):
    reader = stream(**many)
    _, second, *_ = groups(reader)
    gone = server.files.pop(second[0])
    one, starts = reader.batch(0), reader._order(0, 0).starts
    assert second[0] in wait_for(MIX + 1, server)
    steps = range(int(starts[1]) // 2, -(-int(starts[2]) // 2))  # those of the second group
    with pytest.raises(DataError, match=second[0]):
        for step in steps:
            reader.batch(step)
    server.files[second[0]] = gone
    assert all(reader.batch(step).keys() == one.keys() for step in steps)
