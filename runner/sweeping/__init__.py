"""A sweep through one of Hydra's launchers: a job per case, followed by its files until every case is accounted for."""
