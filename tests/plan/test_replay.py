"""Recorded requests, decided by two configurations: what would have gone elsewhere, been refused or cost otherwise."""

from __future__ import annotations

import time
import tracemalloc
import urllib.request
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from support.gateway import Gateway

from omniroute import catalog
from omniroute.cli import main
from omniroute.cli.replay import moment
from omniroute.config.plan import version
from omniroute.services import replay as replaying
from omniroute.services.replay import replay
from omniroute.state.base import UsageRow
from omniroute.state.sqlite import SqliteLedger, replayed

CATALOG = catalog.load()
CASES = Path(__file__).parent / "cases"
AT = 1_772_445_600.0


def row(number: int, key: str, model: str, **more: object) -> UsageRow:
    fields: dict[str, object] = {
        "started": AT + number,
        "operation": "chat",
        "format": "openai_chat",
        "provider": "lab",
        "connection": "lab.main",
        "model": "small",
        "status": 200,
        "input": 10_000,
        "output": 1_000,
    }
    ident = f"{int((AT + number) * 1000):012x}{number:020x}"
    return UsageRow(id=ident, key=key, requested=model, **{**fields, **more})  # type: ignore[arg-type]


def sides(case: str) -> tuple[version.Version, version.Version]:
    old, new = (version.of_file(CASES / case / side / "omniroute.yaml", CATALOG) for side in ("before", "after"))
    return old, new


def of(case: str, *rows: UsageRow) -> replaying.Replayed:
    return replay(rows, *sides(case), AT)


def test_another_price_is_told_with_the_sums():
    found = of("price-up", row(1, "team-a", "fast"), row(2, "team-b", "cheap"), row(3, "team-b", "cloud/opus"))
    assert (found.total.requests, found.total.repriced, found.total.same) == (3, 2, 1)
    assert found.total.new_cost - found.total.old_cost == Decimal("0.006")
    first = found.groups[0]
    assert (first.key, first.model, first.sums.old_cost, first.sums.new_cost) == (
        "team-a",
        "fast",
        Decimal("0.006"),
        Decimal("0.009"),
    )


def test_what_leads_elsewhere_is_told_with_an_example():
    found = of("alias-moved", row(1, "team-a", "fast"))
    assert (found.total.moved, found.total.old_cost, found.total.new_cost) == (1, Decimal("0.006"), Decimal("0.042"))
    example = found.groups[0].examples[0]
    assert (example.verdict, example.old, example.new) == ("moved", "lab/small", "lab/large")


@pytest.mark.parametrize(
    ("case", "key", "model", "verdict", "why"),
    [
        ("key-loses-a-model", "team-a", "lab/large", "refused", "the key `team-a` may not use `lab/large`"),
        ("key-removed", "team-b", "coding", "refused", "there is no key `team-b`"),
        ("key-replaced", "team-b", "coding", "refused", "there is no key `team-b`"),
        ("key-renamed", "team-b", "coding", "same", ""),
        ("key-expires", "team-b", "coding", "refused", "the key `team-b` has expired"),
        ("key-loses-the-role-of-a-client", "team-b", "coding", "refused", "the key `team-b` has not the role `client`"),
        ("alias-removed", "team-b", "fast", "refused", "There is no model `fast` here."),
        ("policy-denies-all", "team-b", "coding", "refused", "policy closed: Only embeddings for now"),
        ("policy-denies-some", "team-a", "coding", "moved", "lab/large"),
        ("policy-in-the-shadow", "team-a", "coding", "same", ""),
        ("policy-denies-sometimes", "team-a", "coding", "same", ""),
        ("policy-reroutes", "team-b", "coding", "moved", "lab/small"),
        ("keys-required", "", "fast", "refused", "a key is required"),
        ("keys-no-longer-required", "", "fast", "served", "lab/small"),
        ("key-gains-a-model", "team-a", "cheap", "served", "lab/small"),
        ("combo-weighted", "team-a", "coding", "same", ""),
    ],
)
def test_each_request_is_decided_as_it_would_be_served(case, key, model, verdict, why):
    found = of(case, row(1, key, model))
    assert getattr(found.total, verdict) == 1
    examples = found.groups[0].examples
    assert why in examples[0].new if examples else verdict == "same"


def test_what_cannot_be_known_is_said():
    found = of("policy-denies-sometimes", row(1, "team-a", "coding"))
    assert "policy `eu-stays` of the new configuration looks at what is not recorded" in found.unknown
    assert any("headers, bodies and addresses are not recorded" in each for each in found.unknown)


