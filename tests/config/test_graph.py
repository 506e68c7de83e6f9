"""The graph of what leads where, in its three forms."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from omniroute import catalog, cli
from omniroute.config import bundle, graph

FILE = """\
version: 1
providers:
  demo: {type: demo}
  lab:
    type: openai-compatible
    base_url: http://10.0.0.7:8000/v1
    selection: weighted
    connections: {one: {weight: 3}, two: {}, off: {enabled: false}}
    models: {small: {}, large: {}}
aliases: {fast: small, "any-*": lab/*, again: fast}
combos:
  coding:
    strategy: weighted
    targets:
      - {model: fast, weight: 3}
      - {model: lab/large, when: {min_tokens: 1000, has: [tools]}}
      - inner
  inner: {targets: [any-small]}
keys:
  a: {digest: sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, allow: [coding, fa*]}
  b: {digest: sha256:1f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08}
"""
TEXT = """\
alias fast
  -> model lab/small
model lab/small
  -> connection lab.one
  -> connection lab.two
alias any-*
  -> model lab/*
model lab/*
  -> connection lab.one
  -> connection lab.two
alias again
  -> alias fast
combo coding (weighted)
  -> alias fast [1, weight 3]
  -> model lab/large [2, from 1000 tokens, has tools]
  -> combo inner [3]
model lab/large
  -> connection lab.one
  -> connection lab.two
combo inner (priority)
  -> alias any-* [1]
key a
  -> combo coding
  -> alias fast
key b (everything)
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "omniroute.yaml"
    path.write_text(FILE)
    return path


@pytest.fixture
def drawn(file):
    return graph.graph(bundle.read(file, catalog.load()), catalog.load(), keys=True)


def test_the_text_tells_each_step(drawn):
    told = graph.as_text(drawn)
    assert sorted(told.splitlines()) == sorted(TEXT.splitlines())


def test_the_same_file_gives_the_same_graph(file, drawn):
    again = graph.graph(bundle.read(file, catalog.load()), catalog.load(), keys=True)
    for form in graph.FORMS.values():
        assert form(again) == form(drawn)


def test_a_focus_keeps_what_leads_there_and_where_it_leads(drawn):
    kept = drawn.around("inner")
    assert {node.name for node in kept.nodes} == {"a", "coding", "inner", "any-*", "lab/*", "lab.one", "lab.two"}
    assert not drawn.around("nothing").nodes


def test_mermaid_and_dot_have_every_node_and_edge(drawn):
    mermaid, dot = graph.as_mermaid(drawn), graph.as_dot(drawn)
    assert mermaid.startswith("flowchart LR\n")
    assert mermaid.count(" -->") == dot.count(" -> ") == len(drawn.edges)
    assert dot.count("shape=") == len(drawn.nodes)
    assert '{{"coding (weighted)"}}' in mermaid
    assert '[label="coding (weighted)", shape=hexagon]' in dot


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
def test_graphviz_reads_it(drawn):
    subprocess.run(["dot", "-Tsvg"], input=graph.as_dot(drawn).encode(), check=True, capture_output=True, timeout=20)


def test_the_command_draws_and_says_what_is_not_there(file, capsys):
    assert cli.main(["graph", "-c", str(file), "--output", "mermaid", "--focus", "coding"]) == 0
    assert capsys.readouterr().out.startswith("flowchart LR")
    assert cli.main(["graph", "-c", str(file), "--focus", "nothing"]) == 1
    assert "there is no 'nothing' in the graph" in capsys.readouterr().err


def test_the_command_knows_the_forms_that_there_are():
    from omniroute.cli.graph import FORMS

    assert set(FORMS) == set(graph.FORMS)
