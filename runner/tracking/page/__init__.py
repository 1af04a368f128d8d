"""What MLflow's page shows of a run and of the experiment, beside numbers: names, descriptions, views, links."""
