"""An operation alone gives what it gives inside the whole file; the whole file runs in LiteRT with every map kept."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

import kseg
from kseg.export.runtimes.litert import tflite_operations

TOOL = Path(__file__).resolve().parents[3] / "tools" / "speed" / "operations.py"
FILE = Path(kseg.__file__).parent / "models" / "presets" / "people_portrait_int8.tflite"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("speed_operations", TOOL)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(importlib.sys.modules, "speed_operations", module)
        spec.loader.exec_module(module)
    return module


def test_each_operation_alone_gives_what_it_gives_in_the_file(tool):
    found = tool.operations(FILE.read_bytes())
    assert len(found) == sum(tflite_operations(FILE).values())
    whole = Interpreter(str(FILE), experimental_preserve_all_tensors=True)
    whole.allocate_tensors()
    steps = whole._get_ops_details()  # before LiteRT's delegate joined them
    entry = whole.get_input_details()[0]
    whole.set_tensor(entry["index"], np.random.default_rng(0).integers(0, 256, entry["shape"], dtype=np.uint8))
    whole.invoke()
    for one in found[:3] + found[10:13] + found[-3:]:
        alone = Interpreter(model_content=one.alone)
        alone.allocate_tensors()
        inputs = {details["name"]: details["index"] for details in whole.get_tensor_details()}
        for details in alone.get_input_details():
            alone.set_tensor(details["index"], whole.get_tensor(inputs[details["name"]]))
        alone.invoke()
        (result,) = alone.get_output_details()
        expected = whole.get_tensor(steps[one.number]["outputs"][0])
        np.testing.assert_array_equal(alone.get_tensor(result["index"]), expected)


@pytest.mark.full
def test_the_table_names_each_kind_and_what_the_delegate_leaves_out(tool, capsys):
    assert tool.main([str(FILE), "--rounds", "1", "--top", "3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    count = sum(tflite_operations(FILE).values())
    assert f"its {count} operations alone" in lines[0]
    assert any("QUANTIZE outside" in line for line in lines)
    assert sum(int(line.split()[2]) for line in lines[4:]) == count
