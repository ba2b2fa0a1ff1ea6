"""Passwords and tokens are left out of what is recorded and shown of a run."""

from __future__ import annotations

import re

_PASSWORD = re.compile(r"([A-Za-z][\w+.-]*://[^\s/:@\"']*):[^\s/\"']+@")
_IN_QUERY = re.compile(r"([?&]([\w.-]+)=)[^&#\s\"']+")
_SECRET = re.compile(
    r"(?i)(?:^|[_.-])(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|credentials?|signature)(?:$|[_.-])"
)


def blanked(text: str) -> str:
    """``text`` without the passwords of URLs in it.

    Examples
    --------
    >>> blanked("mysql://me:pa:ss@host:3306/ml"), blanked("https://host/path?token=abc&page=2")
    ('mysql://me:***@host:3306/ml', 'https://host/path?token=***&page=2')
    """
    text = _PASSWORD.sub(r"\1:***@", text)
    return _IN_QUERY.sub(lambda found: f"{found[1]}***" if is_secret(found[2]) else found[0], text)


def is_secret(name: str) -> bool:
    """Whether a name says that its value is not to be told.

    Examples
    --------
    >>> is_secret("api_key"), is_secret("--db-password"), is_secret("tokenizer")
    (True, True, False)
    """
    return _SECRET.search(name) is not None
