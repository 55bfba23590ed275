"""Work on Ray actors: the cluster, the replicas of the model, and the executor that schedules calls to them."""
