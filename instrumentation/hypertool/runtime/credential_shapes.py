"""What credentials look like: the patterns that redaction takes out, and the hints that decide which are tried.

The patterns match credentials, not words: one that matched ordinary prose would hide the error message around it. Each
is linear in the text: every repetition has an upper bound, or a class that the next part cannot match.
"""

from __future__ import annotations

import re

REDACTED = "[redacted]"
NAME_LIMIT = 200


class Shape:
    """A pattern that is compiled when a text first has one of its hints: all of them take some ten milliseconds."""

    __slots__ = ("_compiled", "_flags", "_source")

    def __init__(self, source: str, flags: int = 0) -> None:
        self._source = source
        self._flags = flags
        self._compiled: re.Pattern[str] | None = None

    def sub(self, replacement: str, text: str) -> str:
        """`text` with every match replaced."""
        pattern = self._compiled
        if pattern is None:
            pattern = self._compiled = re.compile(self._source, self._flags)
        return pattern.sub(replacement, text)


# Issuers' published prefixes, none of which is part of a word, and what follows them.
_PREFIXES = (
    (r"sk-(?:ant|proj|lf|or|svcacct|admin)-|pk-lf-|[spr]k_(?:live|test)_", r"[\w-]{8,}"),
    (r"AKIA|ASIA", r"[A-Z0-9]{16}"),
    (r"gh[opusr]_|github_pat_|gl(?:pat|dt|rt|ptt|cbt|agent|oas|soat|ft|imt)-", r"[\w-]{8,}"),
    (r"glc_|glsa_", r"[\w=+/-]{8,}"),
    (r"xox[abeoprs]-|xapp-|xoxe\.xox[bp]-", r"[\w-]{8,}"),
    (r"AIza", r"[\w-]{30,}"),
    (r"ya29\.|GOCSPX-|hv[sb]\.|SG\.|1//0", r"[\w.-]{16,}"),
    (r"gsk_|pplx-|nvapi-|lsv2_[ps]t_|ls__|do[orp]_v1_|dckr_[po]at_|shp(?:at|ca|pa|ss)_|pypi-AgE", r"[\w-]{16,}"),
    (r"npm_(?!config)|pcsk_|tgp_v1_|jina_|e2b_|esecret_|tvly-|csk-", r"[\w-]{16,}"),
    (r"whsec_|sntry[su]_|pscale_(?:tkn|pw|oauth)_|figd_|figo_|nfp_|napi_|sbp_|sb_secret_", r"[\w=+/-]{16,}"),
    (r"rubygems_|rdme_|pnu_|tfp_|duffel_(?:test|live)_|shippo_(?:test|live)_|lin_(?:api|oauth)_", r"[\w-]{16,}"),
    (r"dp\.(?:pt|st|sa|ct|scim|audit)\.|dt0[a-z]\d\d\.|xkeysib-|xsmtpsib-|sq0(?:atp|csp|idp)-", r"[\w.-]{16,}"),
    (r"AGE-SECRET-KEY-(?:PQ-)?1", r"[0-9A-Z]{16,}"),
    (r"NR(?:AK|JS|RA|II)-|PMAK-|HRKU-|FLWSECK(?:_TEST)?-|CLOJARS_", r"[\w-]{12,}"),
    (r"AT(?:ATT|CTT)3|ATBB", r"[\w=-]{16,}"),
    (r"\.atlasv1\.", r"[\w-]{16,}"),
)
# Prefixes that end ordinary words too (disk-, half_): at the start of a word only. JSON within JSON writes a line end
# before it as two characters, the second of which is no letter of a word.
_AT_START = r"(?:(?<![A-Za-z0-9])|(?<=\\[nrt]))"
_SHORT_PREFIXES = (
    rf"{_AT_START}(?:[sprk]k-[\w-]{{8,}}|hf_\w{{16,}}|r8_\w{{16,}}|xai-[\w-]{{16,}}"
    r"|(?:fw|ntn|secret|napi|dop)_[A-Za-z0-9]{20,}|dapi[0-9a-f]{32}|key-[0-9a-f]{24,}|pa-[\w-]{36,}|fc-[0-9a-f]{24,}"
    r"|SK[0-9a-f]{32}|EAA[A-Za-z0-9]{60,}|EZ[AT]K[A-Za-z0-9]{40,}|LTAI[A-Za-z0-9]{12,}|AKID[A-Za-z0-9]{13,}"
    r"|[0-9a-f]{32}-us\d{1,2})"
)
_WORDS = (
    "passwo?r?d",
    "passphrase",
    "pwd",
    r"secret(?:[_-]?access)?(?:[_-]?key)?",
    "token",
    r"(?:api|access|account|private|signing|encryption|master|pre-?shared)[_ -]?key",
    "authorization",
    "credentials?",
)
# Short words for secrets, which prose has too: as the last part of a name (DB_PASS, X-Auth), or as a quoted key.
_LAST_PARTS = (
    r"(?:(?<=[A-Za-z0-9][_-])|(?<=[\"']))(?:pass|pw|psk|pat|auth)(?=[\"'\\]{0,64}\s{0,8}[=:])|\b(?:psk|dbpw)(?==)"
)
# What stands before a quote in text that was encoded as JSON up to six times: each time doubles the backslashes.
_ESCAPES = r"\\{0,63}"
# Quotes that end a key, escaped or not.
_KEY_END = r"[\"'\\]{0,64}"
# A word for a secret, `=` or `:`, and the value: in quotes, or one word.
_ASSIGNED = (
    rf"((?i:{'|'.join(_WORDS)}|{_LAST_PARTS}){_KEY_END}\s{{0,8}}(?:[=:]>?|%3D)\s{{0,8}}(?:{_ESCAPES}[\"'])?)"
    r"(?:(?i:[a-z]{2,12}) )?"
    r"(?:(?<=\")(?:[^\"\n\\]|\\[^\"\n]){1,2000}|(?<=')(?:[^'\n\\]|\\[^'\n]){1,2000}|[^\s\"',;&\[\\]{4,2000})"
)
# One argument of a shell command, quoted or not.
# The quotes may be escaped, in text that was encoded as JSON.
_ARGUMENT = r"(?:\"[^\"\n]{1,500}\"|'[^'\n]{1,500}'|\\{1,63}[\"'][^\"'\n]{1,500}[\"']|[^\s\"']{3,2000})"
# `--db-password hunter2` and `curl -u me:hunter2`: prompts and errors of coding agents are full of command lines.
_OPTION = rf"(--(?:[a-z]{{1,20}}-){{0,4}}(?i:{'|'.join(_WORDS)})[ \t]{{1,4}}(?:{_ESCAPES}[\"'])?)[^\s\"']{{4,2000}}"
_USER = rf"((?:\s-u|--user)[ =](?:{_ESCAPES}[\"'])?[^\s:\"']{{1,64}}:)[^\s\"']{{3,2000}}"
# Programs whose one-letter option is a password: glued to it (mysql), or the argument after it.
_GLUED = rf"({_AT_START}" r"(?:mysql\w{0,12}|mariadb[\w-]{0,12}|mycli)\b(?:[^\n|;&]{0,200}?\s)-p)" + _ARGUMENT
_APART = (
    rf"({_AT_START}"
    r"(?:sshpass[^\n|;&]{0,60}?\s-p|redis-cli[^\n|;&]{0,200}?\s(?:-a|--pass)|ldap\w{3,8}[^\n|;&]{0,200}?\s-w"
    r"|(?:docker|podman|az|helm registry) login[^\n|;&]{0,200}?\s-p|mongo\w{0,10}[^\n|;&]{0,200}?\s-p"
    r"|sqlcmd[^\n|;&]{0,200}?\s-P|(?:un)?zip[^\n|;&]{0,60}?\s-P|openssl[^\n|;&]{0,200}?\s-k"
    r"|htpasswd\s-\w{0,4}b\w{0,4}[ \t]{1,4}\S{1,200}[ \t]{1,4}\S{1,64}"
    r"|mc alias set[ \t]{1,4}\S{1,64}[ \t]{1,4}\S{1,200}[ \t]{1,4}\S{1,64})[ \t]{0,4})" + _ARGUMENT
)
# `echo SECRET | sudo -S`, `echo user:SECRET | chpasswd`.
_PIPED = (
    rf"({_AT_START}" r"echo[ \t]{1,4}(?:-n[ \t]{1,4})?)[^\n|]{1,500}(?=\|[ \t]{0,4}(?:sudo[^\n|;&]{0,60}\s-S|chpasswd))"
)
# curl -ume:SECRET, without a blank.
_GLUED_USER = (
    rf"({_AT_START}curl\b[^\n|;&]{{0,200}}?\s-u(?:{_ESCAPES}[\"'])?[^\s:\"'-][^\s:\"']{{0,64}}:)[^\s\"']{{3,2000}}"
)
# <password>SECRET</password>, ('password', 'SECRET').
_TAGGED = rf"(<(?:\w{{1,20}}:)?[\w-]{{0,40}}(?i:{'|'.join(_WORDS)})[\w-]{{0,40}}>)[^<\n]{{1,2000}}(?=<)"
_PAIRED = rf"([\"'](?i:{'|'.join(_WORDS)}){_ESCAPES}[\"'],\s{{0,4}}{_ESCAPES}[\"'])[^\"'\n]{{1,2000}}"
# Passwords of databases may hold `/` and `@`: up to the last `@` of the address.
_DATABASE = (
    r"((?:postgres(?:ql)?|mysql|mariadb|mongodb(?:\+srv)?|rediss?|amqps?|mssql|clickhouse|ldaps?)(?:\+\w{1,20})?://)"
    r"[^\s\"'<>]{1,1000}@(?=[\w.\[-])"
)
_COOKIE = (
    rf"((?:(?<!-){_AT_START}(?i:(?:set-)?cookie){_KEY_END}\s{{0,8}}:|(?i:jsessionid|phpsessid)=)"
    rf"\s{{0,8}}(?:{_ESCAPES}[\"'])?)"
    r"[^\n\"']{4,2000}"
)
_DIGEST = rf"({_AT_START}response={_ESCAPES}\"?)[^\s\",\\]{{8,200}}"
_PASS_SOURCE = r"(-pass(?:in|out)?[ \t]{1,4}pass:)[^\s\"']{1,2000}"
_SMB = rf"(-U[ =]?(?:{_ESCAPES}[\"'])?[\w.\\/-]{{1,64}}%)[^\s\"']{{3,2000}}"
# machine HOST login USER password SECRET, on one line or several (netrc).
_NETRC = (
    rf"({_AT_START}"
    r"(?:login|machine)\s{1,4}\S{1,200}\s{1,8}(?:account\s{1,4}\S{1,200}\s{1,8})?password\s{1,4})\S{1,2000}"
)
# OTEL_EXPORTER_OTLP_HEADERS=authorization=Basic%20..., ANTHROPIC_CUSTOM_HEADERS: the whole value.
_HEADERS = (
    rf"(HEADERS{_KEY_END}\s{{0,4}}[=:]\s{{0,4}})"
    rf"(?:{_ESCAPES}\"[^\"\n]{{1,2000}}\"?|{_ESCAPES}'[^'\n]{{1,2000}}'?|[^\s\"']{{1,2000}})"
)
# Signed and keyed URLs: Azure SAS, AWS, Google, CloudFront, keys as query parameters.
_QUERY = (
    r"((?:[?&](?:(?i:key|code|auth|x-amz-credential|x-goog-credential|key-pair-id|awsaccesskeyid))"
    r"|(?:(?<![A-Za-z0-9_-])|(?<=\\[nrt]))(?i:sig)|(?i:(?:x-amz-|x-goog-)?signature))=)[^\s&\"'#<>\\]{8,2000}"
)
_WEBHOOK = (
    r"((?:hooks\.slack\.com/(?:services|workflows|triggers)|discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks"
    r"|webhook\.office\.com/webhookb2|hooks\.zapier\.com/hooks/catch|chat\.googleapis\.com/v1/spaces"
    r"|events\.pagerduty\.com/integration)/)[^\s\"'<>\\]{8,2000}"
)
_TELEGRAM = r"\d{8,10}:A[\w-]{32,40}"
_DISCORD_BOT = r"[MNO][\w-]{22,30}\.[\w-]{6}\.[\w-]{25,}"
_SCHEME = r"((?i:bearer|basic)\s{1,8})(?:[\w.~+/=-]{16,}|(?=[A-Za-z._~+/=-]{0,64}[0-9])[\w.~+/=-]{8,})"
_PRIVATE_KEY = r"[A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"

