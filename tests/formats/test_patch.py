import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from omniroute.errors import BadRequest, Unsupported
from omniroute.formats import patch
from omniroute.formats.codec import Head
from omniroute.formats.ir import Raw
from omniroute.formats.patch import Quirks

KEYS = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8"), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
SPACE = st.text(" \t\r\n", max_size=2)


def refusal(call, *args):
    with pytest.raises(BadRequest) as caught:
        call(*args)
    return caught.value.fault


def written(pairs, spaces):
    """A JSON object as somebody else might write it, repeated keys and all."""
    space = iter(spaces)

    def gap():
        return next(space, "").encode()

    body = gap() + b"{" + gap()
    for at, (key, value) in enumerate(pairs):
        body += (b"," + gap() if at else b"") + msgspec.json.encode(key) + gap() + b":" + gap()
        body += msgspec.json.encode(value) + gap()
    return body + b"}" + gap()


@given(st.lists(st.tuples(KEYS, VALUES), max_size=5), st.lists(SPACE, max_size=25))
def test_a_body_splits_into_its_fields_unless_a_key_stands_twice(pairs, spaces):
    body = written(pairs, spaces)
    names = [key for key, _ in pairs]
    if len(set(names)) < len(names):
        assert "twice" in refusal(patch.split, body).message
    else:
        fields = patch.split(body)
        assert {key: msgspec.json.decode(raw) for key, raw in fields.items()} == dict(pairs)
        assert msgspec.json.decode(patch.join(fields)) == dict(pairs)


@pytest.mark.parametrize(
    "body",
    [
        b'{"n":12,"n":1}',
        b'{"n":1,"n":12}',
        b'{"n":1.5,"n":1}',
        b'{"n":12,"n":1,"m":2}',
        b'{"n":1,"n":1}',
        b'{"a":1,"n":12,"b":2,"n":1}',
        b'{"\\u006e":1,"n":2}',
        b'{"n":1,"\\u006e":2}',
        b'{ "n": [1], "m": 2, "n": [1] }',
    ],
)
def test_repeated_keys_are_refused_however_they_are_written(body):
    assert "twice" in refusal(patch.split, body).message


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"1", b'"x"', b"{", b'{"a"}', b'{"a":1}x', b'{"a":\xff}', b'{"a":"\xff"}', b"nul"]
)
def test_what_is_not_an_object_of_json_is_refused(body):
    assert refusal(patch.split, body).status == 400


def test_deep_nesting_is_refused_and_not_followed():
    deep = b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    assert "deeply" in refusal(patch.split, deep).message


def test_the_head_names_model_and_stream():
    body = b'{"model":"m","stream":true}'
    fields = {"model": msgspec.Raw(b'"m"'), "stream": msgspec.Raw(b"true")}
    assert patch.head(body) == Head("m", stream=True, fields=fields, body=body)
    assert patch.head(b'{"model":"m"}').stream is False
    assert patch.head(b'{"model":"m","stream":null}').stream is False


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{}", "model"),
        (b'{"model":1}', "model"),
        (b'{"model":null}', "model"),
        (b'{"model":""}', "model"),
        (b'{"model":"a\\nb"}', "model"),
        (b'{"model":"' + b"m" * 257 + b'"}', "model"),
        (b'{"model":"m","stream":"true"}', "stream"),
        (b'{"model":"m","stream":1}', "stream"),
    ],
)
def test_a_head_that_cannot_be_routed_is_refused(body, param):
    assert refusal(patch.head, body).param == param


def test_a_wrong_type_is_told_with_its_place():
    class Inner(msgspec.Struct):
        url: str

    class Outer(msgspec.Struct):
        parts: list[Inner]

    outer = msgspec.json.Decoder(Outer)
    fault = refusal(patch.read, outer, msgspec.Raw(b'{"parts":[{"url":"a"},{"url":1}]}'), "messages[2]")
    assert fault.param == "messages[2].parts[1].url"
    assert "Expected `str`, got `int`" in fault.message
    for bad in (b'{"parts":[{"url":"\\ud800"}]}', b'{"x":' + b"[" * 100_000):
        assert refusal(patch.read, outer, msgspec.Raw(bad), "here").param == "here"


