"""HTML that cannot be mixed up with text: everything that is not `Html` has to pass `text`."""

import html
import re
from collections.abc import Mapping
from typing import NewType

Html = NewType("Html", str)

# Control characters, and marks that turn the direction of the text after them: shown, not obeyed.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
_VOID = frozenset({"meta", "br", "input"})


def plain(value: object) -> str:
    """Returns the text of a value with control and direction marks written out: `U+202E`."""
    clean = str(value).encode("utf-8", "replace").decode("utf-8")
    return _CONTROLS.sub(lambda match: f"⟨U+{ord(match[0]):04X}⟩", clean)


def text(value: object) -> Html:
    """Returns the value as text for an element or an attribute in double quotes."""
    return Html(html.escape(plain(value), quote=True))


def name(value: object) -> Html:
    """Returns a name from outside, isolated so that its script does not reorder what stands around."""
    return Html(f"<bdi>{text(value)}</bdi>")


def join(*parts: Html) -> Html:
    """Returns the parts one after the other."""
    return Html("".join(parts))


def element(tag: str, attributes: Mapping[str, object] | None = None, *children: Html) -> Html:
    """Returns an element; attributes that are None or False are left out, True has no value."""
    shown = "".join(
        f" {key}" if value is True else f' {key}="{text(value)}"'
        for key, value in (attributes or {}).items()
        if value is not None and value is not False
    )
    if tag in _VOID and not children:
        return Html(f"<{tag}{shown}/>")
    return Html(f"<{tag}{shown}>{''.join(children)}</{tag}>")
