"""What plain data is called by its content: members, plans and searches, in files that stay."""

import hashlib
import json


def content_hash(content: object, digits: int) -> str:
    """So many hexadecimal digits (at most 64) of plain data, whatever the order of its keys."""
    text = json.dumps(content, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:digits]
