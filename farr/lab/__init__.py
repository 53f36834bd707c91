"""A whole federation on one machine, for trying out: a coordinator and one node process for each hospital."""
