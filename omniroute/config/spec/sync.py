"""`sync:`: where the files are kept besides here."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Duration, Node, SecretRef, form

Remote = Annotated[
    str,
    form(
        r"https?://[A-Za-z0-9._\-\[\]:]+(/[A-Za-z0-9._~/\-]*)?",
        "an http or https address without user and password",
        "An address.",
        ["https://git.example.com/platform/omniroute.git"],
    ),
]


class SyncSpec(Node, frozen=True, kw_only=True):
    """A git repository, or another OmniRoute, with which the configuration's files are kept the same."""

    remote: Annotated[Remote | None, Meta(description="The git repository, over HTTP.")] = None
    instance: Annotated[Remote | None, Meta(description="Another OmniRoute, in the place of a git repository.")] = None
    branch: Annotated[
        str, form(r"[A-Za-z0-9._/\-]{1,200}", "the name of a branch", "The branch of the repository.", ["main"])
    ] = "main"
    username: Annotated[
        str,
        Meta(
            min_length=1,
            description="The user that is told to the repository with the token; most take any.",
            examples=["x-access-token"],
        ),
    ] = "omniroute"
    token: Annotated[
        SecretRef | None,
        Meta(description="The password or token for the repository; for another OmniRoute, a key with `admin.write`."),
    ] = None
    path: Annotated[
        str,
        form(
            r"([A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*)?",
            "a folder, without a slash at its ends",
            "The folder of the repository that holds what stands here in the root.",
            ["gateways/eu"],
        ),
    ] = ""
    every: Annotated[
        Duration, Meta(description="How often both are brought to the same by themselves; `0s` only when asked.")
    ] = "0s"
