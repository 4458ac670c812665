"""The operational risk index: decaying rates of what went wrong, by work done, each point with its records.

It is a tool for the laboratory's own attention. It grades no laboratory: the official credit-risk class
(信用风险类别) is imported with its source, and proportion and frequency of spot checks (抽查比例和频次)
come from the regulator's own table. See docs/risk.md.
"""
