"""`cli_tools:`: where the command-line tools of this machine's user are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from omniroute.config.spec.words import Node


class CliToolsSpec(Node, frozen=True, kw_only=True):
    """What the management API may look at and write of coding tools on this machine."""

    home: Annotated[
        str,
        Meta(
            description="The home directory of whoever uses the tools; that of the gateway's own user, if absent.",
            examples=["/home/dev"],
        ),
    ] = ""
    path: Annotated[
        tuple[Annotated[str, Meta(min_length=1, description="A directory.")], ...],
        Meta(
            description="Directories of commands, looked into before those of the PATH.",
            examples=[["/home/dev/.local/bin"]],
        ),
    ] = ()
    writes: Annotated[bool, Meta(description="Whether `/api/cli-tools` may write the tools' settings files.")] = True
