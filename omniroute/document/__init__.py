"""A YAML file that knows where everything in it stands, and that can be edited without losing what people wrote.

Strict on purpose, because people read these files in pull requests and must see what a machine sees: only `true`,
`false`, `null` and plain decimal numbers are anything but text (`on`, `yes`, `22:22`, `012` and days stay text), no
tags, no second document, no repeated keys, no invisible characters, and limits that no honest file meets.  This is the
only place that knows YAML.
"""

from __future__ import annotations

from omniroute.document.diff import ABSENT, side, unified
from omniroute.document.differences import GONE, differences, value_at
from omniroute.document.document import Document, whole
from omniroute.document.edit import Delete, Edit, Edited, Insert, Rename, Set, apply
from omniroute.document.layout import Order, arranged, laid_out
from omniroute.document.nodes import MAX_BYTES, collector_paused
from omniroute.document.shown import Place, Step, dotted, inert, is_secret_name, masked, printable, quoted
from omniroute.document.written import fresh

__all__ = (
    "ABSENT",
    "GONE",
    "MAX_BYTES",
    "Delete",
    "Document",
    "Edit",
    "Edited",
    "Insert",
    "Order",
    "Place",
    "Rename",
    "Set",
    "Step",
    "apply",
    "arranged",
    "collector_paused",
    "differences",
    "dotted",
    "fresh",
    "inert",
    "is_secret_name",
    "laid_out",
    "masked",
    "printable",
    "quoted",
    "side",
    "unified",
    "value_at",
    "whole",
)
