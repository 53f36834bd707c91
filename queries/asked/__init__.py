"""What is asked: the plan, its one spelling in bytes, the view, and who may ask it."""
