"""What the server does in a round: send the coefficients, add up, take a step; and say how long it took."""

from __future__ import annotations

import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, MessageType, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Print the seconds of each round."""
    wanted, features = int(context.run_config["nodes"]), int(context.run_config["features"])
    while len(nodes := list(grid.get_node_ids())) < wanted:
        time.sleep(0.2)
    point = np.zeros(features + 1)
    for _ in range(int(context.run_config["num-server-rounds"])):
        begun = time.perf_counter()
        content = RecordDict({"arrays": ArrayRecord([point])})
        messages = [Message(content, node, MessageType.TRAIN) for node in nodes]
        replies = [reply.content["arrays"].to_numpy_ndarrays() for reply in grid.send_and_receive(messages)]
        gradient, information = (sum(each) for each in zip(*replies, strict=True))
        point = point + np.linalg.solve(information + np.eye(features + 1), gradient)
        print(f"round of {len(replies)} replies took {time.perf_counter() - begun:.4f} s", flush=True)
