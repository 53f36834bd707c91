"""What the researcher's machine does: ask every hospital once, add up, print."""

from __future__ import annotations

from flwr.app import ConfigRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Ask once."""
    decades = int(context.run_config["decades"])
    # Farr sums what is named here, each number up to its bound, and calls the sums what the app calls its own record.
    config = ConfigRecord(
        {
            "farr-entries": [f"patients[{decades}]", f"ill[{decades}]"],
            "farr-bounds": [500.0, 500.0],
            "farr-record": "counts",
        }
    )
    messages = [
        Message(content=RecordDict({"config": config}), message_type=MessageType.QUERY, dst_node_id=node)
        for node in grid.get_node_ids()
    ]
    replies = [reply.content["counts"] for reply in grid.send_and_receive(messages) if reply.has_content()]
    print("decade  patients       ill")
    for decade in range(decades):
        patients, ill = (sum(reply[name][decade] for reply in replies) for name in ("patients", "ill"))
        print(f"{10 * decade:4} to {10 * decade + 9:2} {patients:8.0f} {ill:9.0f}")
