"""The paths of the Hub's API and their responses: (status, body, headers)."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from tests.hub.hub_double.repositories import Commit, Repository, StoredFile

if TYPE_CHECKING:
    from tests.hub.hub_double.server import HubDouble, Request

Answer = tuple[int, Any, dict[str, str]]
LARGE = 10 * 2**20


def error(status: int, code: str, message: str) -> Answer:
    headers = {"X-Error-Code": code, "X-Error-Message": message}
    return status, {"error": message}, headers


def whoami(hub: HubDouble, request: Request) -> Answer:
    user = hub.users.get(request.token)
    if user is None:
        return 401, {"error": "Invalid credentials"}, {}
    token = {"accessToken": {"role": "write", "displayName": "test"}}
    return 200, {"type": "user", "name": user, "orgs": [], "auth": token}, {}


def validate_yaml(hub: HubDouble, request: Request) -> Answer:
    content = request.json()["content"]
    if not content.startswith("---\n"):
        return 200, {"errors": [], "warnings": [{"message": "no metadata"}]}, {}
    return 200, {"errors": [], "warnings": []}, {}


def create(hub: HubDouble, request: Request) -> Answer:
    user, spec = hub.users.get(request.token), request.json()
    if user is None:
        return 401, {"error": "Invalid username or password."}, {}
    owner = spec.get("organization") or user
    if owner != user:
        return 403, {"error": f"No rights to create a model under {owner}"}, {}
    repo = f"{owner}/{spec['name']}"
    reply = {"url": f"{hub.endpoint}/{repo}", "name": repo, "id": repo}
    if repo in hub.repositories:
        return 409, {"error": "You already created this model repo", **reply}, {}
    private = spec.get("visibility") == "private" or spec.get("private", False)
    hub.repositories[repo] = Repository(private)
    attributes = StoredFile(b"*.h5 filter=lfs diff=lfs merge=lfs -text\n")
    hub.repositories[repo].commit("main", "initial", {".gitattributes": attributes})
    return 200, reply, {}


def information(
    hub: HubDouble, request: Request, repo: str, rev: str = "main"
) -> Answer:
    found = _open(hub, request, repo, rev)
    if not isinstance(found, Commit):
        return found
    full = request.query.get("blobs") == ["true"]
    siblings = [
        file.metadata(path) if full else {"rfilename": path}
        for path, file in sorted(found.files.items())
    ]
    private = hub.repositories[repo].private
    reply = {"_id": "0", "id": repo, "modelId": repo, "sha": found.sha}
    return 200, {**reply, "private": private, "tags": [], "siblings": siblings}, {}


def branch(hub: HubDouble, request: Request, repo: str, rev: str) -> Answer:
    found = _open(hub, request, repo, "main", write=True)
    if not isinstance(found, Commit):
        return found
    if rev in hub.repositories[repo].branches:
        return 409, {"error": "Reference already exists"}, {}
    hub.repositories[repo].branch_from(rev)
    return 200, {}, {}


def preupload(hub: HubDouble, request: Request, repo: str, rev: str) -> Answer:
    found = _open(hub, request, repo, rev, write="create_pr" not in request.query)
    if not isinstance(found, Commit):
        return found
    files = [
        {
            "path": file["path"],
            "uploadMode": "lfs" if _is_large(file) else "regular",
            "shouldIgnore": False,
            "oid": found.files[file["path"]].oid
            if file["path"] in found.files
            else None,
        }
        for file in request.json()["files"]
    ]
    return 200, {"files": files}, {}


def batch(hub: HubDouble, request: Request, repo: str, action: str) -> Answer:
    spec = request.json()
    if action == "verify":
        known = spec["oid"] in hub.objects
        return (200, {}, {}) if known else (404, {"error": "no such object"}, {})
    objects = []
    for entry in spec["objects"]:
        links = {
            "upload": {"href": f"{hub.store}/_objects/{entry['oid']}"},
            "verify": {"href": f"{hub.endpoint}/{repo}.git/info/lfs/objects/verify"},
        }
        there = entry["oid"] in hub.objects
        objects.append(entry if there else {**entry, "actions": links})
    return 200, {"transfer": "basic", "objects": objects}, {}


def stored(hub: HubDouble, request: Request, oid: str) -> Answer:
    """The storage of large files on another host, which must never receive a token."""
    if request.token:
        hub.leaks.append(request.path)
    if request.method == "PUT":
        if StoredFile(request.body).sha256 != oid:
            return 400, {"error": "sha256 mismatch"}, {}
        hub.objects[oid] = request.body
        return 200, {}, {}
    return _content(request, hub.objects[oid], {"ETag": f'"{oid}"'})


def commit(hub: HubDouble, request: Request, repo: str, rev: str) -> Answer:
    as_request = "create_pr" in request.query
    found = _open(hub, request, repo, rev, write=not as_request)
    if not isinstance(found, Commit):
        return found
    lines = [json.loads(line) for line in request.body.split(b"\n") if line]
    title, files, parent = "", dict(found.files), None
    for line in lines:
        value = line["value"]
        if line["key"] == "header":
            title, parent = value["summary"], value.get("parentCommit")
        elif line["key"] == "file":
            files[value["path"]] = StoredFile(base64.b64decode(value["content"]))
        elif line["key"] == "lfsFile":
            if value["oid"] not in hub.objects:
                return 400, {"error": "an object was never uploaded"}, {}
            files[value["path"]] = StoredFile(hub.objects[value["oid"]], True)
        elif line["key"] == "deletedFile":
            del files[value["path"]]
    if parent not in (None, found.sha):
        return 412, {"error": "A commit has happened since. Please refresh"}, {}
    repository, target = hub.repositories[repo], rev
    reply = {"success": True, "hookOutput": ""}
    if as_request:
        number = sum(name.startswith("refs/pr/") for name in repository.branches) + 1
        target = f"refs/pr/{number}"
        repository.branch_from(target)
        reply["pullRequestUrl"] = f"{hub.endpoint}/{repo}/discussions/{number}"
    sha = repository.commit(target, title, files).sha
    url = f"{hub.endpoint}/{repo}/commit/{sha}"
    return 200, {**reply, "commitOid": sha, "commitUrl": url}, {}


def resolve(hub: HubDouble, request: Request, repo: str, rev: str, path: str) -> Answer:
    found = _open(hub, request, repo, rev)
    if not isinstance(found, Commit):
        return found
    file = found.files.get(path)
    if file is None:
        status, body, headers = error(404, "EntryNotFound", "Entry not found")
        return status, body, {**headers, "X-Repo-Commit": found.sha}
    headers = {"X-Repo-Commit": found.sha, "ETag": file.etag}
    if not file.lfs:
        return _content(request, file.data, headers)
    headers |= {"X-Linked-Etag": file.etag, "X-Linked-Size": str(len(file.data))}
    return 302, b"", {**headers, "Location": f"{hub.store}/_objects/{file.sha256}"}


def _open(
    hub: HubDouble, request: Request, repo: str, rev: str, write: bool = False
) -> Commit | Answer:
    """The commit at `rev`, or an error; without access, the repository is not found."""
    user = hub.users.get(request.token)
    repository = hub.repositories.get(repo)
    owner = repo.split("/")[0]
    if request.token and user is None:
        return 401, {"error": "Invalid credentials in Authorization header"}, {}
    if repository is None or (repository.private and user != owner):
        return error(404 if user else 401, "RepoNotFound", "Repository not found")
    if write and user != owner:
        return 403, {"error": "You don't have write access"}, {}
    found = repository.head(rev)
    return found or error(404, "RevisionNotFound", f"Invalid rev id: {rev}")


def _content(request: Request, data: bytes, headers: dict[str, str]) -> Answer:
    headers = {**headers, "Accept-Ranges": "bytes"}
    match = re.match(r"bytes=(\d+)-", request.range)
    if not match or int(match[1]) == 0:
        return 200, data, headers
    start = int(match[1])
    headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return 206, data[start:], headers


def _is_large(file: dict) -> bool:
    return file["path"].endswith(".h5") or file["size"] >= LARGE


_REPO = r"/api/models/(?P<repo>[^/]+/[^/]+)"
ROUTES = (
    ("GET", "/api/whoami-v2", whoami),
    ("POST", "/api/validate-yaml", validate_yaml),
    ("POST", "/api/repos/create", create),
    ("GET", _REPO, information),
    ("GET", _REPO + "/revision/(?P<rev>.+)", information),
    ("POST", _REPO + "/branch/(?P<rev>.+)", branch),
    ("POST", _REPO + "/preupload/(?P<rev>.+)", preupload),
    ("POST", _REPO + "/commit/(?P<rev>.+)", commit),
    (
        "POST",
        r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/(?P<action>batch|verify)",
        batch,
    ),
    ("GET HEAD PUT", "/_objects/(?P<oid>[0-9a-f]{64})", stored),
    (
        "GET HEAD",
        "/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+|refs/pr/[0-9]+)/(?P<path>.+)",
        resolve,
    ),
)
