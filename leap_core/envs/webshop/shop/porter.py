"""Porter's stemmer as Lucene has it (M. F. Porter, "An algorithm for suffix stripping", 1980, with his later changes).

Snowball's "porter" differs from it where a doubled letter is not one of nine, and on words of two letters.
"""

_SECOND = (
    *(("ational", "ate"), ("tional", "tion"), ("enci", "ence"), ("anci", "ance"), ("izer", "ize"), ("bli", "ble")),
    *(("alli", "al"), ("entli", "ent"), ("eli", "e"), ("ousli", "ous"), ("ization", "ize"), ("ation", "ate")),
    *(("ator", "ate"), ("alism", "al"), ("iveness", "ive"), ("fulness", "ful"), ("ousness", "ous"), ("aliti", "al")),
    *(("iviti", "ive"), ("biliti", "ble"), ("logi", "log")),
)
_THIRD = (
    *(("icate", "ic"), ("ative", ""), ("alize", "al"), ("iciti", "ic"), ("ical", "ic"), ("ful", ""), ("ness", "")),
)
_FOURTH = (
    *("al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "sion", "tion", "ou", "ism"),
    *("ate", "iti", "ous", "ive", "ize"),
)


def porter_stem(word: str) -> str:
    """The stem of a word in lower case; words of one or two letters are their own."""
    if len(word) <= 2:
        return word
    word = _past_and_participle(_plural(word))
    if word.endswith("y") and "v" in _shape(word[:-1]):
        word = f"{word[:-1]}i"
    for suffixes in (_SECOND, _THIRD):
        word = _replaced(word, suffixes)
    return _final_letters(_without_suffix(word))


def _plural(word: str) -> str:
    if word.endswith(("sses", "ies")):
        return word[:-2]
    return word[:-1] if word.endswith("s") and not word.endswith("ss") else word


def _past_and_participle(word: str) -> str:
    if word.endswith("eed"):
        return word[:-1] if _measure(word[:-3]) > 0 else word
    ending = 2 if word.endswith("ed") else 3 if word.endswith("ing") else 0
    stem = word[:-ending]
    if not ending or "v" not in _shape(stem):
        return word
    if stem.endswith(("at", "bl", "iz")):
        return f"{stem}e"
    if _ends_doubled(stem):
        return stem if stem[-1] in "lsz" else stem[:-1]
    return f"{stem}e" if _measure(stem) == 1 and _ends_short(stem) else stem


def _replaced(word: str, suffixes: tuple[tuple[str, str], ...]) -> str:
    for suffix, instead in suffixes:
        if word.endswith(suffix):
            stem = word.removesuffix(suffix)
            return stem + instead if _measure(stem) > 0 else word
    return word


def _without_suffix(word: str) -> str:
    for suffix in _FOURTH:
        if word.endswith(suffix):
            stem = word.removesuffix("ion" if suffix in ("sion", "tion") else suffix)
            return stem if _measure(stem) > 1 else word
    return word


def _final_letters(word: str) -> str:
    measure = _measure(word)
    if word.endswith("e") and (measure > 1 or (measure == 1 and not _ends_short(word[:-1]))):
        word = word[:-1]
    return word[:-1] if word.endswith("ll") and measure > 1 else word


def _shape(word: str) -> str:
    """One letter for each letter: v for a vowel, c for a consonant; y is a vowel after a consonant."""
    shape = ""
    for letter in word:
        is_vowel = letter in "aeiou" or (letter == "y" and shape[-1:] == "c")
        shape += "v" if is_vowel else "c"
    return shape


def _measure(word: str) -> int:
    """How many times consonants follow on vowels."""
    return _shape(word).count("vc")


def _ends_doubled(word: str) -> bool:
    return len(word) > 1 and word[-1] == word[-2] and _shape(word).endswith("c")


def _ends_short(word: str) -> bool:
    """Whether the end is consonant, vowel, consonant, the last of which is not w, x or y."""
    return _shape(word).endswith("cvc") and word[-1] not in "wxy"
