"""What a process remembers of a company."""

from store.companies import ACTIVE, Company


def test_what_was_read_some_time_ago_does_not_undo_what_another_task_learnt_meanwhile() -> None:
    company = Company(1, "pipedrive", ACTIVE, {"deal": {"a": "enum", "b": "text"}})
    company.learn([("deal", "c", "set")])
    company.know({"deal": {"a": "int", "d": "date"}, "person": {"e": "text"}})
    assert company.types == {"deal": {"a": "int", "b": "text", "c": "set", "d": "date"}, "person": {"e": "text"}}
