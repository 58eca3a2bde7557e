"""What is a credential or an e-mail address goes out nowhere; ordinary words stay; the time is bounded."""

from __future__ import annotations

import json
import logging
import re
import string
import time
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypertool import set_redaction
from hypertool.runtime.logs import Log, once
from hypertool.runtime.redaction import REDACTED, redact, redact_id, redact_name, redact_tail
from hypertool.runtime.redaction_hook import FAILED
from tests.support.credentials import CREDENTIALS, secrets

# What may stand around a credential: prose, punctuation, line ends, other scripts; for some keys no word before it.
AROUND = st.text(alphabet=string.ascii_letters + string.digits + " \n\t.,;:=?!\"'(){}<>|/\\é世", max_size=40)


@pytest.fixture(autouse=True)
def _no_hook() -> Iterator[None]:
    yield
    set_redaction(None)
    once._said.discard("redaction-hook")


@given(st.data(), AROUND, AROUND)
@pytest.mark.shared_host("S18")
def test_no_credential_of_any_kind_is_left_in_any_text(data: st.DataObject, before: str, after: str) -> None:
    text, secret = data.draw(secrets())
    assert secret not in redact(f"{before} {text} {after}", 4000)
    assert secret not in redact(f"{before}\n{text}\n{after}", 4000)
    assert secret not in redact(repr({"said": f"{before}\n{text}", "more": after}), 4000)


@given(st.data(), st.integers(1, 60))
def test_a_cut_leaves_no_half_of_a_credential(data: st.DataObject, inside: int) -> None:
    text, secret = data.draw(secrets())
    # A long key in front is taken out, and what stood behind it moves up to where it can be seen.
    begin, end = "-----BEGIN PRIVATE" + " KEY-----", "-----END PRIVATE" + " KEY-----\n"
    key = begin + "A" * (4000 - len(begin) - len(end) - inside) + end
    found = redact(key + text + " y" * 3000)
    assert len(found) <= 1000
    assert text[: max(inside, 12)] not in found
    assert secret not in found


@given(st.data(), st.integers(0, 200))
def test_cut_stack_starts_with_no_half_secret(data: st.DataObject, behind: int) -> None:
    """A stack cut at its front does not begin with half a credential."""
    _, secret = data.draw(secrets())
    found = redact_tail("y " * 3000 + f"key = {secret!r}" + "\n" + "x\n" * (400 + behind), 250)
    assert len(found) <= 250
    assert secret[-8:] not in found


@pytest.mark.parametrize("kind", CREDENTIALS)
@pytest.mark.shared_host("S18")
def test_every_kind_has_an_example_that_is_taken_out(kind: str) -> None:
    text, secret = CREDENTIALS[kind]
    found = redact(f"before {text} after", 4000)
    assert secret not in found
    assert REDACTED in found
    assert found.startswith("before ")


@pytest.mark.parametrize(
    "encode", [json.dumps, lambda text: json.dumps(json.dumps({"a": text})), lambda text: repr([text])]
)
@pytest.mark.parametrize("kind", CREDENTIALS)
def test_every_kind_is_taken_out_of_encoded_text(kind: str, encode: Callable[[str], str]) -> None:
    """In JSON, in JSON within JSON and in a Python literal, quotes and line ends are escaped."""
    text, secret = CREDENTIALS[kind]
    found = redact(encode(f"before {text} after"), 4000)
    assert [spelling for spelling in (secret, json.dumps(secret)[1:-1]) if spelling in found] == []


@pytest.mark.parametrize("kind", [kind for kind in CREDENTIALS if "in json" not in kind])
def test_every_kind_in_six_encodings(kind: str) -> None:
    """A tool's result inside a message inside a log line: each encoding as JSON doubles the backslashes."""
    text, secret = CREDENTIALS[kind]
    encoded, nested = f"before {text} after", f"before {text} after"
    for depth in range(1, 7):
        encoded, nested = json.dumps(encoded), json.dumps({"content": nested})
        for found in (redact(encoded, 8000), redact(nested, 8000)):
            assert secret not in found, depth


