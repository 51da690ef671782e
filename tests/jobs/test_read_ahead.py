import threading
import time

import pytest

from wsss_core.errors import UserError
from wsss_core.jobs.read_ahead import ReadAhead


def reading_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("read-ahead")]


def test_items_come_in_order_although_later_ones_are_ready_first():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number % 2 == 0 else 0)
        return number * number

    with ReadAhead(slow_first, range(9), threads=3) as items:
        assert list(items) == [number * number for number in range(9)]


@pytest.mark.parametrize("ahead", [1, 3])
def test_no_more_items_than_agreed_are_ahead(ahead):
    started = []
    with ReadAhead(started.append, range(20), threads=2, ahead=ahead) as items:
        for position in range(10):
            items(position)
            time.sleep(0.005)  # time enough for threads that would go too far
            assert len(started) <= position + 1 + ahead
    assert sorted(started) == list(range(len(started))) and 10 <= len(started) <= 10 + ahead


def test_the_next_items_are_made_while_nobody_asks():
    others = threading.Barrier(3)  # the first item's consumer and two items ahead of it meet, or time is up

    def meet(number: int) -> int:
        if number > 0:
            others.wait(timeout=10)
        return number

    with ReadAhead(meet, range(3), threads=2) as items:
        assert items(0) == 0
        others.wait(timeout=10)
        assert [items(1), items(2)] == [1, 2]


def test_positions_may_be_passed_over():
    with ReadAhead(str, range(100), ahead=2) as items:
        assert [items(position) for position in (0, 1, 50, 52, 99)] == ["0", "1", "50", "52", "99"]


def test_an_error_is_raised_at_the_item_it_belongs_to_and_at_no_other():
    def read(name: str) -> str:
        if name == "c":
            raise UserError("image c: is damaged")
        return name

    with ReadAhead(read, "abcd") as items:
        assert [items(0), items(1)] == ["a", "b"]
        with pytest.raises(UserError, match="image c: is damaged"):
            items(2)
        assert items(3) == "d"


def test_threads_end_with_the_block_also_when_items_are_left_or_an_error_passes():
    started = []
    with ReadAhead(started.append, range(1000)) as items:
        items(0)
        assert reading_threads()
    assert not reading_threads()
    assert len(started) <= 5
    with pytest.raises(KeyboardInterrupt), ReadAhead(str, range(1000)) as items:
        for item in items:
            if item == "3":
                raise KeyboardInterrupt
    assert not reading_threads()


def test_nothing_starts_for_no_items_and_bounds_are_checked():
    with ReadAhead(str, []) as items:
        assert list(items) == []
        assert not reading_threads()
    for wrong in ({"threads": 0}, {"ahead": 0}):
        with pytest.raises(ValueError, match="at least one thread and one item"):
            ReadAhead(str, range(3), **wrong)


def test_an_error_in_making_a_source_is_raised_at_its_item_too():
    class Sources(list):
        def __getitem__(self, position: int) -> int:
            if position == 2:
                raise KeyboardInterrupt
            return position

    with ReadAhead(str, Sources(range(5)), ahead=3) as items:
        assert [items(0), items(1)] == ["0", "1"]
        with pytest.raises(KeyboardInterrupt):
            items(2)


def test_a_source_that_ends_early_does_not_pass_for_the_end_of_all():
    ended = iter("")
    with ReadAhead(lambda number: number or next(ended), range(5)) as items, pytest.raises(RuntimeError):
        list(items)
