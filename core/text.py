"""Text from outside: in one form, so that what looks the same is the same, and harmless in other programs."""

import unicodedata


def nfc(text: str) -> str:
    """Text in Unicode's composed form (NFC): ``é`` is one character, however a Mac or a keyboard wrote it.

    Labels, class names, the names and values of metadata, and what filters compare with them pass through here.
    """
    return unicodedata.normalize("NFC", text)


def spreadsheet_safe(text: str) -> str:
    """Text for a cell of a CSV file that spreadsheets show as it is: with an apostrophe before what they would run as a formula.

    See "CSV Injection" of OWASP.

    Examples
    --------
    >>> spreadsheet_safe("=HYPERLINK(1)"), spreadsheet_safe("robin")
    ("'=HYPERLINK(1)", 'robin')
    """
    return (
        f"'{text}"
        if text.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠"))
        else text
    )