@pytest.mark.parametrize(
    "key", ["Cookie", "OTEL_EXPORTER_OTLP_HEADERS", "password", "X-Auth", "Authorization", "apiKey"]
)
def test_json_keys_in_six_encodings(key: str) -> None:
    """The value of a key that names a secret is taken out whole, however often it was encoded as JSON."""
    text = json.dumps({"a": 1, key: "id=hunter2 hunter3"})
    for depth in range(1, 7):
        assert "hunter" not in redact(text, 8000), depth
        text = json.dumps({"content": text})


@pytest.mark.parametrize(
    "command", ['sshpass -p "hunter7 hunter7" ssh a', 'x --password "hunter77"', 'curl -u "me:hunter77" h']
)
def test_quoted_arguments_in_json_are_taken_out(command: str) -> None:
    """The quotes of a command line in a tool call are escaped."""
    assert "hunter" not in redact(json.dumps({"command": command}))


@pytest.mark.parametrize(
    "prose",
    [
        "the token budget of backend-engineer is used up (-200 of 2000 tokens left)",
        "disk-encryption-at-rest and task-scheduling-algorithms, half_of_the_requirements_here",
        "basic understanding of bearer authentication is required",
        "npm_config_registry and react@18.2.0 and git+ssh",
        "File \"/opt/app/main.py\", line 12, in <module>: KeyError: 'usage'",
        "max_tokens=4096 prompt_tokens: 1200 total_tokens: 1500",
        "https://example.org:8443/a/b?x=1#frag and @decorator.attribute",
        "password policy: see the secrets chapter",
        "git commit -u --no-verify --tokens 5 and ls -u a",
        "the key-value store and secret_santa_list, fw_update and a key-frame at 10:A",
        "?key=1&code=200 and signature: bytes; def sig(a): return a",
        "mkdir -p build && cp -p a b; mysql is down; docker login is needed",
        "ATTENTION: the NRA and EAA bodies, dapper and data_files",
        "login page and password rules; machine learning and login flows",
        "response headers = {'retry-after': 5} and HEADERS are fine",
        "tests pass: 12 of 14; author: ann; bypass = True; the path = /x, pw and auth are words",
        "see http://localhost:9090/graph?q=a@b and https://example.org:8443/a:b/@c",
        "echo done | grep sudo; mongo is down; zip -r x.zip .",
    ],
)
def test_ordinary_text_stays_as_it_is(prose: str) -> None:
    assert redact(prose) == prose


def test_what_stands_around_a_secret_stays() -> None:
    assert redact("POST https://me:hunter22@example.org/v1 failed") == f"POST https://{REDACTED}@example.org/v1 failed"
    assert redact('{"api_key": "abcd efgh", "n": 1}') == f'{{"api_key": "{REDACTED}", "n": 1}}'
    assert redact("mail bob@example.org!") == f"mail {REDACTED}!"


@pytest.mark.parametrize(
    "unit",
    [
        "a",
        "a-",
        "a.",
        "@",
        "a@",
        "://",
        "token",
        "token=",
        'token="',
        "bearer ",
        "sk-",
        "eyJ",
        "eyJaaaa.",
        "-----BEGIN PRIVATE KEY-----",
        "-----END A",
        "cookie:",
        "gh",
        "password\n",
        " \t",
        '\\"',
        "k-",
        "x@a-",
        "AKIA",
        "--a-",
        " -u a:",
        "--password ",
        "mysql -h ",
        "sshpass ",
        "login a password ",
        "?key=",
        "sig=",
        "HEADERS=",
        "12345678:A",
        "MNOMNOMNOMNOMNOMNOMNOMNO.",
        "key-0",
        "discord.com/api/webhooks/",
        "1//0",
        "postgres://",
        "curl -u",
        "echo a",
        "a_pass",
        "<password>",
        "'password', '",
    ],
)
def test_no_text_takes_more_than_linear_time(unit: str) -> None:
    """Ten times the text: at most a hundred times the time would already be quadratic; linear is ten."""

    def seconds(size: int) -> float:
        text = (unit * size)[:size] + "1"
        best = float("inf")
        for _ in range(3):
            begun = time.thread_time()
            redact(text, len(text))
            best = min(best, time.thread_time() - begun)
        return best

    assert seconds(400_000) < 40 * max(seconds(40_000), 0.002)


