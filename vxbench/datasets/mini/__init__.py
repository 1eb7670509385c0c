"""The mini data set: the class is in the actor's motion, boxes are exact, no download and no GPU needed."""