NAMED = re.compile(rf"(?i:{'|'.join(_WORDS)})\Z")
_ISSUED = Shape("|".join(f"(?:{prefix}){rest}" for prefix, rest in _PREFIXES), re.A)
_SHORT = Shape(_SHORT_PREFIXES, re.A)
# The first two characters of all of them, and of base64 of a JSON object (a JWT).
_BEGINNINGS = (
    "sk|pk|rk|AK|AS|gh|gi|gl|xo|xa|AI|ya|GO|hv|SG|gs|pp|nv|ls|do|dc|sh|py|np|hf|r8|ey|pc|tg|ji|e2|es|tv|cs|wh|sn|ps|fi|nf"
    "|na|sb|ru|rd|pn|tf|du|li|dp|dt|xk|xs|sq|AG|NR|PM|HR|FL|CL|AT|fw|nt|se|da|ke|pa|fc|SK|EA|EZ|LT"
)
PLAIN_ID = re.compile(
    rf"(?!{_BEGINNINGS}|[0-9a-f]{{32}}-us)[A-Za-z0-9_-]{{1,{NAME_LIMIT}}}\Z",
).match

# What a text must contain for the pattern to be tried, the pattern, and its replacement.
PATTERNS: tuple[tuple[tuple[str, ...], Shape, str], ...] = (
    (("PRIVATE KEY",), Shape(rf"-----BEGIN {_PRIVATE_KEY}.*?(?:-----END {_PRIVATE_KEY}|\Z)", re.S), REDACTED),
    (("PRIVATE KEY",), Shape(rf"\A.*?-----END {_PRIVATE_KEY}", re.S), REDACTED),
    (("eyJ",), Shape(r"eyJ[\w-]{17,}(?:\.[\w-]*){0,4}"), REDACTED),
    (("HEADERS",), Shape(_HEADERS), rf"\1{REDACTED}"),
    (("hook", "chat.googleapis", "integration"), Shape(_WEBHOOK), rf"\1{REDACTED}"),
    (("-", "_", "AKIA", "ASIA", "AIza", ".", "1//0", "AT"), _ISSUED, REDACTED),
    (("k-", "_", "xai-", "dapi", "key-", "pa-", "fc-", "SK", "EA", "EZ", "LTAI", "AKID", "-us"), _SHORT, REDACTED),
    ((":A",), Shape(_TELEGRAM, re.A), REDACTED),
    ((".",), Shape(_DISCORD_BOT, re.A), REDACTED),
    (("=",), Shape(_QUERY), rf"\1{REDACTED}"),
    (("earer", "EARER", "asic", "ASIC"), Shape(_SCHEME), rf"\1{REDACTED}"),
    (("password",), Shape(_NETRC), rf"\1{REDACTED}"),
    (("mysql", "mariadb", "mycli"), Shape(_GLUED), rf"\1{REDACTED}"),
    (
        ("sshpass", "redis-cli", "ldap", "login", "mongo", "sqlcmd", "zip", "openssl", "htpasswd", "mc alias"),
        Shape(_APART),
        rf"\1{REDACTED}",
    ),
    (("pass:",), Shape(_PASS_SOURCE), rf"\1{REDACTED}"),
    (("sudo", "chpasswd"), Shape(_PIPED), rf"\1{REDACTED} "),
    (("curl",), Shape(_GLUED_USER), rf"\1{REDACTED}"),
    (("</",), Shape(_TAGGED), rf"\1{REDACTED}"),
    (("',", '",'), Shape(_PAIRED), rf"\1{REDACTED}"),
    (("Digest", "digest"), Shape(_DIGEST), rf"\1{REDACTED}"),
    (("://",), Shape(_DATABASE), rf"\1{REDACTED}@"),
    (("-U",), Shape(_SMB), rf"\1{REDACTED}"),
    ((":", "=", "%3D"), Shape(_ASSIGNED), rf"\1{REDACTED}"),
    (("--",), Shape(_OPTION), rf"\1{REDACTED}"),
    (("-u", "--user"), Shape(_USER), rf"\1{REDACTED}"),
    (("ookie", "OOKIE", "SESSIONID"), Shape(_COOKIE), rf"\1{REDACTED}"),
    (("://",), Shape(r"://[^/\s@\"']{1,1000}@"), f"://{REDACTED}@"),
    (("@",), Shape(r"(?<![\w.%+-])[\w.%+-]+@(?:[\w-]+\.)+[^\W\d_]{2,}"), REDACTED),
)
