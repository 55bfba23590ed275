from __future__ import annotations

import pytest

from distributed_tracer.store.format.string_column import StringColumn


@pytest.mark.parametrize("given", [[], ["", "a", "bc", ""], ["é", "", "北京", "\udc00 lone", "x"]])
def test_texts_come_back_as_they_were(given: list[str]) -> None:
    data, sizes = StringColumn.of(given).columns
    texts = StringColumn(data.tobytes(), sizes)
    assert texts.decoded() == list(texts) == given
    assert len(texts) == len(given)
    assert texts[1:3] == given[1:3]
    if given:
        assert texts[-1] == given[-1]
    with pytest.raises(IndexError):
        _ = texts[len(given)]
