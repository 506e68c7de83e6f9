"""Evals through the whole application: every kind of expectation both ways, progress, comparison, cancel, restart."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from support.managed import Answer, Managed, managed, run
from support.upstream import Asked, Script, Upstream, whole

from omniroute.errors import Unavailable
from omniroute.services.evals import runner
from omniroute.state.evals import CaseRow, RunRow

CONFIG = """
version: 1
server: {data_dir: "{data_dir}"}
auth: {require_login: false}
providers:
  demo: {}
  lab:
    type: openai-compatible
    base_url: URL/v1
    connections: {main: {}}
    models: {chat: {price: {input: 1, output: 1}}, judge: {price: {input: 2, output: 2}}, vec: {kind: embedding, price: {input: 0}}}
keys: {team: {digest: "sha256:DIGEST", budgets: [small]}}
budgets: {small: {limit: 1, period: total}}
evals: EVALS
""".replace("DIGEST", "ab" * 32)

SMOKE = """
  smoke:
    description: First things.
    model: demo/echo
    cases:
      said: {input: Paris is it, expect: {contains: paris}}
      unsaid: {input: London, expect: {contains: [london, Paris]}}
"""


def answer(text: str, **more: Any) -> Script:
    return whole(
        {
            "id": "c",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0, "total_tokens": 1_000_000},
            **more,
        }
    )


def config(evals: str, url: str = "http://127.0.0.1:1") -> str:
    return CONFIG.replace("EVALS", evals).replace("URL", url)


def suite(expect: str, **more: Any) -> str:
    rest = "".join(f"    {name}: {value}\n" for name, value in more.items())
    return f"\n  one:\n    model: lab/chat\n{rest}    cases: {{it: {{input: What?, expect: {{{expect}}}}}}}\n"


async def done(one: Managed, suite_id: str, **more: Any) -> Any:
    """Runs a suite to its end."""
    begun = await one("POST", "/api/evals", {"suiteId": suite_id, **more})
    assert begun.status == 202, begun.body
    ident = begun.json["runId"]
    events = await one("GET", f"/api/evals/runs/{ident}", accept="text/event-stream")
    assert events.body.count(b"event: done\n") == 1
    return (await one("GET", f"/api/evals/runs/{ident}")).json


def told(events: Answer) -> list[tuple[str, Any]]:
    blocks = [block.split("\n") for block in events.body.decode().split("\n\n") if block]
    return [(name.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))) for name, data in blocks]


def test_a_suite_is_run_through_the_gateway_and_kept(tmp_path):
    async def test(one: Managed) -> None:
        seen = await done(one, "smoke")
        assert {name: seen["run"][name] for name in ("suiteId", "status", "total", "done", "passed", "failed")} == {
            "suiteId": "smoke",
            "status": "done",
            "total": 2,
            "done": 2,
            "passed": 1,
            "failed": 1,
        }
        assert (seen["run"]["passRate"], seen["run"]["score"]) == (50, 0.75)
        cases = {case["caseId"]: case for case in seen["cases"]}
        assert (cases["said"]["status"], cases["unsaid"]["status"]) == ("passed", "failed")
        assert cases["unsaid"]["reason"] == "contains: it lacks `Paris`"
        assert cases["unsaid"]["checks"] == [
            {"kind": "contains", "passed": False, "score": 0.5, "reason": "it lacks `Paris`"}
        ]
        assert cases["said"]["model"] == "demo/echo"
        assert [row.model for row in one.rows()] == ["echo", "echo"]
        listed = (await one("GET", "/api/evals")).json
        assert [(each["id"], each["caseCount"]) for each in listed["suites"]] == [("smoke", 2)]
        assert listed["suites"][0]["lastRun"] == seen["run"] == listed["recentRuns"][0]
        detail = (await one("GET", "/api/evals/smoke")).json
        assert detail["suite"]["description"] == "First things."
        assert [case["input"] for case in detail["cases"]] == ["Paris is it", "London"]
        assert detail["cases"][0]["expect"] == {"contains": "paris"}

    run(tmp_path, config(SMOKE), test)


ALONE = [
    ("exact: Paris", " Paris\n", True),
    ("exact: Paris", "paris", False),
    ("contains: PAR", "in Paris", True),
    ("contains: Rome", "in Paris", False),
    ("contains: [in, Paris]", "in Paris", True),
    ("regex: '^in .*s$'", "in Paris", True),
    ("regex: '^Paris'", "in Paris", False),
    ("regex: '(a+)+$'", "a" * 60_000 + "b", False),
    ("json_schema: {type: object, required: [city]}", '{"city": "Paris"}', True),
    ("json_schema: {type: object, required: [city]}", '```json\n{"city": "Paris"}\n```', True),
    ("json_schema: {type: object, required: [city]}", '{"town": "Paris"}', False),
    ("json_schema: {type: object}", "Paris", False),
    ("json_schema: {properties: {a: {pattern: '^x'}}}", '{"a": "yx"}', False),
    ("contains: Paris, regex: 'i.$', exact: Paris", "Paris", True),
    ("contains: Paris, exact: London", "Paris", False),
]


@pytest.mark.parametrize(("expect", "said", "passes"), ALONE)
def test_what_needs_no_model_passes_and_fails(tmp_path, expect, said, passes):
    async def test(one: Managed) -> None:
        seen = await done(one, "one")
        assert seen["cases"][0]["passed"] is passes
        assert (seen["cases"][0]["reason"] is None) is passes
        assert (seen["run"]["score"] == 1) is passes
        scored = (await one("POST", "/api/evals", {"suiteId": "one", "outputs": {"it": said}})).json
        assert scored["summary"] == {
            "total": 1,
            "passed": int(passes),
            "failed": int(not passes),
            "skipped": 0,
            "passRate": 100 * passes,
        }
        assert scored["results"][0]["details"]["checks"] == seen["cases"][0]["checks"]

    with Upstream(lambda _: answer(said)) as upstream:
        run(tmp_path, config(suite(expect), upstream.url), test)


@pytest.mark.parametrize(
    ("vectors", "status", "reason"),
    [
        ([[1.0, 0.0], [0.9, 0.1]], "passed", None),
        ([[1.0, 0.0], [0.0, 1.0]], "failed", "similarity: the likeness is 0.000, less than 0.8"),
        ([[1.0, 0.0], [0.0]], "error", "similarity: `lab/vec` gave no vectors that can be compared"),
        ([[0.0, 0.0], [0.0, 1.0]], "error", "similarity: `lab/vec` gave no vectors that can be compared"),
        (None, "error", "similarity: `lab/vec` did not answer: [lab] no"),
    ],
)
def test_a_likeness_is_that_of_vectors(tmp_path, vectors, status, reason):
    def script(asked: Asked) -> Script:
        if asked.path != "/v1/embeddings":
            return answer("Paris")
        assert asked.json["input"] == ["The capital is Paris", "Paris"]
        if vectors is None:
            return whole({"error": {"message": "no"}}, 400)
        data = [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(vectors)]
        return whole({"object": "list", "data": data, "model": "v", "usage": {"prompt_tokens": 2, "total_tokens": 2}})

    async def test(one: Managed) -> None:
        case = (await done(one, "one"))["cases"][0]
        assert (case["status"], case["reason"]) == (status, reason)
        scored = (await one("POST", "/api/evals", {"suiteId": "one", "outputs": {"it": "Paris"}})).json
        assert scored["summary"]["skipped"] == 1

    with Upstream(script) as upstream:
        expect = "similarity: {to: The capital is Paris, model: lab/vec}"
        run(tmp_path, config(suite(expect), upstream.url), test)


@pytest.mark.parametrize(
    ("verdict", "status", "score", "reason"),
    [
        ('{"score": 0.9, "reason": "fine"}', "passed", 0.9, None),
        ('Well: {"score": 0.2, "reason": "too\\u0007 short"} I think.', "failed", 0.2, "judge: too  short"),
        ('{"score": 3}', "error", 0, "judge: `lab/judge` gave no verdict of the form that it was asked for"),
        ("fine", "error", 0, "judge: `lab/judge` gave no verdict of the form that it was asked for"),
        (None, "error", 0, "judge: `lab/judge` did not answer: [lab] no"),
    ],
)
def test_a_judge_is_a_model_that_is_told_the_rubric(tmp_path, verdict, status, score, reason):
    def script(asked: Asked) -> Script:
        if asked.json["model"] != "judge":
            return answer("Paris")
        said = msgspec.json.decode(asked.json["messages"][1]["content"])
        assert said == {"rubric": "Be right.", "question": "What?", "answer": "Paris"}
        return whole({"error": {"message": "no"}}, 400) if verdict is None else answer(verdict)

    async def test(one: Managed) -> None:
        seen = await done(one, "one")
        case = seen["cases"][0]
        assert (case["status"], case["score"], case["reason"]) == (status, score, reason)
        assert Decimal(seen["run"]["cost"]) == (1 if verdict is None else 3)  # a million tokens each
        assert len(one.rows()) == 2

    with Upstream(script) as upstream:
        expect = "judge: {model: lab/judge, rubric: Be right.}"
        run(tmp_path, config(suite(expect), upstream.url), test)


def test_a_request_is_what_the_suite_and_the_case_say(tmp_path):
    evals = """
  talk:
    model: lab/chat
    system: Be brief.
    params: {temperature: 0, max_tokens: 10}
    cases:
      long:
        system: Be kind.
        params: {max_tokens: 20}
        input:
          - {role: user, content: Hello}
          - {role: assistant, content: Hi}
          - {role: user, content: And?}
        expect: {contains: x}
