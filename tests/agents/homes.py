"""Homes with the recorded sessions of real agents in the places where the agents keep them."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

from hypertool.agents import folders

RECORDED = Path(__file__).with_name("recorded")
AGENT_VARIABLES = (
    *folders.VARIABLES,
    "AIDER_ANALYTICS_LOG",
    "CLAUDE_CODE_SESSION_ID",
    "CODEX_SESSION_ID",
    "CODEX_THREAD_ID",
    "QWEN_CODE_SESSION_ID",
    "COPILOT_AGENT_SESSION_ID",
    "GEMINI_SESSION_ID",
)
CLAUDE_SESSION = "6f40dd53-000c-4311-9f7e-d122523eb4eb"
_CLAUDE = f".claude/projects/-home-ann-project/{CLAUDE_SESSION}"
_CODEX = ".codex/sessions/2026/11/26/rollout-2026-11-26T01-48-"
# Agent to the recorded files and their places below a home.
PLACES: dict[str, dict[str, str]] = {
    "claude-code": {
        "claude-code-2.1.332.main.transcript.jsonl": f"{_CLAUDE}.jsonl",
        "claude-code-2.1.332.subagent.transcript.jsonl": f"{_CLAUDE}/subagents/agent-a2447e173a1dae144.jsonl",
    },
    "codex": {
        "codex-0.169.0.rollout-0.jsonl": f"{_CODEX}09-01a21589-e9aa-7290-aaed-d212f8e50af6.jsonl",
        "codex-0.169.0.rollout-1.jsonl": f"{_CODEX}12-01a21589-f3bb-79d1-b512-c369bd5d4058.jsonl",
    },
    "copilot-cli": {
        "copilot-cli-1.0.102.events.jsonl": ".copilot/session-state/4de4c62c-9093-4889-a4c4-a1537bd4d2db/events.jsonl",
    },
    "gemini-cli": {
        "gemini-cli-0.61.0.chat.jsonl": ".gemini/tmp/project/chats/session-2026-11-26T01-49-8e476beb.jsonl",
    },
    "cline": {
        "cline-cli-3.0.65.messages.json": ".cline/data/sessions/1795658838315_kg0sg/1795658838315_kg0sg.messages.json",
    },
    "auggie": {"auggie-0.36.0.session.json": ".augment/sessions/b19ac39c-2149-4bc7-8b89-0d5c74422df8.json"},
}


def install(home: Path, agent: str) -> list[Path]:
    """Put the recorded session of an agent into a home; returns its files."""
    made = []
    for name, place in PLACES[agent].items():
        path = home / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(RECORDED / name, path)
        made.append(path)
    return made


def session_file(home: Path, agent: str) -> Path:
    """The main file of an agent's recorded session in a home."""
    return home / next(iter(PLACES[agent].values()))


def qwen_record(number: int, *, subagent: str | None = None, shape: str = "openai") -> dict[str, Any]:
    """A line of Qwen Code's chat file (0.24.4) for call `number` of the recorded server."""
    given, output, cached, thoughts = 1000 + number + 30 + number, 200 + number, 30 + number, 5 + number
    return {
        "uuid": f"u{number}",
        "sessionId": "484df078-eae9-4ada-b3b2-d5ded4709e91",
        "timestamp": f"2026-11-26T02:17:{40 + number}.675Z",
        "type": "system",
        "subtype": "ui_telemetry",
        "version": "0.24.4",
        "cwd": "/home/ann/project",
        "systemPayload": {
            "uiEvent": {
                "event.name": "qwen-code.api_response",
                "response_id": f"chatcmpl-fake{number:06}",
                "model": "qwen3-coder-plus",
                "input_token_count": given,
                "output_token_count": output,
                "cached_content_token_count": cached,
                "thoughts_token_count": thoughts,
                "total_token_count": given + output + (thoughts if shape == "gemini" else 0),
                "subagent_name": subagent,
            }
        },
    }


def qwen_session(home: Path, *records: dict[str, Any]) -> Path:
    """Qwen Code's chat file with those lines."""
    path = home / ".qwen/projects/-home-ann-project/chats/484df078-eae9-4ada-b3b2-d5ded4709e91.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def opencode_message(number: int, **more: Any) -> dict[str, Any]:
    """The data of an assistant's message in opencode's database (1.18.33) for call `number`."""
    return {
        "role": "assistant",
        "agent": "build",
        "modelID": "gpt-4.1",
        "providerID": "fake",
        "time": {"created": 1795659000000 + number * 1000, "completed": 1795659000500 + number * 1000},
        "tokens": {
            "input": 1000 + number,
            "output": 200 + number - (5 + number),
            "reasoning": 5 + number,
            "cache": {"read": 30 + number, "write": 0},
        },
        **more,
    }


def opencode_database(home: Path, messages: dict[str, dict[str, Any]], parent: str | None = None) -> Path:
    """opencode's database with one session and those messages (their ids to their data); adds where it exists."""
    path = home / ".local/share/opencode/opencode.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    with connection:
        connection.executescript(
            "CREATE TABLE IF NOT EXISTS session (id text PRIMARY KEY, parent_id text, version text NOT NULL);"
            "CREATE TABLE IF NOT EXISTS message (id text PRIMARY KEY, session_id text NOT NULL,"
            " time_created integer NOT NULL, time_updated integer NOT NULL, data text NOT NULL);"
        )
        connection.execute(
            "INSERT OR REPLACE INTO session (id, parent_id, version) VALUES ('ses_1', ?, '1.18.33')", (parent,)
        )
        for identity, data in messages.items():
            at = data.get("time", {}).get("completed", 1795659000000)
            connection.execute(
                "INSERT OR REPLACE INTO message VALUES (?, 'ses_1', ?, ?, ?)", (identity, at, at, json.dumps(data))
            )
    connection.close()
    return path
