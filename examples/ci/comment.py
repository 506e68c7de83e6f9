"""Keeps one comment of a pull or merge request up to date: `python comment.py plan.md`.

Where it runs follows from the variables that GitHub Actions and GitLab CI set themselves; the token is GITHUB_TOKEN or
GITLAB_TOKEN, and at GitHub PULL_REQUEST says which one it is.
"""

import json
import os
import sys
import urllib.request
from pathlib import Path

MARK = "<!-- omniroute plan -->"
LONGEST = 60_000  # characters; GitHub takes 65,536


def ask(method: str, url: str, headers: dict[str, str], body: object = None) -> object:
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json", **headers}, method=method)  # noqa: S310
    with urllib.request.urlopen(request, timeout=30) as reply:  # noqa: S310 - the forge's own address
        return json.load(reply)


def main(file: str) -> None:
    text = Path(file).read_text()
    if len(text) > LONGEST:
        text = text[:LONGEST] + "\n\n… and more: see the job's log."
    said = os.environ
    if "GITHUB_TOKEN" in said:
        headers = {"Authorization": f"Bearer {said['GITHUB_TOKEN']}", "Accept": "application/vnd.github+json"}
        repository = f"{said['GITHUB_API_URL']}/repos/{said['GITHUB_REPOSITORY']}"
        comments, one = f"{repository}/issues/{said['PULL_REQUEST']}/comments", f"{repository}/issues/comments"
        update = "PATCH"
    else:
        headers = {"PRIVATE-TOKEN": said["GITLAB_TOKEN"]}
        request = f"{said['CI_API_V4_URL']}/projects/{said['CI_PROJECT_ID']}/merge_requests"
        comments = one = f"{request}/{said['CI_MERGE_REQUEST_IID']}/notes"
        update = "PUT"
    body = {"body": f"{MARK}\n{text}"}
    ours = [each for each in ask("GET", f"{comments}?per_page=100", headers) if each["body"].startswith(MARK)]
    if ours:
        ask(update, f"{one}/{ours[0]['id']}", headers, body)
    else:
        ask("POST", comments, headers, body)


if __name__ == "__main__":
    main(sys.argv[1])
