"""Models as ONNX: logits and spans of PyTorch, for any number of windows and tokens."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from conftest import ROOT
from test_exported import LABELS, NAMES, documents, exported, module_of
from test_pages import blocks

from medner.errors import UserError
from medner.export_check import check_onnx, plain_tagger
from medner.exported import ExportedTagger
from medner.onnx_model import ONNX, OnnxEncoder, write_onnx

KINDS = (NAMES[0], *NAMES[3:])  # of the five, two more are BERT's


@pytest.fixture(scope="module", params=KINDS)
def folder(
    request: pytest.FixtureRequest, mirror: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    name = request.param
    module = module_of(mirror / name, mirror / name)
    folder = exported(module, tmp_path_factory.mktemp("onnx") / "model")
    write_onnx(folder / ONNX, module.encoder)
    return folder


def test_logits_are_those_of_torch(folder: Path) -> None:
    encoder = ExportedTagger(folder).encoder.eval()
    by_onnx = OnnxEncoder(folder / ONNX, encoder)
    torch.manual_seed(0)
    for windows, tokens in ((1, 1), (1, 7), (3, 128), (5, 2), (2, 512)):
        ids = torch.randint(5, 200, (windows, tokens))
        mask = torch.ones_like(ids)
        if windows > 1:
            mask[-1, tokens // 2 + 1 :] = 0
        with torch.inference_mode():
            expected = encoder(input_ids=ids, attention_mask=mask).logits
        actual = by_onnx(ids, mask).logits
        assert actual.shape == expected.shape and actual.dtype == torch.float32
        kept = mask.bool()
        scale = float(expected.abs().max())
        np.testing.assert_allclose(actual[kept], expected[kept], atol=1e-4 * scale)
        assert not torch.equal(actual[0, 0], actual[-1, -1]) or windows == tokens == 1


def test_spans_are_those_of_torch(folder: Path) -> None:
    same = check_onnx(folder, ExportedTagger(folder), documents())
    assert same.documents == 6 and same.spans > 100 and same.difference < 1e-3


def test_the_file_is_whole_valid_and_says_nothing_of_this_machine(folder: Path) -> None:
    assert [path.name for path in (folder / "onnx").iterdir()] == ["model.onnx"]
    model = onnx.load(folder / ONNX)
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.input] == ["input_ids", "attention_mask"]
    assert [each.name for each in model.graph.output] == ["logits"]
    for each in (*model.graph.input, *model.graph.output):
        sizes = [size.dim_param or size.dim_value for size in each.type.tensor_type.shape.dim]
        assert sizes[:2] == ["windows", "tokens"]
    data = (folder / ONNX).read_bytes()
    for place in (ROOT, Path(torch.__file__).parent, Path.home(), folder):
        assert str(place).encode() not in data


def test_other_weights_are_noticed(folder: Path) -> None:
    module = ExportedTagger(folder)
    with torch.no_grad():
        module.encoder.classifier.weight *= -1
    with pytest.raises(UserError, match="ONNX Runtime gives other spans than the run's own model"):
        check_onnx(folder, module, documents())


def test_it_runs_where_there_is_no_torch(folder: Path) -> None:
    """With tokenizers and ONNX Runtime alone, as docs/export.md has it."""
    (program,) = [block for block in blocks("docs/export.md") if "import onnxruntime" in block]
    program = program.replace("runs/FOLDER/export", str(folder))
    blocked = "import sys\nsys.modules['torch'] = sys.modules['transformers'] = None\n"
    ended = subprocess.run(
        [sys.executable, "-c", blocked + program], capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    printed = [int(line.split()[-1]) for line in ended.stdout.splitlines()]
    text = program.split('encode("')[1].split('"')[0]
    (tags, _) = plain_tagger(folder)(text)
    assert printed[1:-1] == [LABELS.tags.index(tag) for tag in tags]  # between the special ones
    assert len(set(printed)) > 2
