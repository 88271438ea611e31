"""What answers batch files in tests: each request is posted to a server, and the reply becomes a line of results."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def requests_in(path: Path) -> list[dict[str, Any]]:
    """The requests of a batch file, in the shape of whoever is to answer."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".json":
        found: list[dict[str, Any]] = json.loads(text)["requests"]
        return found
    return [json.loads(line) for line in text.splitlines()]


def batch_files(folder: Path) -> list[Path]:
    """The batch files of a folder of batches, in order."""
    return sorted(path for path in folder.glob("*/requests-*") if path.suffix in (".json", ".jsonl"))


def post(url: str, body: bytes) -> tuple[int, Any]:
    """The status and the body of the reply to a chat request."""
    headers = {"Content-Type": "application/json", "Authorization": "Bearer none"}
    with closing(HTTPConnection(urlsplit(url).netloc, timeout=60)) as connection:
        connection.request("POST", f"{urlsplit(url).path}/chat/completions", body, headers)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())


def results_of(path: Path, url: str) -> Iterator[str]:
    """The lines of results for a batch file, each with its line end, as OpenAI or Anthropic give them."""
    for request in requests_in(path):
        line = _anthropic(request, url) if "params" in request else _openai(request, url)
        yield json.dumps(line, ensure_ascii=False) + "\n"


def answer(folder: Path, url: str, out: Path) -> list[Path]:
    """Answer every batch file below `folder`; the files of results, one for each."""
    out.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    for path in batch_files(folder):
        made.append(out / f"{path.parent.name}-{path.stem}.jsonl")
        made[-1].write_text("".join(results_of(path, url)), encoding="utf-8")
    return made


def as_vllm(line: str) -> str:
    """A line of results as `vllm run-batch` writes it: an error stands beside a response without a body."""
    found = json.loads(line)
    if found["response"]["status_code"] != 200:
        found["error"], found["response"]["body"] = found["response"]["body"], None
    return json.dumps(found) + "\n"


def _openai(request: Mapping[str, Any], url: str) -> dict[str, Any]:
    status, body = post(url, json.dumps(request["body"], ensure_ascii=False, separators=(",", ":")).encode())
    response = {"status_code": status, "request_id": f"req-{request['custom_id']}", "body": body}
    return {"id": "batch_req_1", "custom_id": request["custom_id"], "response": response, "error": None}


def _anthropic(request: Mapping[str, Any], url: str) -> dict[str, Any]:
    params = dict(request["params"])
    system = [{"role": "system", "content": params.pop("system")}] if "system" in params else []
    status, body = post(url, json.dumps(params | {"messages": [*system, *params["messages"]]}).encode())
    if status != 200:
        said = {"type": body["error"]["type"] or "api_error", "message": body["error"]["message"]}
        return {
            "custom_id": request["custom_id"],
            "result": {"type": "errored", "error": {"type": "error", "error": said}},
        }
    choice = body["choices"][0]
    thought = choice["message"].get("reasoning")
    blocks = [{"type": "thinking", "thinking": thought, "signature": "s"}] if thought else []
    message = {
        "type": "message",
        "model": body["model"],
        "content": [*blocks, {"type": "text", "text": choice["message"]["content"]}],
        "stop_reason": {"stop": "end_turn", "length": "max_tokens"}.get(choice["finish_reason"], "refusal"),
        "usage": {"input_tokens": body["usage"]["prompt_tokens"], "output_tokens": body["usage"]["completion_tokens"]},
    }
    return {"custom_id": request["custom_id"], "result": {"type": "succeeded", "message": message}}
