"""How a case is run and measured."""

from runner.own import claim_names

claim_names()
