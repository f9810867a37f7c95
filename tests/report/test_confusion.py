"""The confusion matrix shows every class, or the ones confused most."""

from __future__ import annotations

import numpy as np
import pytest

from autoplace.report import confusion_matrix


def names_of(figure) -> tuple[list[str], list[str]]:
    axis = figure.axes[0]
    down, across = axis.get_yticklabels(), axis.get_xticklabels()
    return [label.get_text() for label in down], [label.get_text() for label in across]


def test_a_cell_is_the_share_of_the_true_class_and_a_class_without_rows_has_none(tmp_path):
    matrix = np.array([[6, 2, 0], [1, 3, 0], [0, 0, 0]])
    figure = confusion_matrix(matrix, ["cat", "dog", "cow"])
    axis = figure.axes[0]
    expected = [[0.75, 0.25, 0], [0.25, 0.75, 0], [0, 0, 0]]
    np.testing.assert_allclose(np.asarray(axis.images[0].get_array()), expected)
    assert names_of(figure) == (["cat", "dog", "cow"],) * 2
    assert sorted(text.get_text() for text in axis.texts) == ["1", "2", "3", "6"]
    figure.savefig(tmp_path / "confusion.png")


@pytest.mark.parametrize(("n_classes", "shown"), [(2, 2), (30, 30), (31, 30), (200, 30)])
def test_at_most_the_top_classes_are_drawn(n_classes, shown, tmp_path):
    matrix = np.random.default_rng(0).integers(0, 5, size=(n_classes, n_classes))
    figure = confusion_matrix(matrix, [f"class {k}" for k in range(n_classes)])
    assert [len(names) for names in names_of(figure)] == [shown, shown]
    assert (f"{shown} most confused" in figure.axes[0].get_title()) == (shown < n_classes)
    figure.savefig(tmp_path / "confusion.png")


def test_the_most_confused_pairs_are_kept_together_and_in_order():
    matrix = 50 * np.eye(40, dtype=int)
    matrix[7, 31] = matrix[20, 3] = 9
    matrix[11, 12] = 1
    figure = confusion_matrix(matrix, [str(k) for k in range(40)], top=4)
    assert names_of(figure) == (["3", "7", "20", "31"],) * 2


def test_long_names_are_shortened():
    figure = confusion_matrix(np.eye(2, dtype=int), ["x" * 80, "short"])
    assert [len(name) for name in names_of(figure)[0]] == [24, 5]
