"""What is kept of answers: bounded in number, bytes and time, and each for its owner alone."""

from omniroute.state.base import Answer, Keeping
from omniroute.state.memory import MemoryAnswers

ANSWER = Answer(b"{}", b"[]")


def test_an_answer_is_its_owner_s_alone():
    answers = MemoryAnswers()
    answers.put("a", "resp_1", ANSWER, 0.0, Keeping())
    assert answers.get("a", "resp_1", 1.0) is ANSWER
    assert answers.get("b", "resp_1", 1.0) is None
    answers.delete("b", "resp_1")
    assert answers.get("a", "resp_1", 1.0) is ANSWER
    answers.delete("a", "resp_1")
    assert answers.get("a", "resp_1", 1.0) is None


def test_an_answer_is_kept_for_its_time():
    answers = MemoryAnswers()
    answers.put("a", "resp_1", ANSWER, 0.0, Keeping(ttl=10))
    assert answers.get("a", "resp_1", 9.9) is ANSWER
    assert answers.get("a", "resp_1", 10.0) is None
    answers.put("a", "resp_2", ANSWER, 20.0, Keeping(ttl=10))
    assert len(answers._kept) == 1, "what is out of date goes with the next that comes"


def test_the_oldest_go_where_there_are_too_many():
    answers = MemoryAnswers()
    for number in range(5):
        answers.put("a", f"resp_{number}", ANSWER, 0.0, Keeping(entries=3))
    assert [answers.get("a", f"resp_{number}", 1.0) is not None for number in range(5)] == [
        False,
        False,
        True,
        True,
        True,
    ]


def test_the_oldest_go_where_they_take_too_much():
    answers = MemoryAnswers()
    for number in range(5):
        answers.put("a", f"resp_{number}", Answer(b"x" * 40, b"y" * 60), 0.0, Keeping(bytes=250))
    assert [name for _, name in answers._kept] == ["resp_3", "resp_4"]
    assert answers._bytes == 200


def test_an_answer_that_is_too_large_to_be_kept_drives_out_no_others():
    answers = MemoryAnswers()
    answers.put("a", "resp_1", ANSWER, 0.0, Keeping(bytes=250))
    answers.put("b", "huge", Answer(b"x" * 300, b""), 0.0, Keeping(bytes=250))
    assert answers.get("b", "huge", 0.0) is None
    assert answers.get("a", "resp_1", 0.0) is ANSWER


def test_an_answer_that_comes_again_counts_once():
    answers = MemoryAnswers()
    for _ in range(3):
        answers.put("a", "resp_1", Answer(b"x" * 40, b""), 0.0, Keeping())
    assert (len(answers._kept), answers._bytes) == (1, 40)


def kept(answers: MemoryAnswers, owner: str) -> list[str]:
    return [ident for name, ident in answers._kept if name == owner]


def test_who_keeps_much_drives_out_its_own_answers_and_not_those_of_others():
    answers = MemoryAnswers()
    answers.put("quiet", "first", Answer(b"x" * 90, b""), 0.0, Keeping(bytes=1000))
    for number in range(50):
        answers.put("busy", f"resp_{number}", Answer(b"x" * 100, b""), 1.0, Keeping(bytes=1000))
    assert kept(answers, "quiet") == ["first"]
    assert kept(answers, "busy") == [f"resp_{number}" for number in range(41, 50)]
    assert answers._bytes == 990


def test_many_small_answers_drive_out_no_large_one_of_another():
    answers = MemoryAnswers()
    answers.put("quiet", "large", Answer(b"x" * 5000, b""), 0.0, Keeping(entries=4))
    for number in range(9):
        answers.put("busy", f"resp_{number}", ANSWER, 1.0, Keeping(entries=4))
    assert (kept(answers, "quiet"), kept(answers, "busy")) == (["large"], ["resp_6", "resp_7", "resp_8"])


def test_a_newcomer_gets_room_from_who_holds_the_most():
    answers = MemoryAnswers()
    for number in range(10):
        answers.put("busy", f"resp_{number}", Answer(b"x" * 100, b""), 0.0, Keeping(bytes=1000))
    for number in range(4):
        answers.put("new", f"resp_{number}", Answer(b"x" * 100, b""), 0.0, Keeping(bytes=1000))
    assert len(kept(answers, "new")) == 4
    assert kept(answers, "busy") == [f"resp_{number}" for number in range(4, 10)]


def test_of_an_owner_without_answers_nothing_is_left():
    answers = MemoryAnswers()
    for number in range(100):
        answers.put(f"caller-{number}", "resp", ANSWER, 0.0, Keeping(entries=5))
    answers.put("last", "resp", ANSWER, 5000.0, Keeping(entries=5))
    answers.delete("last", "resp")
    assert (answers._kept, answers._shares, answers._bytes) == ({}, {}, 0)
