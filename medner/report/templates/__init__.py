"""The pages' templates, and what is the same in all of them."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

_LATEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$",
    "#": r"\#", "_": r"\_", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
}  # fmt: skip


@cache
def environment() -> Environment:
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters["json"] = _json
    found.filters["figure"] = lambda value: f"{value:.3f}"
    found.filters["latex"] = _latex
    found.filters["markdown"] = lambda text: re.sub(r"[\\`*_|<>\[\]]", r"\\\g<0>", text)
    return found


def _latex(text: str) -> str:
    """A cell must not begin with what \\\\ takes for its argument."""
    escaped = re.sub(r"[\\{}&%$#_~^]", lambda found: _LATEX[found[0]], text)
    return f"{{}}{escaped}" if escaped.startswith(("[", "*")) else escaped


def _json(value: Any) -> Markup:
    """For a script element: nothing in it can end the element, or begin another."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026"))
