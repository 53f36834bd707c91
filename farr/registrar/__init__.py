"""The registrar: decides who is a member. It runs apart from the coordinator and needs no network but to publish."""
