"""How a case is run and measured."""

from runner.core.own import claim_names

claim_names()
