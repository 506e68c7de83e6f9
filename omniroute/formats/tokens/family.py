"""What the models of each family charge for text, pictures, pages, sound, turns and tools.

**Text.** OpenAI's vocabularies are public, and their counts are exact. The rates of the other families are the smallest
(by linear programming, over all of them at once) that count none of 619 texts too low: 92 of up to 60 kB (the manuals of
GNOME and of Linux in 32 languages, Python, C, TypeScript, HTML, YAML, Markdown, JSON, logs, tables, numbers,
identifiers, base64, random letters, capitals, emoji, formulas, frames) and pieces of 1500 characters of manuals and
code. Of 463 other pieces no more than 4 came out too low in any family, by 5 % and once, in Vietnamese, by 14 %.
Compared with:

* Claude: `ctok` 1.3, which rebuilt the vocabularies from `count_tokens` and agrees with it on 2.3 million texts, up to
  Opus 4.6 in one version, from Opus 4.7 on in another. Published ratios to o200k are 1.18 and 1.53 for English and code
  (github.com/sammcj/ingest, pull request 65); ours are higher because German and Greek cost more.
* Gemini: the vocabulary of Gemma 3. Llama 3, Qwen 3 and 3.5, DeepSeek V4, Mistral's Tekken and the older one of 32 k
  that Llama 2 shares: their own. A model that is none of these: the dearest of the large vocabularies among them.

English prose, code and JSON are overrated by a sixth for most families, by a quarter for Claude and two fifths for its
latest models. What stays underrated are hundreds of repetitions of one letter, space or dash in Claude, Gemini and
Mistral, whose vocabularies have no word for them; in a text they are lost in what is overrated.

**The rest** is what the providers publish; where it is measured or supposed, a comment says so.
"""

from __future__ import annotations

import re

import msgspec

from omniroute.formats.tokens.picture import Crops, Flat, Rule, Squares, Tiles
from omniroute.formats.tokens.text import Rate


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of each thing. `tools` is what having any tool costs, `server_tool` what each costs that the provider runs
    itself, `second` what a second of sound does.

    A `turn` is OpenAI's three and the break after them; `tool`, for a tool, a call or a result, is the names and
    brackets of the JSON around it, which the templates of open models write out.
    """

    rate: Rate
    picture: Rule
    page: int
    request: int = 4
    turn: int = 4
    tool: int = 20
    tools: int = 0
    server_tool: int = 0
    second: int = 10


_PAGE = 4600
"""A page of a PDF as Anthropic reads it: its text, up to 3000 tokens, and its picture, up to 1600."""

_CLAUDE = Family(
    rate=Rate(
        factor=1.46,
        digits=-0.14,
        capitals=0.3,
        cyrillic=0.07,
        levant=0.26,
        indic=0.48,
        east=0.04,
        hangul=0.48,
        emoji=1.76,
    ),
    picture=Squares(side=750**0.5, most=1600, edge=1568),
    page=_PAGE,
    request=7,  # measured: the frame of one message, and 13 from Opus 4.7 on
    tools=530,  # Claude 3 Opus; later ones 346
    server_tool=735,  # the computer, the largest
)
_CLAUDE_4_7 = msgspec.structs.replace(
    _CLAUDE,
    rate=Rate(factor=2.11, digits=-0.3, capitals=0.3, indic=0.22, hangul=0.04, emoji=0.18),
    picture=Squares(side=750**0.5, most=4784, edge=2576),
    request=13,
)
_GEMINI = Family(
    rate=Rate(factor=1.14, digits=0.64, capitals=0.06, blanks=0.16, levant=0.02),
    picture=Flat(1120),
    page=560,
    second=32,
)
_GEMINI_2 = msgspec.structs.replace(_GEMINI, picture=Crops(258), page=258)
# From GPT-5.2 on a picture is charged by patches, 1.2 each as measured by customers
# (community.openai.com/t/1377015); no page says what a page of a PDF costs beside its picture.
_GPT = Family(rate=Rate(), picture=Squares(side=32, most=2500, factor=1.2, original=10_000), page=_PAGE)
_GPT_4 = msgspec.structs.replace(_GPT, rate=Rate(encoding="cl100k_base"), picture=Tiles(85, 170))
# The open models get their tools in a text that their template brings, of about 90 tokens. Their pictures and sound are
# supposed to cost what those of the dearer ones do, but for what stands with a family.
_OPEN = Family(
    rate=Rate(
        factor=1.14,
        digits=0.64,
        capitals=0.06,
        blanks=0.16,
        cyrillic=0.31,
        levant=0.68,
        indic=1.51,
        east=0.14,
        hangul=0.03,
        emoji=2.2,
    ),
    picture=Squares(side=28, most=4096),
    page=_PAGE,
    tools=100,
    second=32,
)
_LLAMA_3 = msgspec.structs.replace(
    _OPEN, rate=Rate(factor=1.24, digits=-0.07, capitals=0.08, levant=0.67, indic=1.5, emoji=0.49)
)
_LLAMA_2 = msgspec.structs.replace(
    _OPEN,
    rate=Rate(
        factor=1.48,
        digits=1.37,
        capitals=0.02,
        cyrillic=0.03,
        levant=0.65,
        indic=1.97,
        east=0.09,
        hangul=0.49,
        emoji=0.52,
    ),
)
_MISTRAL = msgspec.structs.replace(
    _OPEN,
    rate=Rate(factor=1.16, digits=0.63, capitals=0.13, cyrillic=0.01, indic=0.25, east=0.14, emoji=2.15),
    picture=Squares(side=16, most=4160, edge=1024),  # Pixtral: 64 rows of 64, and a mark after each
)
_QWEN = msgspec.structs.replace(
    _OPEN,
    rate=Rate(factor=1.23, digits=0.61, capitals=0.06, cyrillic=0.25, levant=0.57, indic=1.27, hangul=0.03, emoji=0.81),
    picture=Squares(side=28, most=16_384),  # Qwen 2.5 VL; 3 VL has larger squares
)
_DEEPSEEK = msgspec.structs.replace(
    _OPEN,
    rate=Rate(factor=1.22, digits=-0.06, capitals=0.13, cyrillic=0.04, levant=0.07, indic=0.5, hangul=0.04),
)


def _seen(picture: Rule) -> Family:
    """OpenAI's newer models differ only in what a picture costs."""
    return msgspec.structs.replace(_GPT, picture=picture)


