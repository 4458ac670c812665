"""Rules for people who hold a file and not a gateway: arrays in, flags out, as the engine would give them."""

from pipeline.qc.files.evaluation import Evaluation, evaluate
from pipeline.qc.files.readings import FileUnusableError, Readings, Wanted
from pipeline.qc.files.report import ALL_RULES, Judged, columns_of, judge, read_readings, write_flagged
from pipeline.qc.files.rules import FileRules, load_rules
from pipeline.qc.files.suggest import Proposal, proposal_toml, propose

__all__ = [
    "ALL_RULES", "Evaluation", "FileRules", "FileUnusableError", "Judged", "Proposal", "Readings", "Wanted",
    "columns_of", "evaluate", "judge", "load_rules", "proposal_toml", "propose", "read_readings",
    "write_flagged",
]  # fmt: skip
