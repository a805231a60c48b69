"""Text from outside in one form, so that what looks the same is the same."""

import unicodedata


def nfc(text: str) -> str:
    """Text in Unicode's composed form (NFC): ``é`` is one character, however a Mac or a keyboard wrote it.

    Labels, class names, the names and values of metadata, and what filters compare with them pass through here.
    """
    return unicodedata.normalize("NFC", text)