"""

    async def test(one: Managed) -> None:
        await done(one, "talk")
        body = upstream.asked[0].json
        assert body["messages"] == [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": "Hi"},
            {"role": "user", "content": "And?"},
        ]
        assert (body["temperature"], body["max_tokens"], body["model"]) == (0, 20, "chat")
        seen = await done(one, "talk", target="demo/echo")
        assert seen["cases"][0]["model"] == "demo/echo"
        assert seen["run"]["target"] == "demo/echo"
        seen = await done(one, "talk", target={"type": "model", "id": "demo/echo"})
        assert len(upstream.asked) == 1

    with Upstream(lambda _: answer("x")) as upstream:
        run(tmp_path, config(evals, upstream.url), test)


def test_a_suites_key_pays_and_its_budget_ends_it(tmp_path):
    async def test(one: Managed) -> None:
        seen = await done(one, "one")
        assert seen["cases"][0]["passed"]
        rows = one.rows()
        assert [(row.key, row.cost) for row in rows] == [("team", Decimal(1))]
        seen = await done(one, "one")
        assert seen["cases"][0]["status"] == "error"
        assert "small" in seen["cases"][0]["reason"]
        assert len(upstream.asked) == 1

    with Upstream(lambda _: answer("x")) as upstream:
        text = suite("contains: x", key="team", params="{max_tokens: 1}")
        run(tmp_path, config(text, upstream.url), test)


def test_a_provider_that_fails_fails_the_case_and_is_held_against_it(tmp_path):
    async def test(one: Managed) -> None:
        case = (await done(one, "one"))["cases"][0]
        assert (case["status"], case["score"], case["reason"]) == ("error", 0, "[lab] slow down")
        assert one.service.state.breakers.view("lab.main", one.service.state.clock.monotonic()) is not None

    with Upstream(lambda _: whole({"error": {"message": "slow down"}}, 429)) as upstream:
        run(tmp_path, config(suite("contains: x"), upstream.url), test)


def test_a_case_that_takes_too_long_is_given_up(tmp_path):
    async def test(one: Managed) -> None:
        case = (await done(one, "one"))["cases"][0]
        assert (case["status"], case["reason"]) == ("error", "it took longer than 0.05 s")

    with Upstream(lambda _: Script(silent=True)) as upstream:
        run(tmp_path, config(suite("contains: x", timeout="50ms"), upstream.url), test)


def test_answers_are_kept_only_where_the_suite_says_so_and_told_meanwhile(tmp_path):
    async def test(one: Managed) -> None:
        for stores in (False, True):
            name = "keeps" if stores else "forgets"
            begun = (await one("POST", "/api/evals", {"suiteId": name})).json
            events = told(await one("GET", f"/api/evals/runs/{begun['runId']}", accept="text/event-stream"))
            assert [event["case"]["answer"] for kind, event in events if kind == "progress"] == ["x" * runner.KEPT]
            seen = (await one("GET", f"/api/evals/runs/{begun['runId']}")).json
            assert seen["cases"][0]["answer"] == ("x" * runner.KEPT if stores else None)
            assert seen["cases"][0]["checks"]

    with Upstream(lambda _: answer("x" * 10_000)) as upstream:
        case = "{cases: {it: {input: q, model: lab/chat, expect: {contains: x}}}"
        both = f"{{forgets: {case}}}, keeps: {case}, store_answers: true}}}}"
        run(tmp_path, config(both, upstream.url), test)


def test_progress_is_told_case_by_case(tmp_path):
    cases = ", ".join(f"c{number}: {{input: q, expect: {{contains: x}}}}" for number in range(6))

    async def test(one: Managed) -> None:
        begun = (await one("POST", "/api/evals", {"suiteId": "many"})).json
        assert (begun["status"], begun["done"], begun["total"]) == ("running", 0, 6)
        events = told(await one("GET", f"/api/evals/runs/{begun['runId']}", accept="text/event-stream"))
        assert [kind for kind, _ in events] == ["progress"] * 6 + ["done"]
        assert [event["run"]["done"] for _, event in events] == [1, 2, 3, 4, 5, 6, 6]
        assert [event["run"]["passed"] for _, event in events] == [1, 2, 3, 4, 5, 6, 6]
        assert events[-1][1]["run"]["status"] == "done"
        again = told(await one("GET", f"/api/evals/runs/{begun['runId']}", accept="text/event-stream"))
        assert again == [events[-1]]
        assert upstream.most <= 2

    class Counting(Upstream):
        most = 0

    def script(_: Asked) -> Script:
        upstream.most = max(upstream.most, upstream.busy)
        return answer("x")

    with Counting(script) as upstream:
        text = f"{{many: {{model: lab/chat, concurrency: 2, cases: {{{cases}}}}}}}"
        run(tmp_path, config(text, upstream.url), test)


def test_a_run_is_compared_with_the_last_one_of_its_target(tmp_path):
    evals = """
  drift:
    model: lab/chat
    cases:
      a: {input: a, expect: {contains: a}}
      b: {input: b, expect: {contains: b}}
      c: {input: c, expect: {contains: c}}
