"""Puts Markdown files that lie outside of docs/ into the book, and any file that a page links to.

A link in a Markdown file is relative to that file, in the repository. In the book the same file lies elsewhere, so each link
that leads to a file of the repository is turned into one that leads to its copy in the book. A link that leads nowhere is left
as it is: `mkdocs build --strict` refuses it.
"""

import os
import re
from pathlib import Path, PurePosixPath

from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, InclusionLevel

REPOSITORY = Path(__file__).resolve().parents[2]
DOCS, OUTSIDE = "docs", "repository"
#: Markdown files outside of docs/ that are pages of the book.
PAGES = ["*.md", "controllers/*.md", "python/README.md", "examples/*/README.md"]

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
FOREIGN = re.compile(r"<(?:script|link|img|iframe)\b[^>]*\b(?:src|href)=\"?(?:https?:)?//[^\">]*")


def in_book(path):
    """Where a file of the repository lies in the book."""
    path = PurePosixPath(path)
    return str(path.relative_to(DOCS) if path.parts[0] == DOCS else OUTSIDE / path)


def in_repository(src_uri):
    """The reverse of `in_book`."""
    path = PurePosixPath(src_uri)
    return path.relative_to(OUTSIDE) if path.parts[0] == OUTSIDE else DOCS / path


def on_files(files, config):
    """Adds the pages from outside of docs/."""
    for pattern in PAGES:
        for path in sorted(REPOSITORY.glob(pattern)):
            name = in_book(path.relative_to(REPOSITORY).as_posix())
            files.append(File.generated(config, name, abs_src_path=str(path)))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns links to files of the repository into links to their copies in the book."""
    folder = in_repository(page.file.src_uri).parent

    def turned(match):
        path = os.path.normpath(folder / match[1])
        if path.startswith("..") or not (REPOSITORY / path).is_file():
            return match[0]
        name = in_book(path)
        if files.get_file_from_path(name) is None:
            copied = File.generated(config, name, abs_src_path=str(REPOSITORY / path))
            copied.inclusion = InclusionLevel.NOT_IN_NAV
            files.append(copied)
        start = str(PurePosixPath(page.file.src_uri).parent)
        return os.path.relpath(name, start) + (match[2] or "")

    return LINK.sub(turned, markdown)


def on_post_page(output, page, config):
    """Refuses a page that loads something from another server."""
    if found := FOREIGN.search(output):
        raise PluginError(f"{page.file.src_uri} loads something from elsewhere: {found[0]}")
    return output