def test_an_id_is_told_from_a_credential() -> None:
    for identity in ("chatcmpl-9xYzABCD1234", "msg_01XFDUDYJgAACzvnptvVoYEL", "4f0a-11ee", "resp_68a"):
        assert redact_id(identity) == identity
    for text, secret in CREDENTIALS.values():
        assert secret not in redact_id(text)


def test_a_megabyte_costs_no_more_than_its_limit() -> None:
    hostile = "a@" * 500_000
    begun = time.thread_time()
    assert len(redact(hostile)) <= 1000
    assert time.thread_time() - begun < 0.2


def test_a_text_that_cannot_be_encoded_is_made_so() -> None:
    assert redact("a\ud800b").encode() == b"a\\ud800b"


# The hook


def test_hook_runs_after_the_patterns() -> None:
    """The hook gets the text after the patterns, and its result is used."""
    seen: list[str] = []

    def hide(text: str) -> str:
        seen.append(text)
        return re.sub(r"\bACME\b", "[customer]", text)

    assert redact_name("ACME") == "ACME"
    set_redaction(hide)
    assert redact("ACME pays with sk-abcdefgh12345678") == f"[customer] pays with {REDACTED}"
    assert seen == [f"ACME pays with {REDACTED}"]
    assert redact_name("ACME") == "[customer]", "also where the answer was remembered from before"
    set_redaction(None)
    assert redact("ACME") == "ACME"


@pytest.mark.parametrize(
    "hook",
    [lambda text: 1 / 0, lambda text: None, lambda text: text.encode()],
    ids=["raises", "returns nothing", "returns bytes"],
)
def test_failing_hook_hides_the_value(hook: object, caplog: pytest.LogCaptureFixture) -> None:
    """A failing hook hides the whole value, with one log line."""
    set_redaction(hook)  # type: ignore[arg-type]
    assert [redact("the secret of ACME") for _ in range(3)] == [FAILED] * 3
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 1
    assert "redaction hook" in said[0]
    assert "ACME" not in said[0]


def test_hook_is_not_called_recursively() -> None:
    """A hook that calls `redact` itself is not called again for that text."""
    set_redaction(lambda text: redact(text) + "!")
    assert redact("x") == "x!"


def test_a_hook_that_is_none_is_an_error() -> None:
    with pytest.raises(TypeError, match="a function of one string"):
        set_redaction("module:function")  # type: ignore[arg-type]


# Log lines


def test_a_log_line_and_its_stack_hold_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise ValueError("password=hunter2hunter2")
    except ValueError as error:
        Log().error("failed for %s: %s", "bob@example.org", error, exc_info=error)
    said = caplog.text
    assert "hunter2" not in said
    assert "bob@" not in said
    assert "ValueError" in said
    assert caplog.records[0].levelno == logging.ERROR


def test_a_command_says_no_secret_either() -> None:
    log = Log()
    log.taken = []
    log.warning("https://me:hunter22@host/ does not answer: 100 %")
    assert log.taken == [f"https://{REDACTED}@host/ does not answer: 100 %"]


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_headers_in_json_are_redacted_whole(depth: int) -> None:
    """The value of a variable for headers is redacted whole, however often the text was encoded as JSON."""
    text = 'ANTHROPIC_CUSTOM_HEADERS="x-acme: hunter2 hunter3" end'
    for _ in range(depth):
        text = json.dumps({"content": text})
    found = redact(text)
    assert "hunter" not in found
    assert "end" in found
