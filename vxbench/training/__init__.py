"""Training of any classifier on any data set here, and the accuracy of what came out. Imports mmengine."""
