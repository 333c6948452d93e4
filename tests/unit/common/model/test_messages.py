"""Names on the wire, which other releases read."""

from __future__ import annotations

import json

from common.model.messages import PlotOrder
from common.model.pending import PendingOrder
from tests.unit.beat import builders as b


def test_a_start_token_is_named_turn_in_messages_and_on_the_board() -> None:
    order = PlotOrder(host="h", start_token="a:7")
    assert order.kwargs()["turn"] == "a:7"
    assert PlotOrder.read(**order.kwargs()) == order
    for noted in (b.order(start_token="a:7"), b.plotter(start_token="a:7")):
        on_the_board = noted.model_dump_json()
        assert json.loads(on_the_board)["turn"] == "a:7"
        assert "start_token" not in on_the_board
        assert type(noted).model_validate_json(on_the_board) == noted
    assert PendingOrder.model_validate(b.order().model_dump()) == b.order()
