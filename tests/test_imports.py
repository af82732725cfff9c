"""Data flows one way, and imports follow it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# upstream first: a module imports only what stands above it
ORDER = [
    "errors", "files", "tables", "documents", "words",
    "corpora.files", "corpora.raw", "corpora.errata", "corpora.checks", "corpora.rows",
    "corpora.tags", "corpora.conversion", "corpora.bigbio", "corpora.brat", "corpora.conll",
    "corpora.jsonl", "corpora.pubtator", "corpora.token_rows", "corpora.writers", "corpora",
    "labels", "id_files", "input_rows", "inputs", "shards", "duplicates", "leaks", "stratify",
    "split_options", "split",
    "predictions", "prediction_files", "system_output", "scoring", "scoring.matching",
    "scoring.label_map", "scoring.semeval", "scoring.bootstrap", "scoring.token_scores",
    "scoring.selection", "scoring.rulers", "scoring.errors",
    "scoring.mentions", "scoring.confidence", "scoring.calibration", "scoring.temperature",
    "scoring.confidence_report", "scoring.map_counts", "scoring.map_search", "scoring.map_effects",
    "scoring.type_matrix", "scoring.mending", "scoring.alignment", "data_report",
    "schema", "hydra_errors", "resolution", "config", "runs", "interruption", "ranks", "sweeps",
    "launch",
    "pretrained", "hub", "download", "releases", "sources", "resume", "factors", "parts", "gold",
    "sharing", "windows", "token_cache", "decoding", "reach", "encoding_report", "analysis",
    "pools", "progress", "hardware", "cpu_kernels", "encoder", "layer_decay", "datamodule",
    "module", "inference", "cost", "checkpoints", "training", "published", "exported",
    "onnx_model", "export_check", "systems", "system_names", "evaluation_files", "comparison",
    "trained_runs", "report", "report.templates", "report.annotated", "output_formats",
    "output_folder", "tagger", "annotation", "ray_engine", "report.tables", "report.plots",
    "report.browser", "report.page", "report.overview", "card_results", "model_card", "evaluation",
    "wandb_run",
    "tracking", "estimate", "repetition", "verbs", "verbs.train", "verbs.evaluate",
    "verbs.predict", "verbs.report", "verbs.export",
]  # fmt: skip
WITHOUT_TORCH = ORDER[: ORDER.index("analysis") + 1]


def imports_of(path: Path) -> set[str]:
    """The package's modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "medner":
            names = {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
            found |= {name.removeprefix("medner").removeprefix(".") for name in names}
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("medner") for alias in node.names)
    return found & set(ORDER)


def path_of(module: str) -> Path:
    path = ROOT / "medner" / module.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def test_every_module_has_its_place() -> None:
    paths = {path_of(module) for module in ORDER} | {ROOT / "medner" / "__init__.py"}
    assert paths == set((ROOT / "medner").rglob("*.py"))


@pytest.mark.parametrize("module", ORDER)
def test_imports_go_upstream(module: str) -> None:
    downstream = imports_of(path_of(module)) - set(ORDER[: ORDER.index(module)]) - {module}
    assert not downstream


def test_no_torch_before_it_is_needed() -> None:
    names = ", ".join(f"medner.{module}" for module in WITHOUT_TORCH)
    heavy = "{'torch', 'transformers', 'tokenizers', 'pytorch_lightning', 'sklearn', 'wandb'}"
    program = f"import sys, {names}; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("verb", ["train", "evaluate", "predict", "report", "export"])
def test_a_verb_starts_with_what_its_options_need_alone(verb: str) -> None:
    heavy = "{'numpy', 'huggingface_hub', 'pyarrow', 'datasets', 'torch', 'wandb', 'jinja2'}"
    program = f"import sys, {verb}; sys.exit(str({heavy} & set(sys.modules) or ''))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.strip() == ""
