"""Made-up credentials of every kind that must go out nowhere, and hypothesis strategies for more of them.

None was ever issued; several are written in pieces, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import string

from hypothesis import strategies as st

_WORD = string.ascii_letters + string.digits
_URL = _WORD + "-_"
_JWT = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P"
_PEM = "-----BEGIN RSA PRIVATE" + (
    " KEY-----\nMIIEowIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi\nx8Rz\n-----END RSA PRIVATE KEY-----"
)

# Kind -> a text that is secret as a whole.
_SECRETS = {
    "openai": "sk-proj-" + "abcdefgh12345678ABCD",
    "openai, old": "sk-" + "abcdefgh12345678ABCD",
    "anthropic": "sk-ant-" + "api03-abcdefgh12345678",
    "langfuse secret": "sk-lf-" + "1234abcd-12ab-34cd-56ef-1234567890ab",
    "langfuse public": "pk-lf-" + "1234abcd-12ab-34cd-56ef-1234567890ab",
    "aws id": "AKIA" + "IOSFODNN7EXAMPLE",
    "github": "ghp_" + "abcdefgh12345678ABCDabcdefgh12345678",
    "github, fine-grained": "github_pat_" + "11ABCDEFG0_abcdefgh12345678",
    "gitlab": "glpat-" + "abcdefgh12345678ABCD",
    "google": "AIza" + "SyA1234567890abcdefghijklmnopqrstuv",
    "google oauth": "ya29." + "a0AfH6SMBabcdefgh12345678",
    "slack": "xoxb-" + "123456789012-abcdefgh12345678",
    "grafana": "glsa_" + "abcdefgh12345678ABCDabcdefgh1234_12345678",
    "grafana cloud": "glc_" + "eyJvIjoiMTIzNDU2IiwibiI6InRlc3QifQ==",
    "stripe": "sk_live_" + "abcdefgh12345678",
    "hugging face": "hf_" + "abcdefgh12345678ABCDabcdefgh123456",
    "groq": "gsk_" + "abcdefgh12345678ABCDabcdefgh12345678",
    "npm": "npm_" + "abcdefgh12345678ABCDabcdefgh12345678",
    "vault": "hvs." + "CAESIabcdefgh12345678ABCD",
    "discord bot": "MTk4NjIyNDgzNDcxOTI1MjQ4" + ".Cl2FMQ.ZnCjm1XVW7vRze4b7Cq4se7kKWs",
    "stripe hook": "whsec_" + "abcdefgh12345678ABCDabcdefgh1234",
    "twilio": "SK" + "0123456789abcdef0123456789abcdef",
    "mailgun": "key-" + "0123456789abcdef0123456789abcdef",
    "mailchimp": "0123456789abcdef0123456789abcdef" + "-us12",
    "fireworks": "fw_" + "3ZabcdefGH12345678ABCDab",
    "databricks": "dapi" + "0123456789abcdef0123456789abcdef",
    "linear": "lin_api_" + "abcdefgh12345678ABCDabcdefgh12345678ABCD",
    "notion": "ntn_" + "12345678901abcdefgh12345678ABCDabcdefgh123456",
    "notion, old": "secret_" + "abcdefgh12345678ABCDabcdefgh12345678ABCDabc",
    "doppler": "dp.pt." + "abcdefgh12345678ABCDabcdefgh12345678ABCDabc",
    "age": "AGE-SECRET-KEY-1" + "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7LQPZRY9X8GF2TVDW0S3JN54KHCE",
    "new relic": "NRAK-" + "ABCDEFGHIJ0123456789ABCDEF1",
    "postman": "PMAK-" + "0123456789abcdef01234567-0123456789abcdef0123456789abcdef01",
    "atlassian": "ATATT3" + "xFfGF0abcdefgh12345678ABCD",
    "sentry": "sntrys_" + "eyJpYXQiOjE2abcdefgh12345678ABCD",
    "supabase": "sbp_" + "0123456789abcdef0123456789abcdef01234567",
    "pinecone": "pcsk_" + "abcdefgh12345678ABCDabcdefgh12345678",
    "voyage": "pa-" + "abcdefgh12345678ABCDabcdefgh12345678ABCD",
    "tavily": "tvly-" + "abcdefgh12345678ABCDabcd",
    "google refresh": "1//0" + "gabcdefgh12345678ABCDabcdefgh12345678",
    "e-mail": "ada.lovelace+notes@example.co.uk",
}
# Kind -> a text, and the part of it that is secret.
CREDENTIALS: dict[str, tuple[str, str]] = {
    **{kind: (secret, secret) for kind, secret in _SECRETS.items()},
    "aws secret": (
        "aws_secret_access_key = " + "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
        "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY",
    ),
    "slack hook": (
        "https://hooks.slack.com/services/" + "T00000000/B00000000/XXXXXXXXXXXXXXXX",
        "T00000000/B00000000/XXXXXXXXXXXXXXXX",
    ),
    "jwt": (_JWT, _JWT),
    "bearer": ("Authorization: Bearer " + "abcdefgh1234", "abcdefgh1234"),
    "basic": ("authorization: basic " + "dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
    "private key": (_PEM, "MIIEowIBAAKCAQEA3Tz2mr7SZiAMfQyuvBjM9Oi"),
    "url": ("https://user:" + "hunter2@example.org/path", "user:hunter2"),
    "token as a user": ("https://" + "abcdefgh1234@github.com/x.git", "abcdefgh1234"),
    "password": ("password: " + "hunter22", "hunter22"),
    "password in json": ('{"password": "' + 'correct horse battery"}', "correct horse battery"),
    "password in json in json": ('{\\"password\\": \\"' + 'hunter2hunter2\\"}', "hunter2hunter2"),
    "password in json, thrice": ('{\\\\\\"password\\\\\\": \\\\\\"' + 'hunter3hunter3\\\\\\"}', "hunter3hunter3"),
    "option": ("mysql --db-password " + "hunter4hunter4 -h db", "hunter4hunter4"),
    "user of curl": ("curl -u me:" + "hunter5hunter5 https://example.org", "hunter5hunter5"),
    "environment": ("GRAFANA_CLOUD_TOKEN=" + "abcdefgh1234", "abcdefgh1234"),
    "header": ("{'x-api-key': '" + "abcdefgh1234'}", "abcdefgh1234"),
    "cookie": ("Cookie: session=" + "abcdefgh1234; other=ijkl5678", "ijkl5678"),
    "azure shared access": (
        "https://store.blob.core.windows.net/c/b?sv=2024-11-04&se=2026-12-01&sr=b&sig=" + "aB3dE5fG7hI9%2Fk1m%3D",
        "aB3dE5fG7hI9%2Fk1m%3D",
    ),
    "azure connection": (
        "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=" + "aB3dE5fG7hI9jK1mNo==",
        "aB3dE5fG7hI9jK1mNo==",
    ),
    "aws url": (
        "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=" + "fe5f80f77d5fa3beca038a248ff027d0",
        "fe5f80f77d5fa3beca038a248ff027d0",
    ),
    "aws header": (
        "AWS4-HMAC-SHA256 SignedHeaders=host, Signature=" + "fe5f80f77d5fa3beca038a248ff027d1",
        "fe5f80f77d5fa3beca038a248ff027d1",
    ),
    "google url": (
        "https://storage.googleapis.com/b/k?X-Goog-Signature=" + "7d5fa3beca038a248ff027d0",
        "7d5fa3beca038a248ff027d0",
    ),
    "key in a query": ("https://maps.example.org/v1?key=" + "abcdefgh1234ABCD", "abcdefgh1234ABCD"),
    "discord hook": (
        "https://discord.com/api/webhooks/" + "123456789012345678/aBcDeFgHiJkLmNoPqRsTuVwXyZ012345",
        "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345",
    ),
    "telegram": (
        "https://api.telegram.org/bot" + "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw/getMe",
        "110201543:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsaw",
    ),
    "teams hook": (
        "https://acme.webhook.office.com/webhookb2/" + "11111111-2222@3333/IncomingWebhook/abcdef0123456789",
        "abcdef0123456789",
    ),
    "headers of otlp": (
        "OTEL_EXPORTER_OTLP_HEADERS=" + "authorization=Basic%20MTIzOmdsY19hYmM,x-scope=1",
        "Basic%20MTIzOmdsY19hYmM",
    ),
    "headers in quotes": ('ANTHROPIC_CUSTOM_HEADERS="' + 'x-acme: hunter2 hunter3"', "hunter2 hunter3"),
    "password of mysql": ("mysql -h db -u root -p" + "hunter6hunter6 shop", "hunter6hunter6"),
    "password of sshpass": ("sshpass -p '" + "hunter7 hunter7' ssh a@b", "hunter7 hunter7"),
    "password of redis": ("redis-cli -h cache -a " + "hunter8hunter8 ping", "hunter8hunter8"),
    "password of docker": ("docker login -u me -p " + "hunter9hunter9 registry", "hunter9hunter9"),
    "password of openssl": ("openssl rsa -passin pass:" + "hunter0hunter0 -in k", "hunter0hunter0"),
    "netrc": ("machine example.org login ann password " + "hunter1hunter1", "hunter1hunter1"),
    "netrc, lines": ("machine example.org\n  login ann\n  password " + "hunterAhunterA", "hunterAhunterA"),
    "last part of a name": ("DB_PASS=" + "hunterBhunterB", "hunterBhunterB"),
    "ansible": ("ansible_become_pass: " + "hunterChunterC", "hunterChunterC"),
    "pass in json": ('{"user": "me", "pass": "' + 'hunterDhunterD"}', "hunterDhunterD"),
    "wireguard": ("PresharedKey = " + "hunterEhunterE9cQ=", "hunterEhunterE9cQ="),
    "personal access token": ("GITHUB_PAT=" + "hunterFhunterF", "hunterFhunterF"),
    "database, slash": ("postgres://app:pa/" + "hunterGhunterG@db/x", "hunterGhunterG"),
    "database, at": ("postgres://app:p@" + "hunterHhunterH@db/x", "hunterHhunterH"),
    "xml": ("<password>" + "hunterIhunterI</password>", "hunterIhunterI"),
    "pair": ("('password', '" + "hunterJhunterJ')", "hunterJhunterJ"),
    "ruby": ("password => " + "hunterKhunterK", "hunterKhunterK"),
    "escaped": ("token%3D" + "hunterLhunterL", "hunterLhunterL"),
    "api key in words": ("api key: " + "hunterMhunterM", "hunterMhunterM"),
    "digest": ('Authorization: Digest username="x", response="' + 'hunterNhunterN"', "hunterNhunterN"),
    "curl, glued": ("curl -ume:" + "hunterOhunterO h", "hunterOhunterO"),
    "mongosh": ("mongosh -u a -p " + "hunterPhunterP", "hunterPhunterP"),
    "sqlcmd": ("sqlcmd -S h -U sa -P " + "hunterQhunterQ", "hunterQhunterQ"),
    "zip": ("zip -P " + "hunterRhunterR x.zip f", "hunterRhunterR"),
    "openssl key": ("openssl enc -k " + "hunterShunterS -in a", "hunterShunterS"),
    "htpasswd": ("htpasswd -bc f bob " + "hunterThunterT", "hunterThunterT"),
    "minio": ("mc alias set m http://h:9000 admin " + "hunterUhunterU", "hunterUhunterU"),
    "sudo": ("echo " + "hunterVhunterV | sudo -S id", "hunterVhunterV"),
    "session": ("JSESSIONID=" + "hunterWhunterW", "hunterWhunterW"),
    "upper-case cookie": ("COOKIE: sid=" + "hunterXhunterX", "hunterXhunterX"),
}


def _body(alphabet: str, least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(alphabet=alphabet, min_size=least, max_size=most)


def secrets() -> st.SearchStrategy[tuple[str, str]]:
    """A text, and the part of it that is secret: the kinds above, with other characters each time."""

    def prefixed(prefix: str, alphabet: str, least: int, most: int) -> st.SearchStrategy[tuple[str, str]]:
        return _body(alphabet, least, most).map(lambda body: (prefix + body, prefix + body))

    def named(before: str, alphabet: str, after: str = "") -> st.SearchStrategy[tuple[str, str]]:
        # A letter in front: the secret itself must not look like a part of what stands around it.
        return _body(alphabet, 12, 60).map(lambda body: (f"{before}Z{body}{after}", f"Z{body}"))

    return st.one_of(
        st.sampled_from(list(CREDENTIALS.values())),
        *(
            prefixed(prefix, _URL, 30, 60)
            for prefix in (
                "sk-",
                "sk-proj-",
                "sk-ant-api03-",
                "sk-lf-",
                "pk-lf-",
                "ghp_",
                "github_pat_",
                "glpat-",
                "xoxb-",
                "AIza",
                "nvapi-",
                "xai-",
            )
        ),
        *(prefixed(prefix, _WORD, 30, 60) for prefix in ("hf_", "gsk_", "npm_", "sk_live_", "glsa_")),
        prefixed("AKIA", string.ascii_uppercase + string.digits, 16, 16),
        named("Authorization: Bearer ", _URL),
        named("password=", _WORD),
        named('"api_key": "', _URL + " ", '"'),
        named("https://user:", _WORD, "@example.org/"),
        _body(_WORD.lower(), 3, 20).map(lambda name: (f"{name}@example.org", f"{name}@example.org")),
    )