_FAMILIES: tuple[tuple[str, Family], ...] = (
    (r"claude-(?:v?[123](?!\d)|instant)", _CLAUDE),
    (r"claude-(?:[a-z]+-)?4(?![.-](?:[7-9]|\d\d)(?!\d))", _CLAUDE),
    (r"claude", _CLAUDE_4_7),
    (r"gemini-(?:pro|flash|exp|[12](?!\d))|gemma|learnlm", _GEMINI_2),
    (r"gemini", _GEMINI),
    (r"gpt-4o-mini", _seen(Tiles(2833, 5667))),
    (r"gpt-4o|gpt-4\.[15](?!-(?:mini|nano))|gpt-4-?5", _seen(Tiles(85, 170))),
    (r"gpt-4\.1-mini", _seen(Squares(side=32, most=1536, factor=1.62))),
    (r"gpt-4\.1-nano", _seen(Squares(side=32, most=1536, factor=2.46))),
    (r"gpt-5(?:\.[01])?-mini", _seen(Squares(side=32, most=1536, factor=1.62))),
    (r"gpt-5(?:\.[01])?-nano", _seen(Squares(side=32, most=1536, factor=2.46))),
    (r"gpt-5\.\d+-mini", _seen(Squares(side=32, most=2500, factor=1.62, original=10_000))),
    (r"gpt-5\.\d+-nano", _seen(Squares(side=32, most=2500, factor=2.46, original=10_000))),
    (r"gpt-5(?!\.[2-9])", _seen(Tiles(70, 140))),
    (r"gpt-oss|chatgpt", _GPT),
    (r"gpt-?(?:3|4)|text-embedding", _GPT_4),
    (r"gpt|codex-mini", _GPT),
    (r"(?:^|[/.:_-])o4-mini", _seen(Squares(side=32, most=1536, factor=1.72))),
    (r"(?:^|[/.:_-])o[13](?![a-z0-9])", _seen(Tiles(75, 150))),
    (r"llama-?v?2|codellama|mixtral|mistral-7b|codestral-22b", _LLAMA_2),
    (r"llama", _LLAMA_3),
    (r"mistral|ministral|magistral|devstral|codestral|pixtral|voxtral", _MISTRAL),
    (r"qwen|qwq|qvq", _QWEN),
    (r"deepseek", _DEEPSEEK),
)
"""By what a model's name holds; the first that fits."""
_COMPILED = tuple((re.compile(pattern, re.ASCII), family) for pattern, family in _FAMILIES)


def family(model: str) -> Family:
    """What the model charges, by its name at the provider or here: the providers' prefixes and versions may stand in it."""
    name = model[:200].lower()
    return next((family for pattern, family in _COMPILED if pattern.search(name)), _OPEN)
