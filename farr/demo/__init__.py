"""The demo: twelve real hospitals of the International Stroke Trial on this machine, and questions to them."""
