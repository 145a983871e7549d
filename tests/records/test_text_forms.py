"""Texts in many writings: forms of Unicode, marks without width, scripts without spaces."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from perfmon_exact import ExactScorer
from perfmon_labels import LabelScorer
from perfmon_probability import ProbabilityScorer
from perfmon_ranking import RankingScorer
from perfmon_scorers import Scorers
from perfmon_similarity import SimilarityScorer

from perfmon import Config, PerformanceMonitor, alike, one_form, words_of

NFC, NFD = (unicodedata.normalize(form, "café crème à Ōsaka") for form in ("NFC", "NFD"))
WIDE = "\uff21\uff22\uff23\uff11\uff12\uff13"  # ABC123 in full width
SPACELESS = {
    "chinese": "今天气很好",
    "traditional": "臺灣學習電腦",
    "rare han": "\U00020000\U0002a6d6\u3400\u4e00",
    "hiragana": "わたしのな",
    "katakana": "タワービル",
    "thai": "สวัดีครบ",
    "lao": "ສະບາຍດ",
    "khmer": "ភាសខ្មែរ",
    "burmese": "ြမန်မာစ"[1:],
}
score = Scorers().score_outcome


@pytest.mark.parametrize("text", SPACELESS.values(), ids=SPACELESS)
def test_letters_of_scripts_without_spaces_count_one_by_one(text):
    """A full stop more in the actual text costs one letter of many, and one too much nothing."""
    letters = words_of(text)
    assert "".join(letters) == one_form(text)
    count = len(set(letters))
    assert count >= 4
    for stop in ("。", ".", "!", "၊"):
        assert score(text, text + stop) == count / (count + 1)
        assert score(text + stop, text) == 1.0
    assert score(letters[0], text) == 1 / count
    assert score("nothing of it", text) == 0.0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("東京タワー2024 ABC", ["東", "京", "タ", "ワ", "ー", "2024", "ABC"]),
        ("今天 is ok", ["今", "天", "is", "ok"]),
        ("\uff76\uff9e・一\u3007", ["ガ", "・", "一", "\u3007"]),  # half width
        ("ครับ 99 บาท", ["ค", "รั", "บ", "99", "บ", "า", "ท"]),
        ("안녕 하세요", ["안녕", "하세요"]),  # which has spaces
        ("हिन्दी\u00a0भाषा", ["हिन्दी", "भाषा"]),
        ("  ", []),
    ],
)
def test_words(text, words):
    """Each letter with its marks where there are no spaces; else what stands between them."""
    assert words_of(text) == words


@pytest.mark.parametrize(
    ("predicted", "actual"),
    [
        (NFD, NFC),
        (NFC, NFD),
        (WIDE, "ABC123"),
        ("ABC123", WIDE),
        ("word\u200b", "word"),
        ("wo\u00adrd", "\ufeffword"),
        ("ﬁne", "fine"),
        ("❤\ufe0f", "❤"),
        ("\uff12\uff10\uff12\uff14-01-01", "2024-01-01T10:00:00Z"),
        ("\u200b", ""),
        ({NFD: 1}, {NFC: 1}),
        ({WIDE: {NFD: [NFC]}}, {"ABC123": {NFC: [NFD]}}),
        ([NFD, WIDE, {NFC: 1}], [{NFD: 1}, NFC, "ABC123"]),
        ({"a": [[NFD]]}, {"a": [[NFC]]}),
    ],
)
def test_the_form_of_a_text_makes_no_difference(predicted, actual):
    """Composed or not, of full width or half, with marks that nobody sees: in keys too."""
    assert score(predicted, actual) == 1.0
    assert ExactScorer().score_outcome(predicted, actual) == 0.0
    with PerformanceMonitor(storage_url="memory:") as monitor:
        assert monitor.record_accuracy("a", "t", predicted, actual).accuracy_score == 1.0


@pytest.mark.parametrize("options", [{}, {"ignore_case": True}, {"ignore_punctuation": True},
                                     {"ignore_key_case": True}, {"lists": "sequence"},
                                     {"weights": {NFD: 3.0}}])  # fmt: skip
def test_options_see_one_form(options):
    """Whatever else is ignored or weighed."""
    scorers = Scorers(Config.from_mapping({"plugins": {"scorers": options}}))
    assert scorers.score_outcome({NFD: [NFC], "x": WIDE}, {NFC: [NFD], "x": "ABC123"}) == 1.0
    if "weights" in options:
        assert scorers.score_outcome({NFC: 1, "x": 0}, {NFC: 1, "x": 1}) == (1 + 3 / 4) / 2


def test_other_scorers_see_one_form():
    """Labels, similarity, rankings and probabilities of labels."""
    labels = LabelScorer(Config.from_mapping({"plugins": {"labels": {"synonyms": {NFD: [WIDE]}}}}))
    assert labels.score_outcome(NFC, NFD) == labels.score_outcome("abc123", NFC) == 1.0
    assert SimilarityScorer().score_outcome(NFD, NFC) == 1.0
    words = {"plugins": {"similarity": {"method": "token_set"}}}
    assert (
        SimilarityScorer(Config.from_mapping(words)).score_outcome("今天很好。", "今天很好") == 1.0
    )
    assert RankingScorer().score_outcome([NFD, "x"], [NFC]) == 1.0
    assert RankingScorer().score_outcome([NFD, "x"], {NFC: 2}) == 1.0
    found = ProbabilityScorer().score_outcome({NFD: 1.0, "x": 0.0}, NFC)
    assert (found.value, found.correct) == (1.0, 1.0)


def test_mappings_and_synonyms_see_one_form():
    """What monitor.toml names is found however an outcome writes it."""
    outcomes = {
        "synonyms": {"yes": [NFD, "\uff19"]},
        "fields": {"été": {"predicted": "saison.\uff21"}},
    }
    config = Config.from_mapping(
        {"monitor": {"storage": "memory:"}, "agents": {"a": {"outcomes": outcomes}}}
    )
    with PerformanceMonitor(config) as monitor:
        predicted = {"saison": {"A": "yes"}, NFD: 1}
        measured = monitor.record_accuracy("a", "t", predicted, {"e\u0301te\u0301": NFC, NFC: 1})
        assert (measured.accuracy_score, measured.state) == (1.0, "measured")
        assert monitor.record_accuracy("b", "t", {NFD: 0}, {NFC: 1}).accuracy_score == 0.5


def test_keys_that_are_there_as_they_are_go_first():
    """Two keys of one form are two keys; each other one is met once."""
    assert score({NFC: 1, NFD: 2}, {NFC: 1, NFD: 2}) == 1.0
    assert alike([NFC, WIDE], [NFD, WIDE]) == {NFC: NFD}
    assert alike([NFC], [NFC, NFD]) == {}
    assert alike(["ABC123", 1, None], [WIDE, 1]) == {"ABC123": WIDE}


@given(st.text(), st.text())
def test_forms_of_any_text(predicted, actual):
    """The score is the same in every form, and in [0, 1]."""
    scores = {
        score(unicodedata.normalize(one, predicted), unicodedata.normalize(other, actual))
        for one in ("NFC", "NFD")
        for other in ("NFC", "NFD")
    }
    assert len(scores) == 1
    assert 0.0 <= scores.pop() <= 1.0
    assert one_form(one_form(actual)) == one_form(actual)


ascii_texts = st.text(st.characters(max_codepoint=127), max_size=30)


@given(ascii_texts, ascii_texts)
def test_ascii_is_scored_as_ever(predicted, actual):
    """By the words between spaces."""
    words = set(actual.split())
    share = len(words & set(predicted.split())) / len(words) if words else 0.0
    assert "-" in actual or score(predicted, actual) == (1.0 if predicted == actual else share)