def test_what_no_provider_answered_costs_nothing_and_what_was_never_read_is_counted_apart():
    found = of(
        "price-up", row(1, "team-a", "fast", cache="hit"), row(2, "", "", status=400), row(3, "team-b", "lab/new")
    )
    assert (found.cached, found.unreadable, found.total.requests) == (1, 1, 2)
    assert (found.total.unpriced, found.total.new_cost) == (1, 0)


def test_the_size_of_a_prompt_decides_where_it_does():
    big, small = row(1, "team-b", "cheap", input=120_000), row(2, "team-b", "cheap", input=10)
    found = of("combo-without-fallback", big, small)
    assert {example.old: example.new for example in found.groups[0].examples} == {"lab/large": "lab/small"}


def test_a_decision_is_the_same_whether_it_is_remembered_or_not(monkeypatch):
    rows = [row(number, "team-b", "cheap", input=number * 7_000) for number in range(40)]
    remembered = of("combo-without-fallback", *rows, *rows)
    monkeypatch.setattr(replaying, "MOST_KEPT", 0)
    assert of("combo-without-fallback", *rows, *rows) == remembered


def test_further_pairs_are_counted_together(monkeypatch):
    monkeypatch.setattr(replaying, "MOST_GROUPS", 2)
    found = of("price-up", *(row(number, "team-b", f"lab/none-{number}") for number in range(5)))
    assert len(found.groups) == 3
    assert next(group.sums.requests for group in found.groups if group.key == replaying.OTHERS) == 3


def written(path: Path, rows: Iterable[UsageRow]) -> Path:
    ledger = SqliteLedger(path)
    for each in rows:
        ledger.append(each)
    assert ledger.flush(20)
    assert ledger.close()
    return path


def test_rows_are_read_one_after_the_other(tmp_path):
    path = written(tmp_path / "many.sqlite", (row(number, "team-a", "fast") for number in range(3_000)))
    pair = sides("price-up")
    peaks = []
    for until in (AT + 300, AT + 3_000):
        tracemalloc.start()
        found = replay(replayed(path, AT, until), *pair, AT)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert found.total.requests == 3_000
    assert peaks[1] < 2 * peaks[0] + 100_000
    assert replay(replayed(path, AT + 2_990), *pair, AT).total.requests == 10
    assert replay(replayed(tmp_path / "none.sqlite", AT), *pair, AT).total.requests == 0


def test_what_a_gateway_served_is_replayed_from_its_ledger(tmp_path, capsys, monkeypatch):
    config = 'version: 1\nserver: {data_dir: "{data_dir}"}\nproviders: {demo: {}}\naliases: {fast: demo/echo}\n'
    with Gateway(config) as gateway:
        for model in ("fast", "fast", "demo/agent"):
            body = msgspec.json.encode({"model": model, "messages": [{"role": "user", "content": "hello"}]})
            request = urllib.request.Request(
                f"{gateway.url}/v1/chat/completions", data=body, headers={"content-type": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as reply:
                assert reply.status == 200
        gateway.rows(3)
        new = tmp_path / "new.yaml"
        new.write_text(gateway.path.read_text().replace("fast: demo/echo", "fast: demo/agent"))
        against = ("--against", str(gateway.path))
        monkeypatch.chdir(tmp_path)
        assert main(["replay", "--since", "1h", "--config", str(new), *against]) == 0
        out = capsys.readouterr().out
        assert "3 requests: 1 the same, 2 served elsewhere" in out
        assert "no key, fast: 2 elsewhere of 2" in out
        assert "demo/echo → demo/agent" in out
        assert "What this cannot know:" in out
        options = ("--since", "2020-01-01", "--database", str(gateway.ledger), "--json", "--detailed-exitcode")
        assert main(["replay", "--config", str(new), *against, *options]) == 2
        assert msgspec.json.decode(capsys.readouterr().out)["total"]["moved"] == 2
        assert main(["replay", "--config", str(gateway.path), *against, *options]) == 0
        capsys.readouterr()
        assert main(["replay", "--config", str(new), *against, "--database", "none.sqlite"]) == 1
        assert main(["replay", "--config", str(new), *against, "--since", "yesterday"]) == 2


def test_a_time_is_a_duration_or_a_moment():
    now = time.time()
    assert moment("24h", now) == now - 86_400
    assert moment("2026-03-02T10:00:00Z", now) == moment("2026-03-02T10:00:00", now) == AT
