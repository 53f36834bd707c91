"""A researcher's Flower app over Farr: its ServerApp runs here, its ClientApp at hospitals that allowed its code."""
