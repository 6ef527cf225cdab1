"""The contents of a Hub: repositories with commits of files."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class StoredFile:
    """One file of a commit."""

    data: bytes
    lfs: bool = False

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()

    @property
    def git_oid(self) -> str:
        return hashlib.sha1(b"blob %d\0" % len(self.data) + self.data).hexdigest()

    @property
    def oid(self) -> str:
        """The id by which the client skips files that exist already."""
        return self.sha256 if self.lfs else self.git_oid

    @property
    def etag(self) -> str:
        return f'"{self.oid}"'

    def metadata(self, path: str) -> dict:
        """The entry of the file in a listing with `blobs=true`."""
        entry = {"rfilename": path, "size": len(self.data), "blobId": self.git_oid}
        if self.lfs:
            size = len(self.data)
            entry["lfs"] = {"sha256": self.sha256, "size": size, "pointerSize": 134}
        return entry


@dataclass(frozen=True)
class Commit:
    sha: str
    title: str
    files: dict[str, StoredFile]


@dataclass
class Repository:
    """Branches, each a list of commits, newest last."""

    private: bool
    branches: dict[str, list[Commit]] = field(default_factory=dict)

    def commit(self, branch: str, title: str, files: dict[str, StoredFile]) -> Commit:
        sha = hashlib.sha1(f"{next(_NUMBERS)} {title}".encode()).hexdigest()
        commit = Commit(sha, title, files)
        self.branches.setdefault(branch, []).append(commit)
        return commit

    def branch_from(self, branch: str, start: str = "main") -> None:
        self.branches[branch] = list(self.branches[start])

    def head(self, revision: str) -> Commit | None:
        """The newest commit of a branch, or the commit with that SHA."""
        if revision in self.branches:
            return self.branches[revision][-1]
        commits = itertools.chain(*self.branches.values())
        return next((commit for commit in commits if commit.sha == revision), None)
