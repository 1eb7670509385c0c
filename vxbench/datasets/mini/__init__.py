"""Mini data sets, generated in the layouts of the real ones: the class is in the motion, and boxes are exact."""
