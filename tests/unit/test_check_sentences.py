"""dbt's generic tests in words, from nodes as dbt's manifest holds them."""

from typing import Any

import pytest

from orchestration.dbt import check_sentence


def node(kind: str, description: str = "", **arguments: Any) -> dict[str, Any]:
    return {
        "name": f"{kind}_of_something",
        "description": description,
        "attached_node": "model.customer_health.account_health",
        "test_metadata": {"name": kind, "kwargs": {"model": "{{ ref('account_health') }}", **arguments}},
    }


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        (node("unique", column_name="account_id"), "No account_id is duplicated in account_health."),
        (node("not_null", column_name="account_id"), "Every row of account_health has its account_id."),
        (node("accepted_values", column_name="tier", values=["healthy", "poor"]), "Every tier of account_health is one of healthy, poor."),
        (
            node("relationships", column_name="csm", to="ref('people')", field="name"),
            "Every csm of account_health is found in the column name of ref('people').",
        ),
        (node("unique", "One row per account.", column_name="account_id"), "One row per account."),
    ],
)
def test_in_words(test: dict[str, Any], sentence: str) -> None:
    assert check_sentence(test) == sentence


def test_of_another_test_its_name() -> None:
    assert check_sentence(node("is_even", column_name="seats")) == "is_even_of_something"
    assert check_sentence({"name": "assert_x", "description": "", "attached_node": None}) == "assert_x"
