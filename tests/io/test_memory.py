from kseg.io.memory import GIB, free_memory


def test_some_memory_is_free_and_not_more_than_there_is():
    assert 1e6 < free_memory() < 100_000 * GIB
