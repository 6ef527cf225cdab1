"""Requirements of every page: one file, closed tags, no markup from a table."""

from __future__ import annotations

from html.parser import HTMLParser

HOSTILE = '<script>alert("x")</script>&"\'${oops}'
_VOID = {"meta", "img", "br", "input", "link"}


class Page(HTMLParser):
    """A parsed page: its tags with attributes, and its visible text."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = self.data = ""
        self.feed(markup)
        self.close()
        assert not self.open, f"left open: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> after {self.open}"
        self.open.pop()

    def handle_data(self, data):
        if self.open[-1:] not in (["script"], ["style"]):
            self.text += data
        elif self.named("script")[-1:] == [{"type": "application/json", "id": "data"}]:
            self.data += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read_page(path) -> Page:
    """Parses a page, and checks that it needs no other file and no network."""
    page = Page(path.read_text("utf-8"))
    for _, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:", "#", "blob:"))
    assert not page.named("link")
    policy = {
        meta.get("http-equiv"): meta.get("content") for meta in page.named("meta")
    }
    assert "default-src 'none'" in policy["Content-Security-Policy"]
    assert "unsafe" not in policy["Content-Security-Policy"]
    return page
