"""The loop over a combo's candidates against its model, with as many random combos as one has time for.

    python tests/reliability/combos.py [combos]

`make test` runs the same properties with a few hundred of them.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    os.environ["COMBO_EXAMPLES"] = sys.argv[1] if len(sys.argv) > 1 else "10000"
    sys.exit(pytest.main(["-q", "-p", "no:cacheprovider", str(TESTS / "relay" / "test_combo_model.py")]))