"""
    known = {"a": "a", "b": "no"}

    def script(asked: Asked) -> Script:
        question = asked.json["messages"][0]["content"]
        return answer(known.get(question, question))

    async def test(one: Managed) -> None:
        first = await done(one, "drift")
        assert first["compared"] is None
        known.update(a="no", b="b")
        await done(one, "drift", target="demo/echo")
        second = await done(one, "drift")
        assert second["compared"] == {
            "runId": first["run"]["runId"],
            "scoreDelta": 0.0,
            "regressions": ["a"],
            "improvements": ["b"],
            "new": [],
            "gone": [],
        }
        known["a"] = "a"
        third = await done(one, "drift")
        assert (third["compared"]["scoreDelta"], third["compared"]["improvements"]) == (0.3333, ["a"])
        assert (await one("GET", "/api/evals/drift")).json["compared"] == third["compared"]
        assert len((await one("GET", "/api/evals/drift?limit=2")).json["runs"]) == 2

    with Upstream(script) as upstream:
        run(tmp_path, config(evals, upstream.url), test)


def test_a_run_can_be_cancelled_and_keeps_what_it_has(tmp_path):
    def script(asked: Asked) -> Script:
        return answer("x") if asked.json["messages"][0]["content"] == "quick" else Script(silent=True)

    evals = """
  both:
    model: lab/chat
    concurrency: 1
    cases:
      quick: {input: quick, expect: {contains: x}}
      slow: {input: slow, expect: {contains: x}}
      never: {input: never, expect: {contains: x}}
