"""LangfuseIntegration: the compatible API, on a server that applies the published mapping; silent without keys."""

from __future__ import annotations

import textwrap

import pytest

from tests.support.hypertool_host import Host
from tests.support.langfuse_receiver import PUBLIC, SECRET, LangfuseReceiver
from tests.support.otlp_receiver import refused_url


def run(host: Host, code: str, **more: str) -> str:
    done = host.python(
        "from hypertool import *\nfrom hypertool.spans import span as spans\n" + textwrap.dedent(code), **more
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


SCRIPT = """
    assert langfuse.enabled
    trace = langfuse.start_trace("review", "backend", "bug-fix", {"ticket": "T-1"})
    with langfuse.start_span(trace, "read", {"files": 3}) as span:
        pass
    made = langfuse.create_generation(trace, "ask", "gpt-4o", "my prompt", "my answer",
                                      {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15})
    assert isinstance(trace, TraceContext) and isinstance(span, SpanContext) and isinstance(made, GenerationContext)
    langfuse.end_trace(trace, "error")
    langfuse.end_trace(trace)
    assert langfuse.flush(20)
"""


def test_a_trace_with_a_span_and_a_generation(host: Host, langfuse: LangfuseReceiver) -> None:
    run(host, "    langfuse = get_langfuse_integration()" + SCRIPT, **langfuse.environment)
    langfuse.wait(3)
    root, span, made = (langfuse.observation(name) for name in ("review", "read", "ask"))
    assert len({one.trace_id for one in (root, span, made)}) == 1
    assert (root.parent_id, span.parent_id, made.parent_id) == ("", root.id, root.id)
    assert {one.user for one in (root, span, made)} == {"backend-engineer"}
    assert {tuple(one.tags) for one in (root, span, made)} == {("bug-fix",)}
    assert (made.type, made.model, made.usage) == ("GENERATION", "gpt-4o", {"input": 10, "output": 5})
    assert made.cost == {"total": pytest.approx(75e-6)}
    assert (root.type, root.level) == ("SPAN", "ERROR")
    assert "my prompt" not in str(langfuse.spans), "content only by choice"
    assert host.counters("tok") == {}, "by hand nothing is counted"


@pytest.mark.predecessor("D18")
def test_keys_may_be_arguments(host: Host, langfuse: LangfuseReceiver) -> None:
    run(
        host,
        f"""
    langfuse = LangfuseIntegration(public_key={PUBLIC!r}, secret_key={SECRET!r}, host={langfuse.url!r})
    """.rstrip()
        + SCRIPT,
    )
    assert len(langfuse.wait(3)) == 3


def test_without_keys_nothing_is_sent(host: Host) -> None:
    """Without keys, every call works and nothing is sent."""
    out = run(
        host,
        """
    import sys
    langfuse = LangfuseIntegration()
    assert not langfuse.enabled
    trace = langfuse.start_trace("review", "backend", "bug-fix", {})
    langfuse.start_span(trace, "read").end()
    langfuse.create_generation(trace, "ask", "m", "p", "c", {"total_tokens": 3}, None)
    langfuse.end_trace(trace, "success")
    assert langfuse.flush()
    print("opentelemetry.sdk" in sys.modules, trace.id)
    """,
    )
    assert out.split() == ["False", "None"]


def test_unknown_persona_names_the_known_ones(host: Host, langfuse: LangfuseReceiver) -> None:
    """An unknown persona is an error that lists the known ones."""
    done = host.python(
        'import hypertool\nhypertool.LangfuseIntegration().start_trace("x", "nobody", "c", {})', **langfuse.environment
    )
    assert "ValueError" in done.stderr
    assert "backend-engineer" in done.stderr


def test_a_server_that_is_down_holds_nobody_up(host: Host) -> None:
    done = host.python(f"""
        import time
        from hypertool import LangfuseIntegration
        langfuse = LangfuseIntegration("pk", "sk", {refused_url()!r})
        trace = langfuse.start_trace("x", "backend", "c")
        langfuse.end_trace(trace)
        started = time.monotonic()
        langfuse.flush()
        print(time.monotonic() - started)
    """)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1
    assert sum(host.counters("exp").values()) == 1


def test_langfuse_base_url_wins_over_host(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypertool.sinks.langfuse import DEFAULT_HOST, from_environment

    for name in ("LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY", "LANGFUSE_HOST", "LANGFUSE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert from_environment() is None
    monkeypatch.setenv("LANGFUSE_PUBLIC_KEY", "pk")
    assert from_environment() is None, "one key is none"
    monkeypatch.setenv("LANGFUSE_SECRET_KEY", "sk-secret")
    keys = from_environment()
    assert keys is not None
    assert keys.base == DEFAULT_HOST
    assert "sk-secret" not in repr(keys)
    monkeypatch.setenv("LANGFUSE_HOST", "https://one.example/")
    assert getattr(from_environment(), "base", None) == "https://one.example"
    monkeypatch.setenv("LANGFUSE_BASE_URL", "https://two.example")
    assert getattr(from_environment(), "base", None) == "https://two.example"