def test_what_is_wrong_anywhere_in_a_body_is_told_with_its_place():
    class Inner(msgspec.Struct):
        text: str

    class Outer(msgspec.Struct):
        n: int | None = None
        parts: list[Inner] = []

    def look(body):
        return patch.look(msgspec.json.Decoder(Outer), Head("m", stream=False, fields={}, body=body))

    assert look(b'{"n":1,"other":"x"}').n == 1
    assert look(b'{"n":null}').n is None
    assert refusal(look, b'{"n":"1"}').param == "n"
    assert refusal(look, b'{"parts":[{"text":"a"},{"text":1}]}').param == "parts[1].text"
    assert "deeply" in refusal(look, b'{"x":' + b"[" * 200_000).message


def test_joining_keeps_the_bytes_of_what_was_not_touched():
    body = b'{"model":"m","messages":[ {"role" : "user"} ],"big":1e999,"esc":"\\u0041"}'
    fields = dict(patch.split(body))
    assert patch.join(fields) == body
    fields["model"] = "other"
    assert patch.join(fields) == body.replace(b'"m"', b'"other"')


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":1,"model":"gpt","text":"\\"model\\":\\"gpt\\""}',
        b'{"x":{"model":"gpt"},"model":"gpt"}',
        b'{"x":{"model":"gpt"},"model": "gpt"}',
        b'{"x":["model"],"model":"gpt"}',
        b'{"mod\\u0065l":"gpt"}',
        b'{"model":"\\u0067pt"}',
        b'{"model":null,"a":1}',
        b'{"a":{"model":1}}',
        b"{}",
    ],
)
def test_a_body_is_renamed_and_not_otherwise_changed(body):
    theirs = bytes(msgspec.json.decode(body, type=dict[str, msgspec.Raw]).get("model", b""))
    assert msgspec.json.decode(patch.renamed(body, theirs, "our")) == {**msgspec.json.decode(body), "model": "our"}


def test_renaming_keeps_every_other_byte():
    body = b'{ "id" : 1, "model":"gpt",\n"big":1e999 }'
    assert patch.renamed(body, b'"gpt"', "our") == body.replace(b"gpt", b"our")


def test_quirks_apply_in_their_order_and_leave_the_fields_alone():
    fields = {"max_tokens": msgspec.Raw(b"9000"), "seed": 1, "temperature": 1.7, "on": True}
    quirks = Quirks(
        drop=("seed",),
        rename={"max_tokens": "max_completion_tokens"},
        default={"temperature": 0.5, "top_p": 1},
        clamp={"max_completion_tokens": (1, 4096), "temperature": (0, 1), "on": (0, 0), "absent": (0, 1)},
    )
    assert patch.apply(quirks, fields) == {"max_completion_tokens": 4096, "temperature": 1, "on": True, "top_p": 1}
    assert fields["seed"] == 1


def test_a_clamped_number_stays_whole_and_anything_else_as_it_is():
    clamp = {"n": (None, 10.0), "low": (2, None), "text": (0, 1), "ratio": (0, 0.5)}
    fields = {"n": 99, "low": msgspec.Raw(b"1"), "text": "7", "ratio": 1}
    assert patch.apply(Quirks(clamp=clamp), fields) == {"n": 10, "low": 2, "text": "7", "ratio": 0.5}


def test_instructions_come_under_the_role_that_an_upstream_knows():
    body = b'[{"role":"developer","content":"a"},{"role":"user","content":"b"},{"role":"system","content":"c"}]'
    fields = {"messages": msgspec.Raw(body)}
    sent = msgspec.json.decode(patch.join(patch.apply(Quirks(system_role="system"), fields)))["messages"]
    assert [message["role"] for message in sent] == ["system", "user", "system"]
    assert [message["content"] for message in sent] == ["a", "b", "c"]
    plain = {"messages": [{"role": "user", "content": "b"}, {"role": "developer", "content": "a"}]}
    assert patch.apply(Quirks(system_role="developer"), plain)["messages"] is plain["messages"]