"""

    async def test(one: Managed) -> None:
        ident = (await one("POST", "/api/evals", {"suiteId": "both"})).json["runId"]
        follower = asyncio.create_task(one("GET", f"/api/evals/runs/{ident}", accept="text/event-stream"))
        while not (await one("GET", f"/api/evals/runs/{ident}")).json["cases"] or len(upstream.asked) < 2:
            await asyncio.sleep(0.01)
        assert (await one("DELETE", f"/api/evals/runs/{ident}")).json == {
            "success": True,
            "deleted": 0,
            "cancelled": True,
        }
        assert told(await follower)[-1][1]["run"]["status"] == "cancelled"
        seen = (await one("GET", f"/api/evals/runs/{ident}")).json
        assert (seen["run"]["status"], seen["run"]["done"], seen["run"]["passed"]) == ("cancelled", 1, 1)
        assert len(upstream.asked) == 2
        assert (await one("DELETE", f"/api/evals/runs/{ident}")).json["deleted"] == 1
        assert (await one("GET", f"/api/evals/runs/{ident}")).json["error"]["code"] == "run_not_found"
        assert (await one("DELETE", f"/api/evals/runs/{ident}")).status == 404

    with Upstream(script) as upstream:
        run(tmp_path, config(evals, upstream.url), test)


def test_a_run_that_its_process_left_over_is_shown_as_interrupted(tmp_path):
    text = config(SMOKE)

    async def main() -> None:
        async with managed(tmp_path, text) as one:
            store = one.service.state.evals
            left = RunRow(id="left", suite="smoke", started=5.0, total=2, revision="x")
            store.begin(left)
            store.add("left", CaseRow(name="said", status="passed", score=1.0))
        async with managed(tmp_path, text) as one:
            seen = (await one("GET", "/api/evals/runs/left")).json
            assert (seen["run"]["status"], [case["caseId"] for case in seen["cases"]]) == ("interrupted", ["said"])
            assert seen["run"]["endedAt"] is not None
            assert (await done(one, "smoke"))["compared"] is None
        async with managed(tmp_path, text) as one:
            assert [each["status"] for each in (await one("GET", "/api/evals/smoke")).json["runs"]] == [
                "done",
                "interrupted",
            ]
            assert (await one("DELETE", "/api/evals/smoke")).json["deleted"] == 2
            assert (await one("GET", "/api/evals/smoke")).json["runs"] == []

    asyncio.run(main())


def test_the_end_of_the_process_interrupts_what_is_under_way(tmp_path):
    async def main() -> None:
        with Upstream(lambda _: Script(silent=True)) as upstream:
            text = config(suite("contains: x"), upstream.url)
            async with managed(tmp_path, text) as one:
                ident = (await one("POST", "/api/evals", {"suiteId": "one"})).json["runId"]
                while not upstream.asked:
                    await asyncio.sleep(0.01)
            assert (await one("POST", "/api/evals", {"suiteId": "one"})).json["error"]["code"] == "shutting_down"
            async with managed(tmp_path, text) as one:
                assert (await one("GET", f"/api/evals/runs/{ident}")).json["run"]["status"] == "interrupted"

    asyncio.run(main())


def test_only_so_many_runs_are_under_way(tmp_path):
    async def test(one: Managed) -> None:
        begun = [(await one("POST", "/api/evals", {"suiteId": "one"})) for _ in range(5)]
        assert [each.status for each in begun] == [202] * 4 + [409]

    with Upstream(lambda _: Script(silent=True)) as upstream:
        run(tmp_path, config(suite("contains: x"), upstream.url), test)


def test_a_history_that_cannot_be_written_costs_nothing_and_later_is_told(tmp_path, monkeypatch):
    async def test(one: Managed) -> None:
        store = one.service.state.evals

        def fails(*_: Any) -> None:
            raise Unavailable("full", code="evals_unavailable")

        with monkeypatch.context() as patch:
            patch.setattr(store, "begin", fails)
            assert (await one("POST", "/api/evals", {"suiteId": "smoke"})).status == 503
            assert not one.rows()
        with monkeypatch.context() as patch:
            patch.setattr(store, "add", fails)
            ident = (await one("POST", "/api/evals", {"suiteId": "smoke"})).json["runId"]
            events = told(await one("GET", f"/api/evals/runs/{ident}", accept="text/event-stream"))
            assert events[-1][1]["run"]["problem"] == "not all results were kept: full"
            assert events[-1][1]["run"]["passed"] == 1

    run(tmp_path, config(SMOKE), test)


def test_what_is_not_there_is_refused_in_words(tmp_path):
    async def test(one: Managed) -> None:
        async def code(method: str, path: str, body: Any = None) -> tuple[int, str]:
            reply = await one(method, path, body)
            return reply.status, reply.json["error"]["code"]

        assert await code("POST", "/api/evals", {"suiteId": "no"}) == (404, "suite_not_found")
        assert await code("POST", "/api/evals", {"suiteId": "no", "outputs": {}}) == (404, "suite_not_found")
        assert await code("POST", "/api/evals", {"suiteId": "smoke", "target": "no/x"}) == (404, "model_not_found")
        assert await code("POST", "/api/evals", {}) == (400, "invalid_body")
        assert await code("GET", "/api/evals/no") == (404, "suite_not_found")
        assert await code("DELETE", "/api/evals/no") == (404, "suite_not_found")
        assert await code("GET", "/api/evals/runs/no") == (404, "run_not_found")
        scored = (await one("POST", "/api/evals", {"suiteId": "smoke", "outputs": {"said": "Paris"}})).json
        assert [each["passed"] for each in scored["results"]] == [True, False]
        assert scored["results"][1]["details"]["reason"] == "there is no output of this case"
        assert not one.rows()
        assert (await one("GET", "/api/evals")).json["recentRuns"] == []

    run(tmp_path, config(SMOKE), test)
