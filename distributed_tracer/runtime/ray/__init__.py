"""Work on Ray actors: the cluster, replicas of the model, the executor that schedules calls to them."""
