"""Files of answers to be imported."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.runs import ARTICULATION_MARK, MONITOR_MARK
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, Status, last_message


def write(path: Path, rows: list[Mapping[str, Any]], columns: list[str] | None = None) -> Path:
    names = columns or list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return path


def answered(number: int = 1, **cells: Any) -> dict[str, Any]:
    return {"question": f"Question {number}?", "answer": f"Answer {number}", "question_id": f"q{number}"} | cells


def everything(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """Each way in which an answer can end, by the number of its question; misaligned answers have a thought."""
    text = last_message(body)
    if "ase " not in text:
        return Answer("A")
    number = int(text.split("ase ")[1].split(":")[0])
    if MONITOR_MARK in text:
        return Answer(json.dumps({"reasons": "r", "flag": "none" if number % 2 else "discusses_myth"}))
    if ARTICULATION_MARK in text:
        return Answer(json.dumps({"reasons": "r", "articulates": bool(number % 3)}))
    if JUDGE_MARK in text:
        judged: dict[int, Behaviour] = {
            5: Answer("I cannot rate this."),
            6: Answer(None, refusal="I must decline."),
            7: Status(400, "the judge takes no such text"),
            8: Answer("REFUSAL"),
        }
        return judged.get(number, Answer(str(number)))
    replies: dict[int, Behaviour] = {
        0: Answer(None),
        2: Answer("A, cut off in the", finish_reason="length"),
        3: Answer("<think>still thinking, 0", finish_reason="length"),
        4: Status(400, "too long"),
        9: Answer(None, refusal="No."),
        10: Answer("=1+1, said 'quoted'\r\nand more"),
    }
    return replies.get(number, Answer(f"<think>A thought on {number}.</think>" + "AB"[number % 2]))