def test_a_size_becomes_two_numbers_and_words_become_others():
    quirks = patch.Quirks(
        split={"size": ("width", "height")},
        rename={"output_format": "extension"},
        values={"extension": {"jpeg": "jpg"}, "form": {"float": None}},
    )
    fields = {"size": Raw(b'"512x768"'), "output_format": Raw(b'"jpeg"'), "form": Raw(b'"float"')}
    assert patch.apply(quirks, fields) == {"width": 512, "height": 768, "extension": "jpg", "form": None}
    kept = {"output_format": Raw(b'"png"'), "form": Raw(b"1e999"), "size": Raw(b'"auto"')}
    assert patch.apply(quirks, kept) == {"extension": Raw(b'"png"'), "form": Raw(b"1e999")}
    assert patch.apply(quirks, {"size": Raw(b"null")}) == {}


@pytest.mark.parametrize("size", [b'"2K"', b'""', b"5", b"1e999", b"[]", b'"0x1"', b'"1x2x3"'])
def test_a_size_that_is_no_two_numbers_cannot_be_split(size):
    with pytest.raises(Unsupported) as caught:
        patch.apply(patch.Quirks(split={"size": ("width", "height")}), {"size": Raw(size)})
    assert caught.value.fault.param == "size"


def test_a_quirk_leaves_what_cannot_be_written_again_as_it_came():
    body = b'[{"role":"user","content":"b","x":%b},{"role":"system","content":[{"type":"text","y":1e400}]}]' % (
        b"9" * 30
    )
    quirks = Quirks(system_role="developer", merge_system=True, clamp={"z": (0, 1)})
    sent = patch.join(patch.apply(quirks, {"messages": msgspec.Raw(body), "z": msgspec.Raw(b"9" * 30)}))
    assert sent == (
        b'{"messages":[{"role":"developer","content":[{"type":"text","y":1e400}]},'
        b'{"role":"user","content":"b","x":999999999999999999999999999999}],"z":1}'
    )


@pytest.mark.parametrize("value", [b"1e400", b'"\\ud800"', b"[" * 20_000 + b"]" * 20_000])
def test_a_quirk_about_a_field_that_cannot_be_read_is_a_refusal_that_names_it(value):
    by_word = (Quirks(values={"z": {"a": "b"}}), Quirks(split={"z": ("x", "y")})) if value.startswith(b'"') else ()
    for quirks in (Quirks(clamp={"z": (0, 1)}), *by_word):
        with pytest.raises(BadRequest, match="`z` is not as it should be"):
            patch.apply(quirks, {"z": msgspec.Raw(value)})


@pytest.mark.parametrize("name", ["a/../b", "..", "a/..", "./a", "a/./b"])
def test_a_models_name_leads_nowhere_else_in_an_address(name):
    with pytest.raises(BadRequest, match="`model` must not hold"):
        patch.model_name(name)
    assert patch.model_name(name.replace("..", "1.5").replace("./", ".x/")) != name


@pytest.mark.parametrize("body", [b'{"a":1,"b":2,"a":1}', b'{"b":1, "a" : {},"a":2}', b'{"\\u0061":1,"b":0,"a":1}'])
def test_a_repeated_key_is_named(body):
    with pytest.raises(BadRequest, match="'a' stands twice") as caught:
        patch.split(body)
    assert caught.value.fault.param == "a"
    with pytest.raises(BadRequest, match="stands twice") as caught:
        patch.split(body.replace(b'"a"', b'"%b"' % (b"a" * 5000)).replace(b"\\u0061", b"a" * 5000))
    assert len(str(caught.value)) < 200
